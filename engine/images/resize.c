/* Floats are summed in the libraries' order and nothing is fused here (see the Makefile): a weight off by one bit is a pixel off by one. */
#include "engine/images/resize.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static double sinc(double x) {
    return x == 0 ? 1 : sin(x * M_PI) / (x * M_PI);
}

static double bicubic(double x) {
    const double b = -0.5;
    x = fabs(x);
    return x < 1 ? ((b + 2) * x - (b + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * b : 0;
}

static double hamming(double x) {
    x = fabs(x);
    return x == 0 ? 1 : x >= 1 ? 0 : sinc(x) * (0.54f + 0.46f * cos(x * M_PI));
}

static double filter_at(enum resize_filter filter, double x) {
    switch (filter) {
    case RESIZE_LANCZOS: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case RESIZE_BICUBIC: return bicubic(x);
    case RESIZE_BILINEAR: return fabs(x) < 1 ? 1 - fabs(x) : 0;
    case RESIZE_HAMMING: return hamming(x);
    case RESIZE_BOX: return x > -0.5 && x <= 0.5;
    case RESIZE_NEAREST: break;
    }
    return 0;
}

static const double support_of[] = {
    [RESIZE_LANCZOS] = 3, [RESIZE_BILINEAR] = 1, [RESIZE_BICUBIC] = 2, [RESIZE_BOX] = 0.5, [RESIZE_HAMMING] = 1};

/* One axis: output i is sum over k < count[i] of w[i][k] * input[first[i] + k]. */
struct taps {
    int n, stride; /* outputs; weights kept for each */
    int *first, *count;
    double *w;    /* [n,stride], each row's sum 1 */
    int32_t *fix; /* [n,stride], w in fixed point … */
    int shift;    /* … with so many bits behind the point */
};

/* From the part of the axis that begins at `begin` and is `length` long (0 at an edge), of n_in pixels, to n. */
static struct taps taps_new(struct arena *a, int n_in, double begin, double length, int n, enum resize_filter filter) {
    double scale = length / n, widen = scale < 1 ? 1 : scale, support = support_of[filter] * widen, narrow = 1 / widen;
    struct taps t = {.n = n, .stride = (int)ceil(support) * 2 + 1};
    t.first = arena_array(a, (size_t)n, sizeof *t.first);
    t.count = arena_array(a, (size_t)n, sizeof *t.count);
    t.w = arena_array(a, (size_t)n * (size_t)t.stride, sizeof *t.w);
    for (int i = 0; i < n; i++) {
        double center = begin + (i + 0.5) * scale, sum = 0, *w = t.w + (size_t)i * (size_t)t.stride;
        int lo = (int)(center - support + 0.5), hi = (int)(center + support + 0.5);
        t.first[i] = lo < 0 ? 0 : lo;
        t.count[i] = (hi > n_in ? n_in : hi) - t.first[i];
        for (int k = 0; k < t.count[i]; k++) sum += w[k] = filter_at(filter, (k + t.first[i] - center + 0.5) * narrow);
        for (int k = 0; k < t.count[i] && sum != 0; k++) w[k] /= sum;
    }
    return t;
}

enum { PILLOW_SHIFT = 22, TORCH_SHIFT_MAX = 22 };

/* As many bits as leave the largest weight of the axis in 16. */
static int torch_shift(const struct taps *t) {
    double most = 0;
    for (size_t i = 0; i < (size_t)t->n * (size_t)t->stride; i++)
        if (t->w[i] > most) most = t->w[i];
    int shift = 0;
    while (shift < TORCH_SHIFT_MAX && (int)(0.5 + most * (1 << (shift + 1))) < 1 << 15) shift++;
    return shift;
}

static void taps_fix(struct arena *a, struct taps *t, int shift) {
    size_t n = (size_t)t->n * (size_t)t->stride;
    t->shift = shift;
    t->fix = arena_array(a, n, sizeof *t->fix);
    for (size_t i = 0; i < n; i++) t->fix[i] = (int32_t)(t->w[i] * (1 << shift) + (t->w[i] < 0 ? -0.5 : 0.5));
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static inline uint8_t clip8(int32_t sum, int shift) {
    int32_t v = sum >> shift;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static inline void row_pass(uint8_t *restrict out, const uint8_t *in, const struct taps *t, const int C) {
    for (int i = 0; i < t->n; i++, out += C) {
        const uint8_t *p = in + (size_t)t->first[i] * (size_t)C;
        const int32_t *w = t->fix + (size_t)i * (size_t)t->stride;
        int32_t sum[3] = {1 << (t->shift - 1), 1 << (t->shift - 1), 1 << (t->shift - 1)};
        for (int k = 0, n = t->count[i]; k < n; k++, p += C)
            for (int c = 0; c < C; c++) sum[c] += p[c] * w[k];
        for (int c = 0; c < C; c++) out[c] = clip8(sum[c], t->shift);
    }
}

static struct image horizontal(struct arena *a, const struct image *in, const struct taps *t) {
    struct image out = image_new(a, t->n, in->H, in->C);
    size_t from = (size_t)in->W * (size_t)in->C, to = (size_t)out.W * (size_t)out.C;
    for (int y = 0; y < in->H; y++) {
        uint8_t *o = out.pixels + (size_t)y * to;
        const uint8_t *p = in->pixels + (size_t)y * from;
        if (in->C == 1) row_pass(o, p, t, 1);
        else row_pass(o, p, t, 3);
    }
    return out;
}

enum { COLUMNS = 256 }; /* of one row at a time: the sums stay in the first cache */

static struct image vertical(struct arena *a, const struct image *in, const struct taps *t) {
    struct image out = image_new(a, in->W, t->n, in->C);
    int row = in->W * in->C;
    for (int y = 0; y < t->n; y++) {
        const int32_t *w = t->fix + (size_t)y * (size_t)t->stride;
        for (int x = 0; x < row; x += COLUMNS) {
            int32_t sum[COLUMNS];
            int n = row - x < COLUMNS ? row - x : COLUMNS;
            for (int i = 0; i < n; i++) sum[i] = 1 << (t->shift - 1);
            for (int k = 0; k < t->count[y]; k++) {
                const uint8_t *p = in->pixels + (size_t)(t->first[y] + k) * (size_t)row + x;
                for (int i = 0; i < n; i++) sum[i] += p[i] * w[k];
            }
            for (int i = 0; i < n; i++) out.pixels[(size_t)y * (size_t)row + (size_t)(x + i)] = clip8(sum[i], t->shift);
        }
    }
    return out;
}

/* ---- the libraries ----------------------------------------------------------------------------------------------- */

/* The source of each output along one axis; the libraries add up the positions rather than multiply. */
static int *nearest_sources(struct arena *a, int n_in, int n) {
    int *source = arena_array(a, (size_t)n, sizeof *source);
    double step = (double)n_in / n, at = step * 0.5;
    for (int i = 0; i < n; i++, at += step) source[i] = at < n_in ? (int)at : n_in - 1;
    return source;
}

static struct image nearest(struct arena *a, const struct image *in, int W, int H) {
    struct image out = image_new(a, W, H, in->C);
    struct arena *scratch = image_scratch(a);
    int *xs = nearest_sources(scratch, in->W, W), *ys = nearest_sources(scratch, in->H, H);
    size_t C = (size_t)in->C;
    uint8_t *to = out.pixels;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++, to += C) memcpy(to, in->pixels + ((size_t)ys[y] * (size_t)in->W + (size_t)xs[x]) * C, C);
    arena_free(scratch);
    return out;
}

static struct image copy(struct arena *a, const struct image *in) {
    struct image out = image_new(a, in->W, in->H, in->C);
    image_paste(&out, in, 0, 0);
    return out;
}

/* A pass whose size stays is left out; taps without weights in fixed point stand for that. */
static struct image passes(struct arena *a, struct arena *scratch, const struct image *in, const struct taps *x, const struct taps *y,
                           bool vertical_first) {
    struct image between = *in, out;
    if (x->fix && y->fix) between = vertical_first ? vertical(scratch, in, y) : horizontal(scratch, in, x);
    if (x->fix && (vertical_first || !y->fix)) out = horizontal(a, &between, x);
    else if (y->fix) out = vertical(a, &between, y);
    else out = copy(a, in);
    return out;
}

static struct image resize(struct arena *a, const struct image *in, int W, int H, enum resize_filter filter, bool torch) {
    assert(W > 0 && H > 0);
    struct arena *scratch = image_scratch(a);
    struct taps x = {0}, y = {0};
    if (W != in->W) {
        x = taps_new(scratch, in->W, 0, in->W, W, filter);
        taps_fix(scratch, &x, torch ? torch_shift(&x) : PILLOW_SHIFT);
    }
    if (H != in->H) {
        y = taps_new(scratch, in->H, 0, in->H, H, filter);
        taps_fix(scratch, &y, torch ? torch_shift(&y) : PILLOW_SHIFT);
    }
    /* Pillow 13's rule as it stands, odd where the width grows: any cut of the height then comes first */
    bool vertical_first = !torch && H < in->H && in->H - H > 2 * (in->W - W);
    struct image out = passes(a, scratch, in, &x, &y, vertical_first);
    arena_free(scratch);
    return out;
}

struct image resize_pillow(struct arena *a, const struct image *in, int W, int H, enum resize_filter filter) {
    return filter == RESIZE_NEAREST ? nearest(a, in, W, H) : resize(a, in, W, H, filter, false);
}

struct image resize_torchvision(struct arena *a, const struct image *in, int W, int H, enum resize_filter filter) {
    assert(filter == RESIZE_BILINEAR || filter == RESIZE_BICUBIC);
    return resize(a, in, W, H, filter, true);
}

struct image resize_edge(struct arena *a, const struct image *in, enum resize_edge edge, int n) {
    bool is_row = edge == EDGE_TOP || edge == EDGE_BOTTOM;
    int n_in = is_row ? in->H : in->W;
    struct arena *scratch = image_scratch(a);
    struct taps t = taps_new(scratch, n_in, edge == EDGE_BOTTOM || edge == EDGE_RIGHT ? n_in : 0, 0, n, RESIZE_BICUBIC);
    taps_fix(scratch, &t, PILLOW_SHIFT);
    struct image out = is_row ? vertical(a, in, &t) : horizontal(a, in, &t);
    arena_free(scratch);
    return out;
}
