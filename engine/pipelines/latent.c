#include "engine/pipelines/latent.h"

#include <stdio.h>
#include "engine/base/error.h"
#include "engine/images/image.h"
#include "engine/nets/vae_tiles.h"

const char *const latent_text_encoders[] = {"CLIPTextModel", NULL}, *const latent_denoisers[] = {"UNet2DConditionModel", NULL},
                  *const latent_vaes[] = {"AutoencoderKL", NULL}, *const latent_tokenizers[] = {"CLIPTokenizer", "CLIPTokenizerFast", NULL};
static const char *const checkers[] = {"StableDiffusionSafetyChecker", NULL}, *const extractors[] = {"CLIPImageProcessor",
                                                                                                     "CLIPFeatureExtractor",
                                                                                                     "CLIPImageProcessorFast", NULL};

const struct part_spec latent_parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_TOKENIZER, "tokenizer", latent_tokenizers, false},
    {PART_TEXT_ENCODER, "text_encoder", latent_text_encoders, false},
    {PART_DENOISER, "unet", latent_denoisers, false},
    {PART_VAE, "vae", latent_vaes, false},
    {PART_FEATURE_EXTRACTOR, "feature_extractor", extractors, false},
    {PART_SAFETY_CHECKER, "safety_checker", checkers, false},
    {.name = NULL},
};

void latent_check(const struct model *m) {
    const char *dir = m->checkpoint->dir;
    const struct denoiser *d = &m->denoiser;
    if (m->context_dim != d->context_dim)
        die(FAIL_UNSUPPORTED, "%s: %s/config.json: 'hidden_size' %d, but unet/config.json: 'cross_attention_dim' %d", dir,
            m->n_texts > 1 ? "text_encoder and text_encoder_2" : m->texts[0].component->name, m->context_dim, d->context_dim);
    int Z = m->vae->latent_channels;
    bool inpaints = m->class->beside == BESIDE_NOTHING && d->in_channels == 2 * Z + 1;
    int wanted = Z + (m->class->beside == BESIDE_DEPTH ? 1 : m->class->beside == BESIDE_PICTURE ? Z : 0);
    if ((d->in_channels != wanted && !inpaints) || d->out_channels != Z)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: %d input and %d output channels for %d latent channels: not the model of a %s", dir,
            d->in_channels, d->out_channels, Z, m->class->name);
    if (m->vae->out_channels != 3)
        die(FAIL_UNSUPPORTED, "%s: vae/config.json: 'out_channels' %d: only 3 is supported", dir, m->vae->out_channels);
}

/* UNets saved by old versions say sample_size 32 and mean 64 (StableDiffusionPipeline.__init__). */
static void fix_sample_size(struct model *m) {
    int major = 0, minor = 0;
    const char *version = json_string(m->parts[PART_DENOISER]->config, "_diffusers_version", NULL);
    if (!version || sscanf(version, "%d.%d", &major, &minor) != 2 || major > 0 || minor >= 9) return;
    if (m->denoiser.sample_width < 64) m->denoiser.sample_width = m->denoiser.sample_height = 64;
}

void latent_check_plain(struct model *m) {
    latent_check(m);
    if (m->denoiser.added_dim)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: 'addition_embed_type': a %s adds nothing", m->checkpoint->dir, m->class->name);
    fix_sample_size(m);
}

void latent_prepare(struct request *r) {
    request_encode(r);
}

/* SDXL's VAE leaves fp16's range: diffusers decodes in fp32 then, and encodes so whatever the pipeline's type. */
static bool upcasts(const struct model *m) {
    return m->class->whole_vae && m->vae->force_upcast;
}

enum dtype latent_decode_dtype(const struct request *r) {
    const struct model *m = r->model;
    if (r->settings.vae_dtype_given) return r->settings.vae_dtype;
    return m->vae && upcasts(m) && m->dtype == DT_F16 ? DT_F32 : m->dtype;
}

enum dtype latent_encode_dtype(const struct request *r) {
    if (r->settings.vae_dtype_given) return r->settings.vae_dtype;
    return upcasts(r->model) ? DT_F32 : r->model->dtype;
}

static bool has_statistics(const struct model *m) {
    return m->class->whole_vae && m->vae->n_means > 0 && m->vae->n_deviations > 0;
}

/* z = z * deviations + means, per channel */
static void add_statistics(struct device *dev, const struct vae *v, struct view z) {
    float factors[VAE_LATENTS_MAX], means[VAE_LATENTS_MAX];
    for (int i = 0; i < z.C; i++) {
        factors[i] = (float)(v->deviations[i] - 1);
        means[i] = (float)v->means[i];
    }
    struct view scale = view_alloc_as(dev, z.dtype, 1, 1, 1, z.C), shift = view_alloc_as(dev, z.dtype, 1, 1, 1, z.C);
    dev->ops->upload(dev, scale, factors);
    dev->ops->upload(dev, shift, means);
    dev->ops->modulate(dev, z, z, scale, shift, ACT_NONE);
}

bool latent_in_tiles(const struct request *r) {
    return r->model->tiled && vae_has_tiles(r->model->vae, r->latent_height, r->latent_width);
}

static void decode_tiled(const struct request *r, struct view image, struct view z) {
    struct arena *scratch = image_scratch(r->arena);
    vae_decode_tiled(r->model->device, r->model->vae, scratch, image, z);
    arena_free(scratch);
}

struct view latent_decode(const struct request *r, const struct latents *l) {
    const struct model *m = r->model;
    struct device *dev = m->device;
    enum dtype dtype = latent_decode_dtype(r);
    struct view image = view_alloc_as(dev, dtype, 1, r->settings.height, r->settings.width, 3);
    size_t mark = arena_mark(dev);
    struct view z = view_alloc_as(dev, dtype, 1, l->H, l->W, l->C);
    dev->ops->model_input(dev, z, l->x, (float)(1 / m->vae->scaling_factor));
    if (has_statistics(m)) add_statistics(dev, m->vae, z);
    if (latent_in_tiles(r)) decode_tiled(r, image, z);
    else vae_decode(dev, m->vae, image, z);
    arena_release(dev, mark);
    return image;
}

void latent_scale(const struct model *m, float *x, size_t pixels, bool masked) {
    const struct vae *v = m->vae;
    float scale = (float)v->scaling_factor;
    for (int c = 0; c < v->latent_channels; c++, x += pixels) {
        if (has_statistics(m) && !masked)
            for (size_t i = 0; i < pixels; i++) x[i] = (x[i] - (float)v->means[c]) * scale / (float)v->deviations[c];
        else
            for (size_t i = 0; i < pixels; i++) x[i] *= scale;
    }
}
