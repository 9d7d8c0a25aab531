/* StableDiffusionInstructPix2PixPipeline (Brooks et al. 2023; diffusers pipelines/stable_diffusion/
 * pipeline_stable_diffusion_instruct_pix2pix.py): a picture edited by an instruction. The denoiser begins from noise and sees the picture's
 * latents beside it: their mean, as the VAE scales it. Guidance leads from nothing to the picture, and from there to the prompt. */
#include <math.h>
#include "engine/pipelines/latent.h"

static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_TOKENIZER, "tokenizer", latent_tokenizers, false},
    {PART_TEXT_ENCODER, "text_encoder", latent_text_encoders, false},
    {PART_DENOISER, "unet", latent_denoisers, false},
    {PART_VAE, "vae", latent_vaes, false},
    {PART_FEATURE_EXTRACTOR, "feature_extractor", latent_extractors, false},
    {PART_SAFETY_CHECKER, "safety_checker", latent_checkers, false},
    {.name = NULL},
};

const struct pipeline_class instruct_pix2pix_class = {
    .name = "StableDiffusionInstructPix2PixPipeline",
    .takes_prompt = true,
    .steps = 100,
    .guidance = 7.5,
    .image = {7.5, NAN},
    .image_guidance = 1.5,
    .beside = BESIDE_PICTURE,
    .fixup = FIXUP_NONE,
    .parts = parts,
    .check = latent_check_plain,
    .prepare = latent_prepare,
    .decode = latent_decode,
};
