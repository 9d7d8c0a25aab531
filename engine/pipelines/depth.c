#include "engine/pipelines/depth.h"

#include <math.h>
#include "engine/base/error.h"
#include "engine/images/process.h"
#include "engine/images/read.h"
#include "engine/nets/dpt.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/request.h"

/* ---- the estimator ----------------------------------------------------------------------------------------------- */

bool depth_see(struct arena *a, const struct dpt *m, const struct extractor *e, const struct image *picture, struct depth_input *d) {
    *d = (struct depth_input){0};
    extractor_size(e, picture->W, picture->H, &d->W, &d->H);
    if (!dpt_takes(m, d->W, d->H)) return false;
    d->pixels = arena_array(a, (size_t)d->W * (size_t)d->H, 3 * sizeof *d->pixels);
    extractor_run(e, a, d->pixels, picture);
    return true;
}

float *depth_estimate(struct arena *a, struct device *dev, const struct dpt *m, const struct depth_input *d, int *size) {
    *size = dpt_output_size(m, d->W);
    float *values = arena_array(a, (size_t)*size * (size_t)*size, sizeof *values);
    size_t mark = arena_mark(dev);
    struct view y = view_alloc_as(dev, DT_F32, 1, *size, *size, 1), x = view_alloc_as(dev, DT_F32, 1, d->H, d->W, 3);
    dev->ops->upload(dev, x, d->pixels);
    dpt_forward(dev, m, y, x);
    dev->ops->download(dev, values, y);
    arena_release(dev, mark);
    return values;
}

/* ---- to the latents' size ---------------------------------------------------------------------------------------- */

/* Where output i of torch's bicubic interpolation lies, corners not aligned: the first of four inputs and their weights (Keys 1981,
 * a = -3/4). */
static int bicubic(int i, float scale, float w[4]) {
    const float a = -0.75f;
    float at = scale * ((float)i + 0.5f) - 0.5f, first = floorf(at), t = at - first;
    float near[2] = {t, 1 - t}, far[2] = {t + 1, 2 - t};
    for (int k = 0; k < 2; k++) {
        w[1 + k] = ((a + 2) * near[k] - (a + 3)) * near[k] * near[k] + 1;
        w[3 * k] = ((a * far[k] - 5 * a) * far[k] + 8 * a) * far[k] - 4 * a;
    }
    return (int)first - 1;
}

static int clamp(int i, int n) {
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* to [h,w] = from [H,W], without antialiasing, as torch has it. */
static void resize_bicubic(float *to, int w, int h, const float *from, int W, int H) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float wy[4], wx[4], sum = 0;
            int y0 = bicubic(y, (float)H / (float)h, wy), x0 = bicubic(x, (float)W / (float)w, wx);
            for (int i = 0; i < 4; i++) {
                const float *row = from + (size_t)clamp(y0 + i, H) * (size_t)W;
                float line = 0;
                for (int j = 0; j < 4; j++) line += wx[j] * row[clamp(x0 + j, W)];
                sum += wy[i] * line;
            }
            to[(size_t)y * (size_t)w + (size_t)x] = sum;
        }
}

void depth_unit(float *map, int w, int h, const float *values, int W, int H, const char *name) {
    float least = INFINITY, most = -INFINITY;
    bool flat = true; /* interpolated, it would be rounding errors that are stretched to the whole range */
    for (int i = 1; i < W * H && flat; i++) flat = values[i] == values[0];
    resize_bicubic(map, w, h, values, W, H);
    for (int i = 0; i < w * h; i++) {
        if (!isfinite(map[i])) die(FAIL_INTERNAL, "%s: the estimated depth is not finite: no picture made", name);
        least = fminf(least, map[i]), most = fmaxf(most, map[i]);
    }
    if (flat || !(most > least)) die(FAIL_DATA, "%s: the depth is the same everywhere: there is nothing to go by", name);
    for (int i = 0; i < w * h; i++) map[i] = (map[i] - least) / (most - least);
}

/* The map from values [H,W]: the least becomes -1, the greatest 1. */
static void make_map(const struct request *r, float *map, const float *values, int W, int H) {
    int w = r->latent_width, h = r->latent_height;
    depth_unit(map, w, h, values, W, H, r->settings.depth ? r->settings.depth : r->settings.image);
    for (int i = 0; i < w * h; i++) map[i] = 2 * map[i] - 1;
}

/* ---- given or estimated ------------------------------------------------------------------------------------------ */

static void read_given(struct request *r, struct depth *d) {
    struct image file = image_read(r->arena, r->settings.depth), grey = image_grey(r->arena, &file);
    size_t n = (size_t)grey.W * (size_t)grey.H;
    float *values = arena_array(r->arena, n, sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = grey.pixels[i];
    make_map(r, d->map, values, grey.W, grey.H);
}

/* Cropped or filled up, the picture the estimator sees is the one that is drawn from. */
static void open_estimate(struct request *r, struct depth *d, const struct image *picture) {
    const struct model *m = r->model;
    const struct settings *s = &r->settings;
    if (!m->depth)
        die_hint(FAIL_USAGE, "--depth FILE, white where it is near", "%s: the checkpoint has no 'depth_estimator'", m->checkpoint->name);
    struct image seen = *picture;
    if (s->resize != RESIZE_STRETCH)
        seen = image_resize(r->arena, picture, s->width, s->height, (enum resize_mode)s->resize, RESIZE_LANCZOS);
    if (!depth_see(r->arena, m->depth, &m->depth_extractor, &seen, &d->seen))
        die_hint(FAIL_UNSUPPORTED, "--depth FILE, white where it is near",
                 "%s: 'feature_extractor' makes %d x %d of %d x %d: not what 'depth_estimator' takes", m->checkpoint->dir, d->seen.W,
                 d->seen.H, seen.W, seen.H);
}

struct depth *depth_open(struct request *r, const struct image *picture) {
    struct depth *d = arena_alloc(r->arena, sizeof *d);
    d->map = arena_array(r->arena, (size_t)r->latent_width * (size_t)r->latent_height, sizeof *d->map);
    if (r->settings.depth) read_given(r, d);
    else open_estimate(r, d, picture);
    return d;
}

void depth_prepare(struct request *r) {
    struct depth *d = r->init->depth;
    struct device *dev = r->model->device;
    int size;
    if (!d->seen.pixels) return;
    const float *values = depth_estimate(r->arena, dev, r->model->depth, &d->seen, &size);
    if (!dev->planning) make_map(r, d->map, values, size, size);
}
