/* StableDiffusionDepth2ImgPipeline (diffusers pipelines/stable_diffusion/pipeline_stable_diffusion_depth2img.py): image to image by a
 * denoiser that sees the picture's depth in a fifth channel. */
#include "engine/pipelines/latent.h"

static const char *const text_encoders[] = {"CLIPTextModel", NULL}, *const denoisers[] = {"UNet2DConditionModel", NULL},
                         *const vaes[] = {"AutoencoderKL", NULL}, *const tokenizers[] = {"CLIPTokenizer", "CLIPTokenizerFast", NULL},
                         *const estimators[] = {"DPTForDepthEstimation", NULL},
                         *const extractors[] = {"DPTImageProcessor", "DPTFeatureExtractor", "DPTImageProcessorFast", NULL};

static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_TOKENIZER, "tokenizer", tokenizers, false},
    {PART_DEPTH_EXTRACTOR, "feature_extractor", extractors, true},
    {PART_TEXT_ENCODER, "text_encoder", text_encoders, false},
    {PART_DEPTH, "depth_estimator", estimators, true},
    {PART_DENOISER, "unet", denoisers, false},
    {PART_VAE, "vae", vaes, false},
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
