/* StableDiffusionXLPipeline, its image to image and inpainting, and the refiner (Podell et al. 2023; diffusers pipelines/
 * stable_diffusion_xl): as Stable Diffusion, but for two text encoders' states side by side, the pooled prompt and sizes that the UNet
 * adds to its time embedding, and the VAE's own range and statistics. */
#include <math.h>
#include "engine/base/error.h"
#include "engine/pipelines/latent.h"
#include "engine/pipelines/request.h"

enum { NUMBERS_MAX = 6 };

/* original size, crop, target size; or original size, crop, score */
static int n_numbers(const struct model *m) {
    return m->scored ? 5 : 6;
}

static void check_added(const struct model *m) {
    const struct denoiser *d = &m->denoiser;
    const char *dir = m->checkpoint->dir;
    if (!d->added_dim) die(FAIL_UNSUPPORTED, "%s: unet/config.json: 'addition_embed_type' is not 'text_time': not an SDXL model", dir);
    int given = m->pooled_dim + n_numbers(m) * d->number_dim, other = given + (m->scored ? d->number_dim : -d->number_dim);
    if (d->added_dim == given) return;
    die_hint(FAIL_UNSUPPORTED, d->added_dim == other ? "model_index.json: 'requires_aesthetics_score' says which" : NULL,
             "%s: unet/config.json: 'projection_class_embeddings_input_dim' %d, but a pooled prompt of %d and %d numbers of %d make %d",
             dir, d->added_dim, m->pooled_dim, n_numbers(m), d->number_dim, given);
}

static void check_statistics(const struct model *m) {
    const struct vae *v = m->vae;
    for (int i = 0; i < v->latent_channels && v->n_means == v->latent_channels && v->n_deviations == v->n_means; i++)
        if (!(v->deviations[i] > 0)) die(FAIL_UNSUPPORTED, "%s: vae/config.json: 'latents_std' %g", m->checkpoint->dir, v->deviations[i]);
    if ((v->n_means > 0 && v->n_means != v->latent_channels) || (v->n_deviations > 0 && v->n_deviations != v->latent_channels))
        die(FAIL_UNSUPPORTED, "%s: vae/config.json: %d 'latents_mean' and %d 'latents_std' for %d latent channels", m->checkpoint->dir,
            v->n_means, v->n_deviations, v->latent_channels);
}

static void check(struct model *m) {
    const struct json *index = m->checkpoint->index;
    m->zeros_for_no_negative = json_bool(index, "force_zeros_for_empty_prompt", true);
    m->scored = json_bool(index, "requires_aesthetics_score", false);
    latent_check(m);
    check_added(m);
    check_statistics(m);
}

/* ---- what stands beside the prompt ------------------------------------------------------------------------------- */

/* Height first, everywhere; as diffusers' tensor of the type holds them. */
static void put_numbers(const struct request *r, float *y, struct extent original, struct place crop, struct extent target, double score) {
    const float values[] = {(float)original.height, (float)original.width, (float)crop.y,
                            (float)crop.x,          (float)target.height,  (float)target.width};
    int n = n_numbers(r->model);
    for (int i = 0; i < n; i++) y[i] = dtype_round(n == 5 && i == 4 ? (float)score : values[i], r->model->dtype);
}

static struct extent extent_or(struct extent given, struct extent otherwise) {
    return given.width ? given : otherwise;
}

/* Of each copy. Text to image takes the negative sizes only where both are given, and the negative crop with them; from a picture, without
 * a score, the negative crop is the other one. */
static float *numbers_of(const struct request *r) {
    const struct settings *s = &r->settings;
    struct extent drawn = {s->width, s->height}, original = extent_or(s->original_size, drawn), target = extent_or(s->target_size, drawn);
    float *numbers = arena_array(r->arena, (size_t)r->copies * NUMBERS_MAX, sizeof *numbers), *y = numbers;
    bool from_picture = s->image || r->from > 0;
    bool negative_alone = !from_picture && !(s->negative_original_size.width && s->negative_target_size.width);
    if (r->copies == 2) {
        struct place crop = from_picture && !r->model->scored ? s->crop : s->negative_crop;
        if (negative_alone) put_numbers(r, y, original, s->crop, target, 0);
        else
            put_numbers(r, y, extent_or(s->negative_original_size, original), crop, extent_or(s->negative_target_size, target),
                        isnan(s->negative_aesthetic_score) ? 2.5 : s->negative_aesthetic_score);
        y += n_numbers(r->model);
    }
    put_numbers(r, y, original, s->crop, target, isnan(s->aesthetic_score) ? 6 : s->aesthetic_score);
    return numbers;
}

static void prepare(struct request *r) {
    struct model *m = r->model;
    struct conditions *given = &r->given;
    given->numbers = numbers_of(r);
    given->n_numbers = n_numbers(m);
    request_encode(r);
}

static const char *const second_encoders[] = {"CLIPTextModelWithProjection", NULL};

/* The refiner has the second encoder alone. */
static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_TOKENIZER, "tokenizer", latent_tokenizers, true},
    {PART_TOKENIZER_2, "tokenizer_2", latent_tokenizers, false},
    {PART_TEXT_ENCODER, "text_encoder", latent_text_encoders, true},
    {PART_TEXT_ENCODER_2, "text_encoder_2", second_encoders, false},
    {PART_DENOISER, "unet", latent_denoisers, false},
    {PART_VAE, "vae", latent_vaes, false},
    {.name = NULL},
};

#define STABLE_DIFFUSION_XL(class_name)                                                                                     \
    {                                                                                                                       \
        .name = class_name, .takes_prompt = true, .steps = 50, .guidance = 5, .image = {5, 0.3}, .masked = {7.5, 0.9999},   \
        .led_image = {5, 0.8, 0.8}, .led_masked = {5, 0.9999, 1}, .fixup = FIXUP_NONE, .parts = parts, .penultimate = true, \
        .whole_vae = true, .check = check, .prepare = prepare, .decode = latent_decode,                                     \
    }

/* As Stable Diffusion's, each of them does all three tasks. */
const struct pipeline_class xl_class = STABLE_DIFFUSION_XL("StableDiffusionXLPipeline"),
                            xl_image_to_image_class = STABLE_DIFFUSION_XL("StableDiffusionXLImg2ImgPipeline"),
                            xl_inpaint_class = STABLE_DIFFUSION_XL("StableDiffusionXLInpaintPipeline");

/* The same with ControlNets of their own (controls.h). */
const struct pipeline_class xl_control_class = STABLE_DIFFUSION_XL("StableDiffusionXLControlNetPipeline"),
                            xl_control_image_class = STABLE_DIFFUSION_XL("StableDiffusionXLControlNetImg2ImgPipeline"),
                            xl_control_inpaint_class = STABLE_DIFFUSION_XL("StableDiffusionXLControlNetInpaintPipeline");
