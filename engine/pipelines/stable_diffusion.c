/* StableDiffusionPipeline (Rombach et al. 2022; diffusers pipelines/stable_diffusion/pipeline_stable_diffusion.py), SD 1.x and 2.x:
 *
 *   prompt -> ids -> context; noise, or a picture through the VAE and noise -> denoiser and scheduler row, n times -> VAE -> pixels */
#include <stdio.h>
#include "engine/base/error.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/request.h"

/* UNets saved by old versions say sample_size 32 and mean 64 (StableDiffusionPipeline.__init__). */
static void fix_sample_size(struct model *m) {
    int major = 0, minor = 0;
    const char *version = json_string(m->parts[PART_DENOISER]->config, "_diffusers_version", NULL);
    if (!version || sscanf(version, "%d.%d", &major, &minor) != 2 || major > 0 || minor >= 9) return;
    if (m->denoiser.sample_width < 64) m->denoiser.sample_width = m->denoiser.sample_height = 64;
}

static void check_parts(const struct model *m) {
    const char *dir = m->checkpoint->dir;
    const struct denoiser *d = &m->denoiser;
    if (!d->context_dim) die(FAIL_UNSUPPORTED, "%s: unet/config.json: a UNet2DModel takes no prompt", dir);
    if (m->text->layers.hidden_size != d->context_dim)
        die(FAIL_UNSUPPORTED, "%s: text_encoder/config.json: 'hidden_size' %d, but unet/config.json: 'cross_attention_dim' %d", dir,
            m->text->layers.hidden_size, d->context_dim);
    if (clip_bpe_vocab_size(m->tokenizer) > m->text->vocab_size)
        die(FAIL_UNSUPPORTED, "%s: tokenizer has %d tokens, but text_encoder/config.json: 'vocab_size' %d", dir,
            clip_bpe_vocab_size(m->tokenizer), m->text->vocab_size);
    int Z = m->vae->latent_channels;
    if ((d->in_channels != Z && d->in_channels != 2 * Z + 1 /* inpainting: mask and masked picture */) || d->out_channels != Z)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: %d input and %d output channels for %d latent channels: not a text-to-image model",
            dir, d->in_channels, d->out_channels, Z);
    if (m->vae->out_channels != 3)
        die(FAIL_UNSUPPORTED, "%s: vae/config.json: 'out_channels' %d: only 3 is supported", dir, m->vae->out_channels);
}

static void check(struct model *m) {
    check_parts(m);
    fix_sample_size(m);
}

static void check_guided(struct model *m) {
    check_parts(m);
    if (!m->denoiser.takes_guidance)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: a %s needs 'time_cond_proj_dim'", m->checkpoint->dir, m->class->name);
}

static void prepare(struct request *r) {
    struct model *m = r->model;
    r->context = view_alloc(m->device, r->copies, 1, m->n_tokens, m->text->layers.hidden_size);
    for (int i = 0; i < r->copies; i++) prompt_encode(m, &r->prompts[i], view_images(r->context, i, 1));
    init_prepare(r);
}

static struct view decode(const struct request *r, const struct latents *l) {
    const struct model *m = r->model;
    struct device *dev = m->device;
    enum dtype dtype = r->settings.vae_dtype_given ? r->settings.vae_dtype : dev->dtype;
    struct view image = view_alloc_as(dev, dtype, 1, r->settings.height, r->settings.width, 3);
    size_t mark = arena_mark(dev);
    struct view z = view_alloc_as(dev, dtype, 1, l->H, l->W, l->C);
    dev->ops->model_input(dev, z, l->x, (float)(1 / m->vae->scaling_factor));
    vae_decode(dev, m->vae, image, z);
    arena_release(dev, mark);
    return image;
}

static const char *const text_encoders[] = {"CLIPTextModel", NULL}, *const denoisers[] = {"UNet2DConditionModel", "UNet2DModel", NULL},
                         *const vaes[] = {"AutoencoderKL", NULL}, *const tokenizers[] = {"CLIPTokenizer", "CLIPTokenizerFast", NULL};

static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL},
    {PART_TOKENIZER, "tokenizer", tokenizers},
    {PART_TEXT_ENCODER, "text_encoder", text_encoders},
    {PART_DENOISER, "unet", denoisers},
    {PART_VAE, "vae", vaes},
    {.name = NULL},
};

#define STABLE_DIFFUSION(class_name)                                                                                             \
    {                                                                                                                            \
        .name = class_name, .takes_prompt = true, .steps = 50, .guidance = 7.5, .fixup = FIXUP_STABLE_DIFFUSION, .parts = parts, \
        .check = check, .prepare = prepare, .decode = decode,                                                                    \
    }

/* The task follows from what is given, as diffusers' AutoPipeline has it: each of them does all three. */
const struct pipeline_class stable_diffusion_class = STABLE_DIFFUSION("StableDiffusionPipeline"),
                            image_to_image_class = STABLE_DIFFUSION("StableDiffusionImg2ImgPipeline"),
                            inpaint_class = STABLE_DIFFUSION("StableDiffusionInpaintPipeline");

/* Luo et al. 2023 (diffusers pipelines/latent_consistency_models): a few steps, guided by what the denoiser is told. */
#define LATENT_CONSISTENCY(class_name)                                                                              \
    {                                                                                                               \
        .name = class_name, .takes_prompt = true, .steps = 4, .guidance = 8.5, .fixup = FIXUP_NONE, .parts = parts, \
        .strength_to_scheduler = true, .check = check_guided, .prepare = prepare, .decode = decode,                 \
    }

const struct pipeline_class latent_consistency_class = LATENT_CONSISTENCY("LatentConsistencyModelPipeline"),
                            latent_consistency_image_class = LATENT_CONSISTENCY("LatentConsistencyModelImg2ImgPipeline");
