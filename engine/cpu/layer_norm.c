/* Each row fits in the first-level cache: mean, then variance around it, then the result. */
#include <assert.h>
#include <math.h>
#include "engine/cpu/row.h"

void cpu_layer_norm_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    (void)eps;
    assert(view_rows(y) == view_rows(x) && y.C == x.C && w->shape[0] == x.C && b->shape[0] == x.C);
    cpu_plan_dense(cpu_of(dev), w);
    cpu_plan_dense(cpu_of(dev), b);
}

/* sum over the row of (x - mean)^power, power 1 or 2; chunks keep the f32 sums short. */
static double row_moment(const struct device *dev, struct view x, size_t t, float mean, int power) {
    float in[ROW_CHUNK];
    double total = 0;
    for (int c = 0; c < x.C; c += ROW_CHUNK) {
        int n = imin(ROW_CHUNK, x.C - c);
        const float *src = row_load(dev, row_at(dev, x, t, c), in, n);
        float sum = 0;
        if (power == 1) {
#pragma omp simd reduction(+ : sum)
            for (int i = 0; i < n; i++) sum += src[i];
        } else {
#pragma omp simd reduction(+ : sum)
            for (int i = 0; i < n; i++) sum += (src[i] - mean) * (src[i] - mean);
        }
        total += sum;
    }
    return total;
}

static void normalise_row(const struct device *dev, struct view y, struct view x, size_t t, const float *w, const float *b,
                          float mean, float rstd) {
    float in[ROW_CHUNK], out[ROW_CHUNK];
    for (int c = 0; c < x.C; c += ROW_CHUNK) {
        int n = imin(ROW_CHUNK, x.C - c);
        const float *src = row_load(dev, row_at(dev, x, t, c), in, n);
        float *dst = row_target(dev, row_at(dev, y, t, c), out);
#pragma omp simd
        for (int i = 0; i < n; i++) dst[i] = (src[i] - mean) * rstd * w[c + i] + b[c + i];
        row_store(dev, row_at(dev, y, t, c), dst, n);
    }
}

void cpu_layer_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
#pragma omp parallel for schedule(static)
    for (size_t t = 0; t < view_rows(x); t++) {
        float mean = (float)(row_moment(dev, x, t, 0, 1) / x.C);
        double variance = row_moment(dev, x, t, mean, 2) / x.C;
        normalise_row(dev, y, x, t, w->packed, b->packed, mean, (float)(1 / sqrt(variance + eps)));
    }
}
