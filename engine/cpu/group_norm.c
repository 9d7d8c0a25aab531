/* Group normalisation. An image's statistics span all its pixels, so threads summarise blocks of rows small enough
 * for the cache (mean, then squares around it, both f32) and blocks are merged in double (Chan, Golub & LeVeque 1979):
 * the accuracy of two passes for one pass over memory. A second pass normalises. */
#include <math.h>
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
    return cpu_lines((size_t)groups * sizeof(struct moments) + (size_t)LANE_VECTORS * C * sizeof(float));
}

static struct lane lane_of(const struct device *dev, int C, int groups, int thread) {
    char *p = (char *)((const struct cpu_device *)dev)->scratch + lane_bytes(C, groups) * (size_t)thread;
    float *f = (float *)(p + (size_t)groups * sizeof(struct moments));
    return (struct lane){(struct moments *)p, f, f + C, f + 2 * C, f + 3 * C, f + 4 * C, f + 5 * C};
}

/* An image's rows are cut into parts by its shape alone, so that the sums do not depend on the number of threads. */
enum { PART_ELEMENTS = 64 << 10, PARTS = 32 };

static int parts_of(struct view x) {
    size_t parts = (size_t)x.H * x.W * x.C / PART_ELEMENTS;
    return parts < 1 ? 1 : parts > PARTS ? PARTS : (int)parts;
}

/* After the lanes: moments of each image's parts, [N, parts, groups]; an image's own are those of its first part in the end. */
static struct moments *part_moments(const struct cpu_device *dev, int C, int groups) {
    return (struct moments *)((char *)dev->scratch + lane_bytes(C, groups) * (size_t)pool_threads(dev->base.pool));
}

void cpu_group_norm_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                         bool silu) {
    (void)y, (void)eps, (void)silu;
    cpu_plan_dense(cpu_of(dev), w, DT_F32);
    cpu_plan_dense(cpu_of(dev), b, DT_F32);
    size_t lanes = (size_t)pool_threads(dev->pool) * lane_bytes(x.C, groups);
    cpu_scratch_reserve(cpu_of(dev), lanes + (size_t)x.N * parts_of(x) * groups * sizeof(struct moments));
}

/* Rows [t0, t1) of x, one block: adds each group's moments to stats. Sums are of differences from the block's first
 * row, squares of differences from the group's mean. */
static void block_moments(struct view x, size_t t0, size_t t1, struct lane lane, int groups, struct moments *stats) {
    int per_group = x.C / groups;
    double rows = (double)(t1 - t0);
    memcpy(lane.mean, row_load(x.dtype, row_at(x, t0, 0), lane.in, x.C), (size_t)x.C * sizeof *lane.mean);
    memset(lane.sum, 0, (size_t)x.C * sizeof *lane.sum);
    for (size_t t = t0 + 1; t < t1; t++) {
        const float *src = row_load(x.dtype, row_at(x, t, 0), lane.in, x.C);
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
        const float *src = row_load(x.dtype, row_at(x, t, 0), lane.in, x.C);
#pragma omp simd
        for (int c = 0; c < x.C; c++) lane.sum[c] += (src[c] - lane.mean[c]) * (src[c] - lane.mean[c]);
    }
    for (int g = 0; g < groups; g++) {
        for (int c = g * per_group; c < (g + 1) * per_group; c++) lane.block[g].m2 += lane.sum[c];
        moments_merge(&stats[g], lane.block[g]);
    }
}

/* y = (x - mean) * scale + shift, rows [t0, t1). */
static void normalise(struct view y, struct view x, size_t t0, size_t t1, struct lane lane, bool silu) {
    for (size_t t = t0; t < t1; t++) {
        const float *src = row_load(x.dtype, row_at(x, t, 0), lane.in, x.C);
        float *dst = row_target(y.dtype, row_at(y, t, 0), lane.out);
        if (silu) {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = vm_silu((src[c] - lane.mean[c]) * lane.scale[c] + lane.shift[c]);
        } else {
#pragma omp simd
            for (int c = 0; c < x.C; c++) dst[c] = (src[c] - lane.mean[c]) * lane.scale[c] + lane.shift[c];
        }
        row_store(y.dtype, row_at(y, t, 0), dst, x.C);
    }
}

struct group_norm {
    const struct device *dev;
    struct view y, x;
    const float *w, *b;
    int groups, n_parts;
    float eps;
    bool silu;
    size_t rows, block; /* of an image; summed at a time */
    struct moments *parts;
};

static void part_jobs(void *context, size_t begin, size_t end, int thread) {
    const struct group_norm *g = context;
    struct lane lane = lane_of(g->dev, g->x.C, g->groups, thread);
    for (size_t i = begin; i < end; i++) {
        size_t n_parts = (size_t)g->n_parts, first = i / n_parts * g->rows, p = i % n_parts;
        size_t t1 = first + g->rows * (p + 1) / n_parts;
        struct moments *part = g->parts + i * (size_t)g->groups;
        memset(part, 0, (size_t)g->groups * sizeof *part);
        for (size_t t = first + g->rows * p / n_parts; t < t1; t += g->block)
            block_moments(g->x, t, t + g->block < t1 ? t + g->block : t1, lane, g->groups, part);
    }
}

/* The channel vectors of image n from its moments. */
static void prepare(const struct group_norm *g, size_t n, struct lane lane) {
    int per_group = g->x.C / g->groups;
    for (int i = 0; i < g->groups; i++) {
        struct moments all = g->parts[n * (size_t)(g->n_parts * g->groups) + (size_t)i];
        float rstd = (float)(1 / sqrt(all.m2 / all.count + g->eps)), rest = (float)(all.mean - (float)all.mean);
        for (int c = i * per_group; c < (i + 1) * per_group; c++) {
            lane.mean[c] = (float)all.mean;
            lane.scale[c] = rstd * g->w[c];
            lane.shift[c] = g->b[c] - rest * lane.scale[c]; /* what the f32 mean lost */
        }
    }
}

static void normalise_rows(void *context, size_t begin, size_t end, int thread) {
    const struct group_norm *g = context;
    struct lane lane = lane_of(g->dev, g->x.C, g->groups, thread);
    for (size_t t = begin, t1; t < end; t = t1) {
        size_t n = t / g->rows;
        t1 = (n + 1) * g->rows < end ? (n + 1) * g->rows : end;
        prepare(g, n, lane);
        normalise(g->y, g->x, t, t1, lane, g->silu);
    }
}

void cpu_group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                    bool silu) {
    struct group_norm g = {.dev = dev, .y = y, .x = x, .w = w->packed, .b = b->packed, .groups = groups, .eps = eps, .silu = silu};
    g.n_parts = parts_of(x);
    g.rows = (size_t)x.H * x.W;
    g.block = (size_t)imax(1, imin(BLOCK_ROWS, BLOCK_ELEMENTS / x.C));
    g.parts = part_moments(cpu_of(dev), x.C, groups);
    size_t per_image = (size_t)g.n_parts * (size_t)groups;
    pool_for(dev->pool, (size_t)x.N * (size_t)g.n_parts, (double)g.rows * x.C / g.n_parts * ROW_NS, part_jobs, &g);
    for (size_t n = 0; n < (size_t)x.N; n++)
        for (size_t i = (size_t)groups; i < per_image; i++)
            moments_merge(&g.parts[n * per_image + i % (size_t)groups], g.parts[n * per_image + i]);
    pool_for(dev->pool, (size_t)x.N * g.rows, x.C * ROW_NS, normalise_rows, &g);
}
