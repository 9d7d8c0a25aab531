/* Group normalisation. An image's statistics span all its pixels, so each thread summarises blocks of rows small enough
 * for the cache (mean, then squares around it, both f32) and blocks are merged in double (Chan, Golub & LeVeque 1979):
 * the accuracy of two passes for one pass over memory. A second pass normalises. */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

enum { BLOCK_ELEMENTS = 8192, BLOCK_ROWS = 64 }; /* 32 KB of f32; at most 64 terms in an f32 sum */

struct moments {
    double count, mean, m2;
};

static void moments_merge(struct moments *a, struct moments b) {
    if (b.count == 0) return;
    double count = a->count + b.count, delta = b.mean - a->mean;
    a->m2 += b.m2 + delta * delta * a->count * b.count / count;
    a->mean += delta * b.count / count;
    a->count = count;
}

/* One thread's moments of a block [groups], channel vectors and row buffers [C]. */
struct lane {
    struct moments *block;
    float *sum, *mean, *scale, *shift, *in, *out;
};
enum { LANE_VECTORS = 6 };

static size_t lane_bytes(int C, int groups) {
    return ((size_t)groups * sizeof(struct moments) + (size_t)LANE_VECTORS * C * sizeof(float) + 63) / 64 * 64;
}

static struct lane lane_of(const struct cpu_device *dev, int C, int groups, int thread) {
    char *p = (char *)dev->scratch + lane_bytes(C, groups) * (size_t)thread;
    float *f = (float *)(p + (size_t)groups * sizeof(struct moments));
    return (struct lane){(struct moments *)p, f, f + C, f + 2 * C, f + 3 * C, f + 4 * C, f + 5 * C};
}

/* After the lanes: moments of each image's parts, [N, n_threads, groups]. */
static struct moments *part_moments(const struct cpu_device *dev, int C, int groups) {
    return (struct moments *)((char *)dev->scratch + lane_bytes(C, groups) * (size_t)dev->n_threads);
}

void cpu_group_norm_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                         bool silu) {
    (void)eps, (void)silu;
    assert(view_rows(y) == view_rows(x) && y.C == x.C && w->shape[0] == x.C && b->shape[0] == x.C && x.C % groups == 0);
    cpu_plan_dense(cpu_of(dev), w);
    cpu_plan_dense(cpu_of(dev), b);
    size_t n_threads = (size_t)cpu_of(dev)->n_threads;
    cpu_scratch_reserve(cpu_of(dev), n_threads * (lane_bytes(x.C, groups) + (size_t)x.N * groups * sizeof(struct moments)));
}

/* Rows [t0, t1) of x, one block: adds each group's moments to stats. Sums are of differences from the block's first
 * row, squares of differences from the group's mean. */
static void block_moments(const struct device *dev, struct view x, size_t t0, size_t t1, struct lane lane, int groups,
                          struct moments *stats) {
    int per_group = x.C / groups;
    double rows = (double)(t1 - t0);
    memcpy(lane.mean, row_load(dev, row_at(dev, x, t0, 0), lane.in, x.C), (size_t)x.C * sizeof *lane.mean);
    memset(lane.sum, 0, (size_t)x.C * sizeof *lane.sum);
    for (size_t t = t0 + 1; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
#pragma omp simd
        for (int c = 0; c < x.C; c++) lane.sum[c] += src[c] - lane.mean[c];
    }
    for (int g = 0; g < groups; g++) {
        double sum = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; c++) sum += lane.mean[c] + lane.sum[c] / rows;
        lane.block[g] = (struct moments){rows * per_group, sum / per_group, 0};
        for (int c = g * per_group; c < (g + 1) * per_group; c++) lane.mean[c] = (float)lane.block[g].mean;
    }
    memset(lane.sum, 0, (size_t)x.C * sizeof *lane.sum);
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
#pragma omp simd
        for (int c = 0; c < x.C; c++) lane.sum[c] += (src[c] - lane.mean[c]) * (src[c] - lane.mean[c]);
    }
    for (int g = 0; g < groups; g++) {
        for (int c = g * per_group; c < (g + 1) * per_group; c++) lane.block[g].m2 += lane.sum[c];
        moments_merge(&stats[g], lane.block[g]);
    }
}

/* y = (x - mean) * scale + shift, rows [t0, t1). */
static void normalise(const struct device *dev, struct view y, struct view x, size_t t0, size_t t1, struct lane lane, bool silu) {
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(dev, row_at(dev, x, t, 0), lane.in, x.C);
        float *dst = row_target(dev, row_at(dev, y, t, 0), lane.out);
        if (silu) {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = vm_silu((src[c] - lane.mean[c]) * lane.scale[c] + lane.shift[c]);
        } else {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = (src[c] - lane.mean[c]) * lane.scale[c] + lane.shift[c];
        }
        row_store(dev, row_at(dev, y, t, 0), dst, x.C);
    }
}

/* The channel vectors of one image from its parts' moments. */
static void prepare(struct lane lane, const struct moments *parts, int n_parts, int C, int groups, const float *w, const float *b,
                    float eps) {
    int per_group = C / groups;
    for (int g = 0; g < groups; g++) {
        struct moments all = {0};
        for (int p = 0; p < n_parts; p++) moments_merge(&all, parts[p * groups + g]);
        float rstd = (float)(1 / sqrt(all.m2 / all.count + eps)), rest = (float)(all.mean - (float)all.mean);
        for (int c = g * per_group; c < (g + 1) * per_group; c++) {
            lane.mean[c] = (float)all.mean;
            lane.scale[c] = rstd * w[c];
            lane.shift[c] = b[c] - rest * lane.scale[c]; /* what the f32 mean lost */
        }
    }
}

void cpu_group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                    bool silu) {
    int n_parts = cpu_of(dev)->n_threads; /* each image's rows are cut into one part per thread */
    size_t rows = (size_t)x.H * x.W, block = (size_t)imax(1, imin(BLOCK_ROWS, BLOCK_ELEMENTS / x.C));
    struct moments *parts = part_moments(cpu_of(dev), x.C, groups);
#pragma omp parallel num_threads(n_parts)
    {
        struct lane lane = lane_of(cpu_of(dev), x.C, groups, omp_get_thread_num());
#pragma omp for schedule(static)
        for (int i = 0; i < x.N * n_parts; i++) {
            size_t first = (size_t)(i / n_parts) * rows, p = (size_t)(i % n_parts);
            size_t t0 = first + rows * p / (size_t)n_parts, t1 = first + rows * (p + 1) / (size_t)n_parts;
            memset(parts + (size_t)i * groups, 0, (size_t)groups * sizeof *parts);
            for (size_t t = t0; t < t1; t += block)
                block_moments(dev, x, t, t + block < t1 ? t + block : t1, lane, groups, parts + (size_t)i * groups);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < x.N * n_parts; i++) {
            size_t first = (size_t)(i / n_parts) * rows, p = (size_t)(i % n_parts);
            prepare(lane, parts + (size_t)(i / n_parts) * n_parts * groups, n_parts, x.C, groups, w->packed, b->packed, eps);
            normalise(dev, y, x, first + rows * p / (size_t)n_parts, first + rows * (p + 1) / (size_t)n_parts, lane, silu);
        }
    }
}
