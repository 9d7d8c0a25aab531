/* Interpolation as torch's interpolate has it, rows of channels at a time. */
#include "engine/cpu/row.h"

struct resizing {
    struct view y, x;
    float scale_y, scale_x; /* input pixels per output pixel */
    enum interpolation way;
};

/* Input pixels per output pixel of one axis, as torch computes it in f32. */
static float scale_of(int in, int out, enum interpolation way) {
    if (way != INTERPOLATE_CORNERS) return (float)in / (float)out;
    return out > 1 ? (float)(in - 1) / (float)(out - 1) : 0;
}

/* Where output i lies: between input pixels *from and *to, `part` of the way. */
static float between(int i, float scale, enum interpolation way, int in, int *from, int *to) {
    float at = way == INTERPOLATE_CENTERS ? scale * ((float)i + 0.5f) - 0.5f : scale * (float)i;
    if (at < 0) at = 0;
    *from = imin((int)at, in - 1);
    if (way == INTERPOLATE_NEAREST) return *to = *from, 0;
    *to = imin(*from + 1, in - 1);
    return at - (float)*from;
}

static void resize_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct resizing *r = context;
    for (size_t t = begin; t < end; t++) {
        size_t line = t / (size_t)r->y.W, image = line / (size_t)r->y.H;
        int top, bottom, left, right;
        float down = between((int)(line % (size_t)r->y.H), r->scale_y, r->way, r->x.H, &top, &bottom);
        float across = between((int)(t % (size_t)r->y.W), r->scale_x, r->way, r->x.W, &left, &right);
        size_t first = image * (size_t)r->x.H, W = (size_t)r->x.W;
        size_t above = (first + (size_t)top) * W, below = (first + (size_t)bottom) * W;
        for (int c = 0; c < r->y.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, r->y.C - c);
            float in[4][ROW_CHUNK], out[ROW_CHUNK];
            const float *a = row_load(r->x.dtype, row_at(r->x, above + (size_t)left, c), in[0], n);
            const float *b = row_load(r->x.dtype, row_at(r->x, above + (size_t)right, c), in[1], n);
            const float *d = row_load(r->x.dtype, row_at(r->x, below + (size_t)left, c), in[2], n);
            const float *e = row_load(r->x.dtype, row_at(r->x, below + (size_t)right, c), in[3], n);
            float *dst = row_target(r->y.dtype, row_at(r->y, t, c), out);
#pragma omp simd
            for (int i = 0; i < n; i++)
                dst[i] = (1 - down) * ((1 - across) * a[i] + across * b[i]) + down * ((1 - across) * d[i] + across * e[i]);
            row_store(r->y.dtype, row_at(r->y, t, c), dst, n);
        }
    }
}

void cpu_resize(struct device *dev, struct view y, struct view x, enum interpolation way) {
    struct resizing r = {y, x, scale_of(x.H, y.H, way), scale_of(x.W, y.W, way), way};
    pool_for(dev->pool, view_rows(y), 4 * y.C * ROW_NS, resize_rows, &r);
}
