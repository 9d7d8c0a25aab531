#include "engine/pipelines/preview.h"

#include <math.h>
#include <string.h>

enum {
    TERMS = VAE_LATENTS_MAX + 1 /* the channels and 1 */,
    COLOURS = 3,
    BLOCK = 2 /* latents on a side of one colour, which pictures have; enough blocks for TERMS unknowns in small ones, too */
};

/* A colour of 0 to 255 is the sum over the channels and 1, last, of of[colour][channel] times it. */
struct preview_map {
    double of[COLOURS][TERMS];
};

const char *preview_missing(const struct request *r) {
    const struct model *m = r->model;
    if (m->safety || (r->then && r->then->model->safety))
        return "the model's safety checker would not see it (--no-safety-checker, or --save-every)";
    if (r->then && m->stages->on) return "memory is short beside a refiner";
    return NULL;
}

/* ---- least squares ------------------------------------------------------------------------------------------------- */

/* Solves A x = b for each colour, A symmetric and positive definite, by Gauss's elimination; A and b are used up. */
static void solve(double A[TERMS][TERMS], double b[COLOURS][TERMS], int n, double x[COLOURS][TERMS]) {
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++) {
            double f = A[k][i] / A[i][i];
            for (int j = i; j < n; j++) A[k][j] -= f * A[i][j];
            for (int c = 0; c < COLOURS; c++) b[c][k] -= f * b[c][i];
        }
    for (int c = 0; c < COLOURS; c++)
        for (int i = n - 1; i >= 0; i--) {
            x[c][i] = b[c][i];
            for (int j = i + 1; j < n; j++) x[c][i] -= A[i][j] * x[c][j];
            x[c][i] /= A[i][i];
        }
}

/* The latent's channels and 1. */
static void terms_at(double t[TERMS], const float *x, int C, size_t pixels, size_t i) {
    for (int c = 0; c < C; c++) t[c] = (double)x[(size_t)c * pixels + i];
    t[C] = 1;
}

/* The mean over the latent's factor * factor pixels of a picture w latents wide. */
static double mean_at(const uint8_t *rgb, int channels, int factor, int w, int i, int colour) {
    size_t stride = (size_t)w * (size_t)factor * (size_t)channels;
    const uint8_t *first = rgb + (size_t)(i / w) * (size_t)factor * stride + (size_t)(i % w) * (size_t)(factor * channels);
    double sum = 0;
    for (int v = 0; v < factor; v++)
        for (int u = 0; u < factor; u++) sum += first[(size_t)v * stride + (size_t)(u * channels + colour % channels)];
    return sum / (factor * factor);
}

/* x [C,h,w] and what the VAE makes of it, bytes [h*factor,w*factor,channels]. */
static void fit(struct preview_map *map, const float *x, const uint8_t *rgb, int C, int h, int w, int factor, int channels) {
    static const double ridge = 1e-6; /* a channel that says nothing has no part in it */
    double A[TERMS][TERMS] = {{0}}, b[COLOURS][TERMS] = {{0}}, t[TERMS];
    for (int i = 0; i < h * w; i++) {
        terms_at(t, x, C, (size_t)h * (size_t)w, (size_t)i);
        for (int j = 0; j <= C; j++)
            for (int k = 0; k <= C; k++) A[j][k] += t[j] * t[k];
        for (int c = 0; c < COLOURS; c++) {
            double mean = mean_at(rgb, channels, factor, w, i, c);
            for (int j = 0; j <= C; j++) b[c][j] += t[j] * mean;
        }
    }
    for (int j = 0; j <= C; j++) A[j][j] += ridge * h * w;
    solve(A, b, C + 1, map->of);
}

/* ---- the model's own ----------------------------------------------------------------------------------------------- */

/* Normal values, each for a block of latents. */
static void random_latents(float *x, int C, int h, int w) {
    int rows = (h + BLOCK - 1) / BLOCK, columns = (w + BLOCK - 1) / BLOCK;
    struct arena a = {0};
    struct rng rng;
    float *values = arena_array(&a, (size_t)(C * rows * columns), sizeof *values);
    rng_init(&rng, RNG_CPU, 0, (struct rng_gpu){0});
    rng_normal(&rng, values, (size_t)(C * rows * columns), DT_F32);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < h * w; i++)
            x[(size_t)c * (size_t)(h * w) + (size_t)i] = values[(c * rows + i / w / BLOCK) * columns + i % w / BLOCK];
    arena_free(&a);
}

/* The random latents take the picture's place while they are decoded. */
static void find_map(struct picture *p, struct model *m) {
    const struct request *r = p->drawing->request;
    const struct ops *op = m->device->ops;
    struct latents l = picture_latents(p);
    struct arena a = {0};
    float *own = p->noise, *x = arena_array(&a, request_latent_count(r), sizeof *x); /* on_step: noise holds the latents */
    int channels = m->picture_channels;
    uint8_t *rgb = arena_alloc(&a, request_latent_count(r) / (size_t)l.C * (size_t)(m->factor * m->factor * channels));
    random_latents(x, l.C, l.H, l.W);
    op->upload_latents(m->device, l.x, x, 1, l.H, l.W, l.C);
    p->noise = x;
    picture_decode(p, rgb);
    p->noise = own;
    op->upload_latents(m->device, l.x, own, 1, l.H, l.W, l.C);
    m->preview = arena_alloc(m->arena, sizeof *m->preview);
    fit(m->preview, x, rgb, l.C, l.H, l.W, m->factor, channels);
    arena_free(&a);
}

static uint8_t level(double x) {
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x + 0.5);
}

struct image preview_draw(struct arena *a, struct picture *p, int row) {
    const struct drawing *d = p->drawing;
    const struct request *r = d->request;
    struct model *m = request_decoder(r)->model;
    struct latents l = picture_latents(p);
    struct image image = image_new(a, l.W, l.H, m->vae ? COLOURS : m->picture_channels);
    size_t pixels = (size_t)l.H * (size_t)l.W;
    int next = row + 1 - d->first_row;
    double scale = next < r->schedule->n_rows ? fmin(1, (double)r->schedule->rows[next].in_scale) : 1, t[TERMS];
    if (!m->vae) return picture_decode(p, image.pixels), image;
    if (!m->preview) find_map(p, m);
    for (size_t i = 0; i < pixels; i++) {
        terms_at(t, p->noise, l.C, pixels, i);
        for (int c = 0; c < COLOURS; c++) {
            double sum = m->preview->of[c][l.C];
            for (int k = 0; k < l.C; k++) sum += m->preview->of[c][k] * scale * t[k];
            image.pixels[COLOURS * i + (size_t)c] = level(sum);
        }
    }
    return image;
}
