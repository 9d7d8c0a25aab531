/* Each row fits in the first-level cache: a mean, the sums around it, which correct it (Chan, Golub & LeVeque 1983),
 * then the result. */
#include <math.h>
#include "engine/cpu/row.h"

void cpu_layer_norm_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    (void)y, (void)x, (void)eps;
    cpu_plan_dense(cpu_of(dev), w, DT_F32);
    cpu_plan_dense(cpu_of(dev), b, DT_F32);
}

/* Sums over the row of (x - pivot) and its square. Chunks keep the f32 sums short. */
static void row_sums(struct view x, size_t t, float pivot, double *sum, double *squares) {
    float in[ROW_CHUNK];
    *sum = *squares = 0;
    for (int c = 0; c < x.C; c += ROW_CHUNK) {
        int n = imin(ROW_CHUNK, x.C - c);
        const float *src = row_load(x.dtype, row_at(x, t, c), in, n);
        float s = 0, q = 0;
#pragma omp simd reduction(+ : s, q)
        for (int i = 0; i < n; i++) {
            float d = src[i] - pivot;
            s += d;
            q += d * d;
        }
        *sum += s;
        *squares += q;
    }
}

/* y = (x - mean - rest) rstd w + b: an f32 alone cannot hold a mean much larger than the deviation. */
static void normalise_row(struct view y, struct view x, size_t t, const float *w, const float *b, float mean, float rest, float rstd) {
    float in[ROW_CHUNK], out[ROW_CHUNK];
    for (int c = 0; c < x.C; c += ROW_CHUNK) {
        int n = imin(ROW_CHUNK, x.C - c);
        const float *src = row_load(x.dtype, row_at(x, t, c), in, n);
        float *dst = row_target(y.dtype, row_at(y, t, c), out);
#pragma omp simd
        for (int i = 0; i < n; i++) dst[i] = ((src[i] - mean) * rstd - rest * rstd) * w[c + i] + b[c + i];
        row_store(y.dtype, row_at(y, t, c), dst, n);
    }
}

struct layer_norm {
    const struct device *dev;
    struct view y, x;
    const float *w, *b;
    float eps;
};

static void layer_norm_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct layer_norm *l = context;
    for (size_t t = begin; t < end; t++) {
        double sum, squares;
        row_sums(l->x, t, 0, &sum, &squares);
        float mean = (float)(sum / l->x.C);
        row_sums(l->x, t, mean, &sum, &squares);
        double rest = sum / l->x.C, variance = squares / l->x.C - rest * rest;
        normalise_row(l->y, l->x, t, l->w, l->b, mean, (float)rest, (float)(1 / sqrt(variance + l->eps)));
    }
}

void cpu_layer_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    pool_for(dev->pool, view_rows(x), x.C * ROW_NS, layer_norm_rows, &(struct layer_norm){dev, y, x, w->packed, b->packed, eps});
}
