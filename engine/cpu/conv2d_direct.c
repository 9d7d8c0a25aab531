/* Convolution by oneDNN. Its fast kernels take dense NHWC only, so channel slices and enlarged inputs go through
 * scratch; temb and residual are laid into the output first and the primitive adds to it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "engine/cpu/conv2d.h"
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/row.h"

struct direct_shape {
    struct cpu_conv conv;
    struct cpu_primitive primitive;
    struct direct_shape *next;
};

struct direct_plan {
    struct cpu_plan plan;
    struct direct_shape *shapes; /* the first one planned, last in the list, chose the layout */
};

static size_t align64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}
static size_t element_bytes(const struct cpu_device *dev) {
    return dtype_table[dev->base.dtype].size;
}
static bool is_dense(struct view v) {
    return v.ld == v.C;
}

static struct cpu_conv conv_of(const struct conv_call *c) {
    struct conv_shape s = c->shape;
    int R = (int)c->w->shape[2], sum = c->temb.p || c->residual.p;
    int H = c->x.H * s.upsample, W = c->x.W * s.upsample;
    if (s.upsample == 2) { /* the crop: exactly as many rows and columns as y needs */
        H = c->y.H * s.stride - s.stride + R - s.top - s.bottom;
        W = c->y.W * s.stride - s.stride + R - s.left - s.right;
    }
    return (struct cpu_conv){c->x.N,   H,     W,      c->x.C,   c->y.H,  c->y.W,       c->y.C, R,
                             s.stride, s.top, s.left, s.bottom, s.right, c->b != NULL, sum};
}

static struct direct_shape *find(const struct direct_plan *plan, const struct cpu_conv *conv) {
    struct direct_shape *s = plan->shapes;
    while (s && memcmp(&s->conv, conv, sizeof *conv)) s = s->next;
    return s;
}

static void destroy(struct cpu_plan *base) {
    struct direct_plan *plan = (struct direct_plan *)base;
    for (struct direct_shape *s = plan->shapes, *next; s; s = next) {
        next = s->next;
        cpu_primitive_destroy(&s->primitive);
        free(s);
    }
    free(plan);
}

static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    dnnl_dim_t K = w->shape[0], C = w->shape[1], R = w->shape[2];
    const struct direct_plan *plan = w->plan;
    cpu_primitive_pack(&plan->shapes->primitive, dev, w->packed, src, 4, (dnnl_dims_t){K, C, R, R}, (dnnl_dims_t){C * R * R, R * R, R, 1});
}

/* Where the pieces of scratch lie: a dense input, a dense output, oneDNN's own. */
struct layout {
    size_t x, y, scratchpad, bytes;
};

static struct layout scratch_layout(const struct cpu_device *dev, const struct conv_call *c, const struct direct_shape *s) {
    bool copy_x = c->shape.upsample == 2 || !is_dense(c->x);
    size_t x_bytes = copy_x ? (size_t)s->conv.N * s->conv.H * s->conv.W * s->conv.C * element_bytes(dev) : 0;
    size_t y_bytes = is_dense(c->y) ? 0 : view_rows(c->y) * c->y.C * element_bytes(dev);
    struct layout l = {0, align64(x_bytes), align64(x_bytes) + align64(y_bytes), 0};
    l.bytes = l.scratchpad + s->primitive.scratchpad_bytes;
    return l;
}

void conv_direct_plan(struct cpu_device *dev, const struct conv_call *c) {
    struct direct_plan *plan = c->w->plan;
    if (!plan) {
        plan = cpu_new(sizeof *plan);
        plan->plan.pack = pack;
        plan->plan.destroy = destroy;
        cpu_plan_register(dev, c->w, &plan->plan);
    }
    struct cpu_conv conv = conv_of(c);
    struct direct_shape *s = find(plan, &conv);
    if (!s) {
        s = cpu_new(sizeof *s);
        s->conv = conv;
        cpu_primitive_conv(&s->primitive, dev, &conv, plan->shapes ? &plan->shapes->primitive.weights_md : NULL);
        s->next = plan->shapes;
        plan->shapes = s;
        plan->plan.packed_bytes = s->primitive.weights_bytes;
    }
    cpu_scratch_reserve(dev, scratch_layout(dev, c, s).bytes);
}

/* dst [N,H,W,C] = x, each pixel `scale` times in both directions. */
static void copy_input(const struct cpu_device *dev, struct view dst, struct view x, int scale) {
    size_t bytes = (size_t)x.C * element_bytes(dev);
#pragma omp parallel for collapse(2) num_threads(dev->n_threads)
    for (int n = 0; n < dst.N; n++)
        for (int h = 0; h < dst.H; h++)
            for (int w = 0; w < dst.W; w++)
                memcpy(row_at(&dev->base, dst, ((size_t)n * dst.H + h) * dst.W + w, 0),
                       row_at(&dev->base, x, ((size_t)n * x.H + h / scale) * x.W + w / scale, 0), bytes);
}

static void copy_rows(const struct cpu_device *dev, struct view dst, struct view src) {
#pragma omp parallel for num_threads(dev->n_threads)
    for (size_t r = 0; r < view_rows(dst); r++)
        memcpy(row_at(&dev->base, dst, r, 0), row_at(&dev->base, src, r, 0), (size_t)dst.C * element_bytes(dev));
}

/* y = temb + residual */
static void lay_addends(struct cpu_device *dev, struct view y, struct view temb, struct view residual) {
    const struct device *base = &dev->base;
    size_t rows_per_image = (size_t)y.H * y.W;
#pragma omp parallel for num_threads(dev->n_threads)
    for (size_t r = 0; r < view_rows(y); r++)
        for (int c = 0; c < y.C; c += ROW_CHUNK) {
            float sum[ROW_CHUNK] = {0}, buffer[ROW_CHUNK];
            int n = imin(y.C - c, ROW_CHUNK);
            const float *t = temb.p ? row_load(base, row_at(base, temb, temb.N == 1 ? 0 : r / rows_per_image, c), buffer, n) : sum;
            for (int i = 0; i < n && t != sum; i++) sum[i] = t[i];
            const float *a = residual.p ? row_load(base, row_at(base, residual, r, c), buffer, n) : NULL;
            for (int i = 0; i < n && a; i++) sum[i] += a[i];
            row_store(base, row_at(base, y, r, c), sum, n);
        }
}

void conv_direct(struct cpu_device *dev, const struct conv_call *c) {
    const struct direct_shape *s = find(c->w->plan, (struct cpu_conv[]){conv_of(c)});
    assert(s);
    struct layout l = scratch_layout(dev, c, s);
    char *scratch = dev->scratch;
    struct view x = c->x, y = c->y;
    if (l.y > l.x) {
        x = (struct view){scratch + l.x, s->conv.N, s->conv.H, s->conv.W, s->conv.C, s->conv.C};
        copy_input(dev, x, c->x, c->shape.upsample);
    }
    if (!is_dense(y)) y = (struct view){scratch + l.y, y.N, y.H, y.W, y.C, y.C};
    if (c->temb.p || (c->residual.p && (c->residual.p != y.p || c->residual.ld != y.ld))) lay_addends(dev, y, c->temb, c->residual);
    cpu_primitive_run(&s->primitive, dev, y.p, x.p, c->w->packed, c->b ? c->b->packed : NULL, scratch + l.scratchpad);
    if (y.p != c->y.p) copy_rows(dev, c->y, y);
}
