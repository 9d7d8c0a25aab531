/* Group normalisation. An image's statistics span all its pixels, so each thread summarises blocks of rows small enough for the
 * cache (mean, then squares around it, both f32) and blocks are merged in double (Chan, Golub & LeVeque 1979): the accuracy of two
 * passes for one pass over memory. A second pass normalises. */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

enum { BLOCK_ELEMENTS = 8192, BLOCK_ROWS = 64 }; /* 32 KB of f32; at most 64 terms in an f32 sum */

struct moments { double count, mean, m2; };

static void moments_merge(struct moments *a, struct moments b) {
    if (b.count == 0) return;
    double count = a->count + b.count, delta = b.mean - a->mean;
    a->m2 += b.m2 + delta * delta * a->count * b.count / count;
    a->mean += delta * b.count / count;
    a->count = count;
}

/* One thread's row buffers and channel vectors, all f32[C]. */
struct lane { float *sum, *mean, *scale, *in, *out; };
enum { LANE_VECTORS = 5 };

static size_t stats_count(const struct cpu_device *dev, struct view x, int groups) {
    return (size_t)x.N * (size_t)dev->n_threads * (size_t)groups;
}

static struct lane lane_of(struct cpu_device *dev, struct view x, int groups, int thread) {
    float *p = (float *)((struct moments *)dev->scratch + stats_count(dev, x, groups)) + (size_t)thread * LANE_VECTORS * x.C;
    return (struct lane){p, p + x.C, p + 2 * x.C, p + 3 * x.C, p + 4 * x.C};
}

void cpu_group_norm_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                         bool silu) {
    (void)eps, (void)silu;
    assert(view_rows(y) == view_rows(x) && y.C == x.C && w->shape[0] == x.C && b->shape[0] == x.C && x.C % groups == 0);
    cpu_plan_dense(cpu_of(dev), w);
    cpu_plan_dense(cpu_of(dev), b);
    cpu_scratch_reserve(cpu_of(dev), stats_count(cpu_of(dev), x, groups) * sizeof(struct moments) +
                                         (size_t)cpu_of(dev)->n_threads * LANE_VECTORS * (size_t)x.C * sizeof(float));
}

/* Rows [t0, t1) of x, one block: adds each group's moments to stats. */
static void block_moments(const struct device *dev, struct view x, size_t t0, size_t t1, struct lane lane, int groups,
                          struct moments *stats) {
    int per_group = x.C / groups;
    double count = (double)(t1 - t0) * per_group;
    memset(lane.sum, 0, (size_t)x.C * sizeof *lane.sum);
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
#pragma omp simd
        for (int c = 0; c < x.C; c++) lane.sum[c] += src[c];
    }
    for (int g = 0; g < groups; g++) {
        double sum = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; c++) sum += lane.sum[c];
        for (int c = g * per_group; c < (g + 1) * per_group; c++) lane.mean[c] = (float)(sum / count);
    }
    memset(lane.sum, 0, (size_t)x.C * sizeof *lane.sum);
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
#pragma omp simd
        for (int c = 0; c < x.C; c++) lane.sum[c] += (src[c] - lane.mean[c]) * (src[c] - lane.mean[c]);
    }
    for (int g = 0; g < groups; g++) {
        double m2 = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; c++) m2 += lane.sum[c];
        moments_merge(&stats[g], (struct moments){count, lane.mean[g * per_group], m2});
    }
}

/* y = (x - mean) * scale + b, rows [t0, t1). */
static void normalise(const struct device *dev, struct view y, struct view x, size_t t0, size_t t1, struct lane lane,
                      const float *b, bool silu) {
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
        float *dst = row_target(dev, row_at(dev, y, t, 0), lane.out);
        if (silu) {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = vm_silu((src[c] - lane.mean[c]) * lane.scale[c] + b[c]);
        } else {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = (src[c] - lane.mean[c]) * lane.scale[c] + b[c];
        }
        row_store(dev, row_at(dev, y, t, 0), dst, x.C);
    }
}

void cpu_group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                    bool silu) {
    int parts = cpu_of(dev)->n_threads, per_group = x.C / groups; /* each image's rows are cut into one part per thread */
    size_t rows = (size_t)x.H * x.W, block = (size_t)imax(1, imin(BLOCK_ROWS, BLOCK_ELEMENTS / x.C));
    struct moments *stats = cpu_of(dev)->scratch;
    const float *scale = w->packed;
#pragma omp parallel num_threads(parts)
    {
        struct lane lane = lane_of(cpu_of(dev), x, groups, omp_get_thread_num());
#pragma omp for schedule(static)
        for (int i = 0; i < x.N * parts; i++) {
            size_t first = (size_t)(i / parts) * rows, p = (size_t)(i % parts);
            size_t t0 = first + rows * p / (size_t)parts, t1 = first + rows * (p + 1) / (size_t)parts;
            memset(stats + (size_t)i * groups, 0, (size_t)groups * sizeof *stats);
            for (size_t t = t0; t < t1; t += block)
                block_moments(dev, x, t, t + block < t1 ? t + block : t1, lane, groups,
                              stats + (size_t)i * groups);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < x.N * parts; i++) {
            size_t first = (size_t)(i / parts) * rows, p = (size_t)(i % parts);
            for (int g = 0; g < groups; g++) {
                struct moments all = {0};
                for (int j = i / parts * parts; j < (i / parts + 1) * parts; j++) moments_merge(&all, stats[(size_t)j * groups + g]);
                float rstd = (float)(1 / sqrt(all.m2 / all.count + eps));
                for (int c = g * per_group; c < (g + 1) * per_group; c++) {
                    lane.mean[c] = (float)all.mean;
                    lane.scale[c] = rstd * scale[c];
                }
            }
            normalise(dev, y, x, first + rows * p / (size_t)parts, first + rows * (p + 1) / (size_t)parts, lane, b->packed, silu);
        }
    }
}
