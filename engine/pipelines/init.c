#include "engine/pipelines/init.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/sha256.h"
#include "engine/files/safetensors.h"
#include "engine/images/process.h"
#include "engine/images/read.h"
#include "engine/nets/vae_encoder.h"
#include "engine/nets/vae_tiles.h"
#include "engine/pipelines/depth.h"
#include "engine/pipelines/latent.h"
#include "engine/pipelines/request.h"

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

/* The denoiser's input holds mask and masked picture beside the latents. */
static bool takes_mask(const struct model *m) {
    return m->vae && m->denoiser.in_channels == 2 * m->channels + 1;
}

/* Nothing that was asked for is passed over. */
static void check_alone(const struct request *r) {
    const struct settings *s = &r->settings;
    const char *option = s->mask                                   ? "--mask"
                         : !isnan(s->strength) && s->strength > 0  ? "--strength"
                         : s->invert_mask                          ? "--invert-mask"
                         : s->mask_blur > 0                        ? "--mask-blur"
                         : s->mask_crop_given                      ? "--mask-crop"
                         : s->depth                                ? "--depth"
                         : s->resize_given && !s->control_images.n ? "--resize"
                                                                   : NULL;
    if (option) die_hint(FAIL_USAGE, "-i FILE", "%s: there is no picture to begin from", option);
    if (s->incomplete) return;
    if (r->model->scored && r->from == 0)
        die_hint(FAIL_USAGE, "-i FILE", "%s: a refiner needs a picture to begin from", r->model->checkpoint->name);
    if (r->model->class->beside == BESIDE_DEPTH)
        die_hint(FAIL_USAGE, "diffuse -m MODEL -i room.jpg \"a palace\"", "%s: a depth-to-image checkpoint needs a picture",
                 r->model->checkpoint->name);
    if (r->model->class->beside == BESIDE_PICTURE)
        die_hint(FAIL_USAGE, "diffuse -m MODEL -i photo.jpg \"make it winter\"", "%s edits pictures: it needs one",
                 r->model->checkpoint->name);
    if (takes_mask(r->model))
        die_hint(FAIL_USAGE, "diffuse -m MODEL -i picture.png --mask mask.png \"what to paint there\"",
                 "%s: an inpainting checkpoint needs a picture and a mask", r->model->checkpoint->name);
}

static void check_together(const struct request *r) {
    const struct model *m = r->model;
    const struct settings *s = &r->settings;
    if (!m->vae) die(FAIL_USAGE, "--image: %s draws pictures from noise alone: it is a %s", m->checkpoint->name, m->class->name);
    if (!m->vae->encoder) die(FAIL_UNSUPPORTED, "%s: the VAE has no encoder: --image cannot be used", m->parts[PART_VAE]->dir);
    if (takes_mask(m) && !s->mask)
        die_hint(FAIL_USAGE, "--mask FILE, white where it is to be painted anew", "%s: an inpainting checkpoint needs a mask",
                 m->checkpoint->name);
    if (s->mask && m->class->beside != BESIDE_NOTHING)
        die(FAIL_USAGE, "--mask: %s takes none: it is a %s", m->checkpoint->name, m->class->name);
    if (s->depth && m->class->beside != BESIDE_DEPTH)
        die(FAIL_USAGE, "--depth: %s takes none: it is a %s", m->checkpoint->name, m->class->name);
    if (!isnan(s->strength) && isnan(m->class->image.strength))
        die(FAIL_USAGE, "--strength: %s begins from noise and looks at the picture: it is a %s", m->checkpoint->name, m->class->name);
    if (s->mask && !strcmp(s->image, "-") && !strcmp(s->mask, "-")) die(FAIL_USAGE, "--image and --mask: both read standard input");
    if (s->depth && !strcmp(s->image, "-") && !strcmp(s->depth, "-")) die(FAIL_USAGE, "--image and --depth: both read standard input");
    if (s->mask_crop_given && m->class->grey_mask) die(FAIL_USAGE, "--mask-crop: a %s has none", m->class->name);
    if (s->invert_mask && !s->mask) die(FAIL_USAGE, "--invert-mask: there is no --mask");
    if (s->mask_blur > 0 && !s->mask) die(FAIL_USAGE, "--mask-blur: there is no --mask");
    if (s->mask_crop_given && !s->mask) die(FAIL_USAGE, "--mask-crop: there is no --mask");
    if (s->mask_crop_given && s->resize_given && s->resize != RESIZE_FILL) die(FAIL_USAGE, "--resize: with --mask-crop it is always fill");
}

void init_fill_size(struct request *r, const char *path, const struct image *image) {
    struct settings *s = &r->settings;
    int multiple = r->model->factor; /* as diffusers does; what the model cannot draw even so is refused, as if it had been asked for */
    if (!s->width) s->width = image->W / multiple * multiple;
    if (!s->height) s->height = image->H / multiple * multiple;
    if (s->width > SIDE_MAX || s->height > SIDE_MAX)
        die_hint(FAIL_USAGE, "-W and -H", "%s: %d x %d: a picture has sides of at most %d", path, image->W, image->H, SIDE_MAX);
    if (!s->width || !s->height)
        die(FAIL_USAGE, "%s: %d x %d: this model makes pictures of at least %d x %d", path, image->W, image->H, multiple, multiple);
}

struct image init_read(struct request *r) {
    struct settings *s = &r->settings;
    if (!s->image) return check_alone(r), (struct image){0};
    check_together(r);
    struct image image = image_read(r->arena, s->image);
    if (s->mask_crop_given) { /* its size is not the drawn part's */
        s->resize = RESIZE_FILL;
        return image;
    }
    if (s->resize == RESIZE_CUT && (s->width || s->height))
        die(FAIL_USAGE, "--resize crop-to-multiple: the size is the picture's: no -W, -H or --size with it");
    init_fill_size(r, s->image, &image);
    return image;
}

int init_skip(const struct request *r, int n_steps) {
    if (!r->settings.image || isnan(r->settings.strength)) return 0;
    int kept = (int)(n_steps * r->settings.strength);
    return n_steps - (kept < n_steps ? kept : n_steps);
}

static const char *hash_input(struct arena *a, const char *path) {
    return path && strcmp(path, "-") ? sha256_file(a, path) : NULL;
}

struct input_hashes init_hash_inputs(struct arena *a, const struct settings *s) {
    struct input_hashes h = {hash_input(a, s->image), hash_input(a, s->mask), hash_input(a, s->depth), hash_input(a, s->latents), {0}};
    for (int i = 0; i < s->control_images.n && i < CONTROLS_MAX; i++) h.controls[i] = hash_input(a, s->control_images.items[i]);
    return h;
}

/* ---- noise ---------------------------------------------------------------------------------------------------------- */

const float *init_read_latents(const struct request *r) {
    struct st_file *f = st_open(r->arena, r->settings.latents);
    const struct tensor *t = f->n_tensors == 1 ? &f->tensors[0].tensor : st_find(f, "latents");
    if (!t) die(FAIL_DATA, "%s: no tensor 'latents'", f->path);
    int C = r->model->channels, H = r->latent_height, W = r->latent_width, rank = t->rank;
    if (rank < 3 || rank > 4 || (rank == 4 && t->shape[0] != 1) || t->shape[rank - 3] != C || t->shape[rank - 2] != H ||
        t->shape[rank - 1] != W)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected shape [1,%d,%d,%d]", f->path, t->name, C, H, W);
    if (t->dtype > DT_F64) die(FAIL_UNSUPPORTED, "%s: tensor '%s': dtype %s", f->path, t->name, dtype_table[t->dtype].name);
    void *raw = arena_alloc(r->arena, t->bytes);
    float *noise = arena_array(r->arena, t->bytes / dtype_table[t->dtype].size, sizeof *noise);
    int error = tensor_read(t, raw);
    if (error) die(FAIL_IO, "%s: %s", f->path, strerror(error));
    size_t n = t->bytes / dtype_table[t->dtype].size;
    dtype_to_f32(noise, raw, t->dtype, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(noise[i])) die(FAIL_DATA, "%s: tensor '%s': value %zu of %zu is not finite", f->path, t->name, i, n);
    st_close(f);
    return noise;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* As it comes from diffusers' load_image, whatever its shape. */
static struct image read_mask(struct request *r, const struct image *picture) {
    const struct settings *s = &r->settings;
    struct image mask = image_read(r->arena, s->mask);
    if (!s->mask_crop_given && (int64_t)mask.W * picture->H != (int64_t)mask.H * picture->W)
        warn("%s: %d x %d, of another shape than the picture, %d x %d: each is brought to %d x %d by itself", s->mask, mask.W, mask.H,
             picture->W, picture->H, s->width, s->height);
    if (s->resize == RESIZE_CUT && (mask.W != picture->W || mask.H != picture->H))
        die(FAIL_DATA, "%s: %d x %d: --resize crop-to-multiple wants a mask of the picture's size, %d x %d", s->mask, mask.W, mask.H,
            picture->W, picture->H);
    if (s->mask_blur > 0) mask = image_blur(r->arena, &mask, (float)s->mask_blur);
    if (s->invert_mask) image_invert(&mask);
    return mask;
}

/* What of the picture is drawn, from the mask as it is read: padding_mask_crop. */
static void open_crop(struct request *r, struct init *init, const struct image *picture, const struct image *mask) {
    const struct settings *s = &r->settings;
    if (mask->W != picture->W || mask->H != picture->H)
        die(FAIL_DATA, "%s: %d x %d: --mask-crop wants a mask of the picture's size, %d x %d", s->mask, mask->W, mask->H, picture->W,
            picture->H);
    init->cropped = true;
    init->original = *picture;
    init->original_mask = image_grey(r->arena, mask);
    if (!mask_crop_region(&init->original_mask, s->width, s->height, s->mask_crop, &init->box))
        die(FAIL_DATA, "%s: the mask is all %s: there is nothing to paint anew", s->mask,
            s->invert_mask ? "white, and --invert-mask" : "black");
    r->width = picture->W;
    r->height = picture->H;
}

/* The picture, or the part of it that is drawn, at the request's size. */
static struct image at_size(struct request *r, const struct init *init, const struct image *in) {
    const struct settings *s = &r->settings;
    struct image part = init->cropped ? image_crop(r->arena, in, init->box) : *in;
    return image_resize(r->arena, &part, s->width, s->height, (enum resize_mode)s->resize, RESIZE_LANCZOS);
}

struct image init_at_size(struct request *r, const struct image *in) {
    static const struct init none;
    const struct init *init = r->init ? r->init : &none;
    const struct image *original = &init->original;
    if (init->cropped && (in->W != original->W || in->H != original->H))
        die(FAIL_DATA, "a control image of %d x %d: --mask-crop wants one of the picture's size, %d x %d", in->W, in->H, original->W,
            original->H);
    if (r->settings.resize == RESIZE_CUT && (in->W < r->settings.width || in->H < r->settings.height))
        die(FAIL_DATA, "a control image of %d x %d: --resize crop-to-multiple wants at least %d x %d", in->W, in->H, r->settings.width,
            r->settings.height);
    return at_size(r, init, in);
}

/* RGB to size, then grey, then black or white. */
static float *binarize(struct request *r, const struct init *init, const struct image *mask) {
    struct image sized = at_size(r, init, mask), grey = image_grey(r->arena, &sized);
    float *white = arena_array(r->arena, (size_t)grey.W * (size_t)grey.H, sizeof *white);
    mask_binarize(white, &grey);
    return white;
}

/* White that lies between the pixels looked at is none. */
static void report_black(const char *file, const float *mask, size_t n, int factor) {
    size_t i = 0;
    while (i < n && mask[i] == 0) i++;
    if (i == n) warn("%s: the mask is black at every %dth pixel: nothing is painted anew", file, factor);
}

struct init *init_open(struct request *r, const struct image *image) {
    const struct settings *s = &r->settings;
    const struct model *m = r->model;
    if (!image->pixels) return NULL;
    size_t W = (size_t)s->width, H = (size_t)s->height, w = (size_t)r->latent_width, h = (size_t)r->latent_height;
    struct init *init = arena_alloc(r->arena, sizeof *init);
    struct image mask = s->mask ? read_mask(r, image) : (struct image){0};
    if (s->mask_crop_given) open_crop(r, init, image, &mask);
    struct image sized = at_size(r, init, image);
    init->pixels = arena_array(r->arena, W * H, 3 * sizeof *init->pixels);
    image_signed(init->pixels, &sized);
    init->moments = arena_array(r->arena, w * h, 2 * (size_t)m->channels * sizeof *init->moments);
    if (m->class->beside == BESIDE_DEPTH) init->depth = depth_open(r, image);
    if (!s->mask) return init;

    init->mask = arena_array(r->arena, w * h, sizeof *init->mask);
    if (m->class->grey_mask) {
        struct image whole = image_grey(r->arena, &mask);
        struct image grey = image_resize(r->arena, &whole, (int)w, (int)h, RESIZE_STRETCH, RESIZE_NEAREST);
        image_unit(init->mask, &grey);
        return init;
    }
    const float *white = binarize(r, init, &mask);
    for (size_t y = 0; y < h; y++) /* nearest: the upper left pixel of each latent */
        for (size_t x = 0; x < w; x++) init->mask[y * w + x] = white[(y * W + x) * (size_t)m->factor];
    report_black(s->mask, init->mask, w * h, m->factor);
    if (!takes_mask(m)) return init;
    init->masked = arena_array(r->arena, W * H, 3 * sizeof *init->masked);
    init->masked_moments = arena_array(r->arena, w * h, 2 * (size_t)m->channels * sizeof *init->masked_moments);
    for (size_t i = 0; i < 3 * W * H; i++) init->masked[i] = white[i / 3] < 0.5f ? init->pixels[i] : 0;
    return init;
}

void init_overlay(const struct init *init, struct arena *a, uint8_t *rgb, const struct image *drawn) {
    struct arena *scratch = image_scratch(a);
    struct image whole = image_overlay(scratch, &init->original, &init->original_mask, drawn, &init->box, RESIZE_LANCZOS);
    memcpy(rgb, whole.pixels, 3 * (size_t)whole.W * (size_t)whole.H);
    arena_free(scratch);
}

/* ---- latents ----------------------------------------------------------------------------------------------------- */

static void encode_tiled(struct request *r, enum dtype dtype, const float *pixels, float *moments) {
    struct arena *scratch = image_scratch(r->arena);
    vae_encode_tiled(r->model->device, r->model->vae, scratch, dtype, moments, pixels, r->settings.height, r->settings.width);
    arena_free(scratch);
}

static void encode(struct request *r, const float *pixels, float *moments) {
    const struct model *m = r->model;
    struct device *dev = m->device;
    size_t mark = arena_mark(dev);
    enum dtype dtype = latent_encode_dtype(r);
    if (latent_in_tiles(r)) return encode_tiled(r, dtype, pixels, moments);
    struct view y = view_alloc_as(dev, dtype, 1, r->latent_height, r->latent_width, 2 * m->channels);
    struct view x = view_alloc_as(dev, dtype, 1, r->settings.height, r->settings.width, 3);
    dev->ops->upload(dev, x, pixels);
    vae_encode(dev, m->vae->encoder, y, x);
    dev->ops->download(dev, moments, y);
    arena_release(dev, mark);
}

void init_prepare(struct request *r) {
    if (!r->init) return;
    encode(r, r->init->pixels, r->init->moments);
    if (r->init->masked) encode(r, r->init->masked, r->init->masked_moments);
    if (r->init->depth) depth_prepare(r);
}

void init_sample(const struct request *r, const float *moments, struct rng *rng, float *latents) {
    size_t Z = (size_t)r->model->channels, pixels = (size_t)r->latent_width * (size_t)r->latent_height;
    rng_normal(rng, latents, Z * pixels, r->settings.rng_dtype);
    for (size_t c = 0; c < Z; c++)
        for (size_t i = 0; i < pixels; i++) {
            float mean = moments[i * 2 * Z + c], log_variance = fminf(fmaxf(moments[i * 2 * Z + Z + c], -30), 20);
            float *x = &latents[c * pixels + i];
            *x = mean + expf(0.5f * log_variance) * *x;
        }
    latent_scale(r->model, latents, pixels, r->init->mask);
}
