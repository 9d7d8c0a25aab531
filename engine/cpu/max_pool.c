#include <math.h>
#include "engine/cpu/row.h"

struct pooling {
    struct view y, x;
    int R;
    struct conv_shape shape;
};

/* NaN stays. */
static float larger(float a, float b) {
    return a >= b || isnan(a) ? a : b;
}

/* y[t] = the largest of the window at y0, x0 of that image. */
static void pool_row(const struct pooling *p, size_t t, size_t image, int y0, int x0) {
    for (int c = 0; c < p->y.C; c += ROW_CHUNK) {
        int n = imin(ROW_CHUNK, p->y.C - c);
        float in[ROW_CHUNK], most[ROW_CHUNK];
        for (int i = 0; i < n; i++) most[i] = -INFINITY;
        for (int v = imax(y0, 0); v < imin(y0 + p->R, p->x.H); v++)
            for (int u = imax(x0, 0); u < imin(x0 + p->R, p->x.W); u++) {
                size_t pixel = (image * (size_t)p->x.H + (size_t)v) * (size_t)p->x.W + (size_t)u;
                const float *src = row_load(p->x.dtype, row_at(p->x, pixel, c), in, n);
                for (int i = 0; i < n; i++) most[i] = larger(most[i], src[i]);
            }
        row_store(p->y.dtype, row_at(p->y, t, c), most, n);
    }
}

static void pool_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct pooling *p = context;
    for (size_t t = begin; t < end; t++) {
        size_t line = t / (size_t)p->y.W;
        pool_row(p, t, line / (size_t)p->y.H, (int)(line % (size_t)p->y.H) * p->shape.stride - p->shape.top,
                 (int)(t % (size_t)p->y.W) * p->shape.stride - p->shape.left);
    }
}

void cpu_max_pool(struct device *dev, struct view y, struct view x, int R, struct conv_shape shape) {
    pool_for(dev->pool, view_rows(y), R * R * y.C * ROW_NS, pool_rows, &(struct pooling){y, x, R, shape});
}
