/* StableDiffusionInstructPix2PixPipeline (Brooks et al. 2023; diffusers pipelines/stable_diffusion/
 * pipeline_stable_diffusion_instruct_pix2pix.py): a picture edited by an instruction. The denoiser begins from noise and sees the picture's
 * latents beside it: their mean, as the VAE scales it. Guidance leads from nothing to the picture, and from there to the prompt. */
#include <math.h>
#include "engine/pipelines/latent.h"

const struct pipeline_class instruct_pix2pix_class = {
    .name = "StableDiffusionInstructPix2PixPipeline",
    .takes_prompt = true,
    .steps = 100,
    .guidance = 7.5,
    .image = {7.5, NAN},
    .image_guidance = 1.5,
    .beside = BESIDE_PICTURE,
    .fixup = FIXUP_NONE,
    .parts = latent_parts,
    .check = latent_check_plain,
    .prepare = latent_prepare,
    .decode = latent_decode,
};
