/* StableDiffusionPipeline (Rombach et al. 2022; diffusers pipelines/stable_diffusion/pipeline_stable_diffusion.py), SD 1.x and 2.x:
 *
 *   prompt -> ids -> context; noise, or a picture through the VAE and noise -> denoiser and scheduler row, n times -> VAE -> pixels */
#include "engine/base/error.h"
#include "engine/pipelines/latent.h"

static void check_guided(struct model *m) {
    latent_check_plain(m);
    if (!m->denoiser.takes_guidance)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: a %s needs 'time_cond_proj_dim'", m->checkpoint->dir, m->class->name);
}

#define STABLE_DIFFUSION(class_name, text_fixup, mask_fixup, mask_strength, grey)                                                          \
    {                                                                                                                                      \
        .name = class_name, .takes_prompt = true, .steps = 50, .guidance = 7.5, .image = {7.5, 0.8}, .masked = {7.5, mask_strength},       \
        .led_image = {7.5, 0.8, 0.8}, .led_masked = {7.5, 1, 0.5}, .fixup = text_fixup, .masked_fixup = mask_fixup, .parts = latent_parts, \
        .check = latent_check_plain, .prepare = latent_prepare, .decode = latent_decode, .grey_mask = grey,                                \
    }

/* The task follows from what is given, as diffusers' AutoPipeline has it: each of them does all three. */
const struct pipeline_class stable_diffusion_class =
                                STABLE_DIFFUSION("StableDiffusionPipeline", FIXUP_STABLE_DIFFUSION, FIXUP_INPAINT, 1, false),
                            image_to_image_class =
                                STABLE_DIFFUSION("StableDiffusionImg2ImgPipeline", FIXUP_STABLE_DIFFUSION, FIXUP_INPAINT, 1, false),
                            inpaint_class =
                                STABLE_DIFFUSION("StableDiffusionInpaintPipeline", FIXUP_STABLE_DIFFUSION, FIXUP_INPAINT, 1, false);

/* Of 2022, for checkpoints that are not trained to paint in a mask (diffusers pipelines/deprecated/stable_diffusion_variants/
 * pipeline_stable_diffusion_inpaint_legacy.py). */
const struct pipeline_class legacy_inpaint_class =
    STABLE_DIFFUSION("StableDiffusionInpaintPipelineLegacy", FIXUP_STABLE_DIFFUSION, FIXUP_STABLE_DIFFUSION, 0.8, true);

/* The same with ControlNets of their own (controls.h). */
const struct pipeline_class control_class = STABLE_DIFFUSION("StableDiffusionControlNetPipeline", FIXUP_NONE, FIXUP_NONE, 1, false),
                            control_image_class =
                                STABLE_DIFFUSION("StableDiffusionControlNetImg2ImgPipeline", FIXUP_NONE, FIXUP_NONE, 1, false),
                            control_inpaint_class =
                                STABLE_DIFFUSION("StableDiffusionControlNetInpaintPipeline", FIXUP_NONE, FIXUP_NONE, 1, false);

/* Luo et al. 2023 (diffusers pipelines/latent_consistency_models): a few steps, guided by what the denoiser is told. */
#define LATENT_CONSISTENCY(class_name)                                                                                  \
    {                                                                                                                   \
        .name = class_name, .takes_prompt = true, .steps = 4, .guidance = 8.5, .image = {8.5, 0.8}, .masked = {8.5, 1}, \
        .led_image = {8.5, 0.8, 0.8}, .led_masked = {8.5, 1, 0.5}, .fixup = FIXUP_NONE, .parts = latent_parts,          \
        .strength_to_scheduler = true, .check = check_guided, .prepare = latent_prepare, .decode = latent_decode,       \
    }

const struct pipeline_class latent_consistency_class = LATENT_CONSISTENCY("LatentConsistencyModelPipeline"),
                            latent_consistency_image_class = LATENT_CONSISTENCY("LatentConsistencyModelImg2ImgPipeline");
