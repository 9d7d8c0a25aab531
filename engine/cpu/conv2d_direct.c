/* Convolution by oneDNN. Its fast kernels take dense NHWC only, so channel slices and enlarged inputs go through
 * scratch; temb and residual are laid into the output first and the primitive adds to it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "engine/cpu/conv2d.h"
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/row.h"

enum { BAND_PIXELS = 256, BAND_ROWS = 4 }; /* of the output in an item, at least */
#define FLOP_NS 0.015                      /* about */

struct direct_shape {
    struct cpu_conv band;
    const struct cpu_primitive *primitive;
    struct direct_shape *next;
};

struct direct_plan {
    struct cpu_plan plan;
    struct direct_shape *shapes;
    size_t scratchpad_bytes; /* of a thread */
};

static bool is_dense(struct view v) {
    return v.ld == v.C;
}

static struct cpu_conv conv_of(const struct conv_call *c) {
    struct conv_shape s = c->shape;
    int R = (int)c->w->shape[2], sum = c->temb.p || c->residual.p, H, W;
    conv_seen(c, &H, &W);
    return (struct cpu_conv){c->x.N,   H,     W,      c->x.C,   c->y.H,  c->y.W,       c->y.C, R,
                             s.stride, s.top, s.left, s.bottom, s.right, c->b != NULL, sum,    (int)c->x.dtype};
}

/* ---- bands: some rows of one image's output, whose number depends on the shape alone ----------------------------- */

static int band_rows(const struct cpu_conv *c) {
    int rows = imin(c->Ho, imax(BAND_ROWS, BAND_PIXELS / c->Wo)), bands = (c->Ho + rows - 1) / rows;
    return (c->Ho + bands - 1) / bands;
}

static int band_count(const struct cpu_conv *c) {
    return (c->Ho + band_rows(c) - 1) / band_rows(c);
}

/* Band i of every image; *first: its first row of input. */
static struct cpu_conv band_of(const struct cpu_conv *c, int i, int *first) {
    struct cpu_conv band = *c;
    int h0 = i * band_rows(c), h1 = imin(c->Ho, h0 + band_rows(c));
    int begin = h0 * c->stride - c->top, end = (h1 - 1) * c->stride - c->top + c->R;
    *first = imax(begin, 0);
    band.N = 1;
    band.Ho = h1 - h0;
    band.H = imin(end, c->H) - *first;
    band.top = *first - begin;
    band.bottom = end - imin(end, c->H);
    return band;
}

static const struct cpu_primitive *find(const struct direct_plan *plan, const struct cpu_conv *band) {
    const struct direct_shape *s = plan->shapes;
    while (s && memcmp(&s->band, band, sizeof *band)) s = s->next;
    return s ? s->primitive : NULL;
}

static void destroy(struct cpu_plan *base) {
    struct direct_plan *plan = (struct direct_plan *)base;
    for (struct direct_shape *s = plan->shapes, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(plan);
}

static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    dnnl_dim_t K = w->shape[0], C = w->shape[1], R = w->shape[2];
    const struct direct_plan *plan = w->plan;
    cpu_primitive_pack(plan->plan.layout[0], dev, w->packed, src, 4, (dnnl_dims_t){K, C, R, R}, (dnnl_dims_t){C * R * R, R * R, R, 1});
}

/* Where the pieces of scratch lie: a dense input, a dense output, oneDNN's own. */
struct layout {
    size_t x, y, scratchpad, bytes;
};

static struct layout scratch_layout(const struct cpu_device *dev, const struct conv_call *c, const struct cpu_conv *conv) {
    const struct direct_plan *plan = c->w->plan;
    bool copy_x = c->shape.upsample == 2 || !is_dense(c->x);
    size_t x_bytes = copy_x ? (size_t)conv->N * conv->H * conv->W * conv->C * view_item(c->x) : 0;
    size_t y_bytes = is_dense(c->y) ? 0 : view_rows(c->y) * c->y.C * view_item(c->y);
    struct layout l = {0, cpu_lines(x_bytes), cpu_lines(x_bytes) + cpu_lines(y_bytes), 0};
    l.bytes = l.scratchpad + (size_t)pool_threads(dev->base.pool) * plan->scratchpad_bytes;
    return l;
}

static void plan_band(struct cpu_device *dev, struct direct_plan *plan, const struct cpu_conv *band) {
    if (find(plan, band)) return;
    struct direct_shape *s = cpu_new(sizeof *s);
    *s = (struct direct_shape){*band, cpu_primitive_conv(dev, band, plan->plan.layout[0]), plan->shapes};
    plan->shapes = s;
    if (!plan->plan.layout[0]) plan->plan.layout[0] = s->primitive;
    plan->plan.packed_bytes = plan->plan.layout[0]->weights_bytes;
    if (s->primitive->scratchpad_bytes > plan->scratchpad_bytes) plan->scratchpad_bytes = s->primitive->scratchpad_bytes;
}

void conv_direct_plan(struct cpu_device *dev, const struct conv_call *c) {
    struct direct_plan *plan = (struct direct_plan *)cpu_plan_of(dev, c->w);
    if (!plan) {
        plan = cpu_new(sizeof *plan);
        plan->plan.pack = pack;
        plan->plan.destroy = destroy;
        cpu_plan_register(dev, c->w, &plan->plan, c->x.dtype);
    }
    struct cpu_conv conv = conv_of(c);
    for (int i = 0, first; i < band_count(&conv); i++) plan_band(dev, plan, (struct cpu_conv[]){band_of(&conv, i, &first)});
    cpu_scratch_reserve(dev, scratch_layout(dev, c, &conv).bytes);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct copying {
    struct view y, x, temb, residual;
    int scale;
};

/* Rows of pixels of y [N,H,W,C] = x, each pixel `scale` times in both directions. */
static void input_lines(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct copying *c = context;
    size_t bytes = (size_t)c->x.C * view_item(c->y), H = (size_t)c->y.H, W = (size_t)c->y.W, scale = (size_t)c->scale;
    for (size_t i = begin; i < end; i++) {
        size_t from = (i / H * (size_t)c->x.H + i % H / scale) * (size_t)c->x.W;
        for (size_t w = 0; w < W; w++) memcpy(row_at(c->y, i * W + w, 0), row_at(c->x, from + w / scale, 0), bytes);
    }
}

static void output_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct copying *c = context;
    for (size_t r = begin; r < end; r++) memcpy(row_at(c->y, r, 0), row_at(c->x, r, 0), (size_t)c->y.C * view_item(c->y));
}

/* y = temb + residual */
static void addend_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct copying *a = context;
    size_t rows_per_image = (size_t)a->y.H * a->y.W;
    for (size_t r = begin; r < end; r++)
        for (int c = 0; c < a->y.C; c += ROW_CHUNK) {
            float sum[ROW_CHUNK] = {0}, buffer[ROW_CHUNK];
            int n = imin(a->y.C - c, ROW_CHUNK);
            size_t image = a->temb.N == 1 ? 0 : r / rows_per_image;
            const float *t = a->temb.p ? row_load(a->temb.dtype, row_at(a->temb, image, c), buffer, n) : sum;
            for (int i = 0; i < n && t != sum; i++) sum[i] = t[i];
            const float *add = a->residual.p ? row_load(a->residual.dtype, row_at(a->residual, r, c), buffer, n) : NULL;
            for (int i = 0; i < n && add; i++) sum[i] += add[i];
            row_store(a->y.dtype, row_at(a->y, r, c), sum, n);
        }
}

struct direct {
    struct cpu_device *dev;
    struct view y, x; /* dense */
    const struct weight *w, *b;
    struct cpu_conv conv;
    char *scratchpads;
};

static void direct_bands(void *context, size_t begin, size_t end, int thread) {
    const struct direct *d = context;
    const struct direct_plan *plan = d->w->plan;
    size_t bands = (size_t)band_count(&d->conv);
    for (size_t i = begin; i < end; i++) {
        int first, n = (int)(i / bands);
        struct cpu_conv band = band_of(&d->conv, (int)(i % bands), &first);
        const struct cpu_primitive *p = find(plan, &band);
        assert(p);
        size_t h0 = (size_t)n * d->y.H + i % bands * (size_t)band_rows(&d->conv);
        cpu_primitive_run(p, d->dev, thread, row_at(d->y, h0 * d->y.W, 0), row_at(d->x, ((size_t)n * d->x.H + (size_t)first) * d->x.W, 0),
                          d->w->packed, d->b ? d->b->packed : NULL, d->scratchpads + (size_t)thread * plan->scratchpad_bytes);
    }
}

static void run(const struct direct *d) {
    size_t bands = (size_t)band_count(&d->conv);
    double flop = 2.0 * band_rows(&d->conv) * d->conv.Wo * d->conv.K * d->conv.C * d->conv.R * d->conv.R;
    pool_for(d->dev->base.pool, bands * (size_t)d->y.N, flop * FLOP_NS, direct_bands, (void *)(uintptr_t)d);
    cpu_check((dnnl_status_t)atomic_load(&d->dev->failed), "convolution");
}

void conv_direct(struct cpu_device *dev, const struct conv_call *c) {
    struct cpu_conv conv = conv_of(c);
    struct layout l = scratch_layout(dev, c, &conv);
    struct pool *pool = dev->base.pool;
    char *scratch = dev->scratch;
    struct view x = c->x, y = c->y;
    if (l.y > l.x) {
        x = view_dense(scratch + l.x, x.dtype, conv.N, conv.H, conv.W, conv.C);
        pool_for(pool, (size_t)x.N * (size_t)x.H, (double)x.W * x.C * ROW_NS, input_lines,
                 &(struct copying){.y = x, .x = c->x, .scale = c->shape.upsample});
    }
    if (!is_dense(y)) y = view_dense(scratch + l.y, y.dtype, y.N, y.H, y.W, y.C);
    if (c->temb.p || (c->residual.p && (c->residual.p != y.p || c->residual.ld != y.ld)))
        pool_for(pool, view_rows(y), y.C * ROW_NS, addend_rows, &(struct copying){.y = y, .temb = c->temb, .residual = c->residual});
    run(&(struct direct){dev, y, x, c->w, c->b, conv, scratch + l.scratchpad});
    if (y.p != c->y.p) pool_for(pool, view_rows(y), y.C * ROW_NS, output_rows, &(struct copying){.y = c->y, .x = y});
}
