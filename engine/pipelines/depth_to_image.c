/* StableDiffusionDepth2ImgPipeline (diffusers pipelines/stable_diffusion/pipeline_stable_diffusion_depth2img.py): image to image by a
 * denoiser that sees the picture's depth in a fifth channel. */
#include "engine/pipelines/latent.h"

static const char *const estimators[] = {"DPTForDepthEstimation", NULL};
static const char *const extractors[] = {"DPTImageProcessor", "DPTFeatureExtractor", "DPTImageProcessorFast", NULL};

static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_TOKENIZER, "tokenizer", latent_tokenizers, false},
    {PART_DEPTH_EXTRACTOR, "feature_extractor", extractors, true},
    {PART_TEXT_ENCODER, "text_encoder", latent_text_encoders, false},
    {PART_DEPTH, "depth_estimator", estimators, true},
    {PART_DENOISER, "unet", latent_denoisers, false},
    {PART_VAE, "vae", latent_vaes, false},
    {.name = NULL},
};

const struct pipeline_class depth_to_image_class = {
    .name = "StableDiffusionDepth2ImgPipeline",
    .takes_prompt = true,
    .steps = 50,
    .guidance = 7.5,
    .image = {7.5, 0.8},
    .beside = BESIDE_DEPTH,
    .fixup = FIXUP_NONE,
    .parts = parts,
    .check = latent_check_plain,
    .prepare = latent_prepare,
    .decode = latent_decode,
};
