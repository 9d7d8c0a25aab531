/* 3x3 convolution of stride 1 by Winograd's F(4x4,3x3) (Lavin & Gray 2015): 36 products give 16 outputs, a quarter of
 * the direct 144.
 *
 *   y = Aᵀ [(G g Gᵀ) . (Bᵀ d B)] A        d: a 6x6 patch of x   g: the 3x3 filter   y: a 4x4 tile of the output
 *
 * Point by point of the 6x6 that is a product of matrices, [tiles,C] x [C,K]. Evaluation points 0, ±5/8, ±3/2, ∞: of
 * all eighths they give the smallest error, half that of 0, ±1, ±2, ∞. Against float64 the rms error is 1.2 times that
 * of oneDNN's direct algorithm at C = 128, 0.8 times at 320, 0.5 times at 2560: the sums over C are taken a chunk at a
 * time.
 *
 * Filters are kept as they are, nine numbers each, and transformed when used, a chunk of channels at a time into the L2
 * cache: for a block of 96 tiles that is 4 % of the arithmetic, where transformed filters would take four times the
 * memory and its traffic. One pass, over as many patches as the L3 cache holds:
 *
 *   1. All threads transform x's patches: V [block][chunk][36][tile][channel].
 *   2. Units of one block of tiles and one panel of K go to the threads as they come free. For each chunk of channels
 *      transform the filters to U and multiply, M += V U; then transform M back, add b, temb and residual, write y.
 *
 * Every sum is taken in the same order whichever thread takes it.
 *
 * Speed per AVX-512 core of 160 GFLOP/s: SD 1.5's layers of 16x16 to 64x64 as the direct algorithm at 430 (oneDNN's:
 * 150), those of 8x8, bound by reading the weights, at 245. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/conv2d.h"
#include "engine/cpu/panel_gemm.h"
#include "engine/cpu/row.h"

enum { TILE = 4, PATCH = 6, POINTS = 36, TAPS = 9 };
enum {
    CHANNELS = 16,       /* C and K are multiples: whole vectors on every machine */
    BLOCK = 96,          /* tiles multiplied with one transformed chunk of filters */
    CHUNK = 64,          /* channels of a chunk: U and M of a unit are 0.7 MB and stay in the L2 cache */
    SKEW = 16,           /* floats between points: a power of two apart, all 36 would share one set of the L1 cache */
    PASS_BYTES = 4 << 20 /* of V for each thread, shared by them all: to stay in the L3 cache */
};

_Static_assert(CHANNELS % LANES == 0, "whole vectors");

/* One call, cut up. */
struct job {
    const struct conv_call *call;
    bool bf16;
    int H, W; /* of x, enlarged and cropped */
    int tiles_h, tiles_w, n_tiles;
    int chunk;               /* channels in each but the last */
    int pass;                /* tiles transformed at a time … */
    int block;               /* … and multiplied at a time */
    int panels;              /* of K */
    size_t v_chunk, v_block; /* floats of V for one chunk of a block, and for all its chunks */
    size_t v_floats, u_floats, private_floats;
    float *v, *private; /* shared; each thread's own U and M */
    const void *zeros;  /* a pixel outside x */
    int first, n;       /* tiles of the pass at hand */
};

/* ---- the transforms, in one dimension; rows then columns make two ------------------------------------------------ */

#define PA 0.625f /* the points: 0, ±PA, ±PB, ∞ */
#define PB 1.5f
static const float A2 = PA * PA, B2 = PB * PB;

/* v = Bᵀ d: rows are the polynomials x⁰..x⁵ that vanish at all points but one */
static inline void patch_points(vec v[PATCH], const vec d[PATCH]) {
    vec even_a = d[4] - B2 * d[2], odd_a = PA * (d[3] - B2 * d[1]);
    vec even_b = d[4] - A2 * d[2], odd_b = PB * (d[3] - A2 * d[1]);
    v[0] = (A2 * B2) * d[0] - (A2 + B2) * d[2] + d[4];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = (A2 * B2) * d[1] - (A2 + B2) * d[3] + d[5];
}

/* u = G g: the filter's value at each point, divided by that of the polynomial above */
static inline void filter_points(vec u[PATCH], const vec g[3]) {
    const float at_a = 1 / (2 * A2 * (A2 - B2)), at_b = 1 / (2 * B2 * (B2 - A2));
    vec even_a = at_a * g[0] + (at_a * A2) * g[2], odd_a = (at_a * PA) * g[1];
    vec even_b = at_b * g[0] + (at_b * B2) * g[2], odd_b = (at_b * PB) * g[1];
    u[0] = (1 / (A2 * B2)) * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

/* y = Aᵀ m: powers 0..3 of the points */
static inline void tile_points(vec y[TILE], const vec m[PATCH]) {
    vec even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = PA * odd_a + PB * odd_b;
    y[2] = A2 * even_a + B2 * even_b;
    y[3] = (A2 * PA) * odd_a + (B2 * PB) * odd_b + m[5];
}

/* ---- planning and packing ---------------------------------------------------------------------------------------- */

bool conv_winograd_fits(const struct conv_call *c) {
    size_t tiles = (size_t)c->y.N * ceil_div(c->y.H, TILE) * ceil_div(c->y.W, TILE);
    return c->w->shape[2] == 3 && c->shape.stride == 1 && c->x.C % CHANNELS == 0 && c->y.C % CHANNELS == 0 &&
           tiles * TILE * TILE <= 2 * view_rows(c->y); /* at least half of the work is not beyond the edges */
}

static struct job job_of(struct cpu_device *dev, const struct conv_call *c) {
    struct job j = {.call = c, .bf16 = c->x.dtype == DT_BF16};
    conv_seen(c, &j.H, &j.W);
    j.tiles_h = ceil_div(c->y.H, TILE);
    j.tiles_w = ceil_div(c->y.W, TILE);
    j.n_tiles = c->y.N * j.tiles_h * j.tiles_w;
    j.chunk = ceil_div(ceil_div(c->x.C, ceil_div(c->x.C, CHUNK)), CHANNELS) * CHANNELS;
    int most = imax((int)((size_t)PASS_BYTES * (size_t)pool_threads(dev->base.pool) / (sizeof(float) * POINTS * (size_t)c->x.C)), BLOCK);
    j.pass = ceil_div(j.n_tiles, ceil_div(j.n_tiles, most));
    j.block = ceil_div(j.pass, ceil_div(j.pass, BLOCK));
    j.panels = ceil_div(c->y.C, PANEL);
    j.v_chunk = POINTS * ((size_t)j.block * j.chunk + SKEW);
    j.v_block = j.v_chunk * ceil_div(c->x.C, j.chunk);
    j.v_floats = j.v_block * ceil_div(j.pass, j.block);
    j.u_floats = POINTS * ((size_t)j.chunk * PANEL + SKEW);
    j.private_floats = j.u_floats + POINTS * ((size_t)j.block * PANEL + SKEW);
    return j;
}

static size_t scratch_bytes(const struct cpu_device *dev, const struct job *j) {
    return sizeof(float) * (j->v_floats + (size_t)pool_threads(dev->base.pool) * j->private_floats + (size_t)j->call->x.C);
}

/* [K/PANEL][C][9][PANEL] in x's type, K filled up with zeros. */
static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    (void)dev;
    bool bf16 = ((const struct cpu_plan *)w->plan)->dtype == DT_BF16;
    size_t K = (size_t)w->shape[0], C = (size_t)w->shape[1], at = 0;
    for (size_t k0 = 0; k0 < K; k0 += PANEL)
        for (size_t c = 0; c < C; c++)
            for (size_t tap = 0; tap < TAPS; tap++)
                for (size_t k = k0; k < k0 + PANEL; k++, at++) {
                    float value = k < K ? src[(k * C + c) * TAPS + tap] : 0;
                    if (bf16) ((uint16_t *)w->packed)[at] = f32_to_bf16(value);
                    else ((float *)w->packed)[at] = value;
                }
}

static void destroy(struct cpu_plan *plan) {
    free(plan);
}

void conv_winograd_plan(struct cpu_device *dev, const struct conv_call *c) {
    struct job j = job_of(dev, c);
    assert(c->shape.stride == 1);
    cpu_scratch_reserve(dev, scratch_bytes(dev, &j));
    if (cpu_plan_of(dev, c->w)) return;
    struct cpu_plan *plan = cpu_new(sizeof *plan);
    plan->pack = pack;
    plan->destroy = destroy;
    plan->packed_bytes = (size_t)j.panels * PANEL * c->x.C * TAPS * view_item(c->x);
    cpu_plan_register(dev, c->w, plan, c->x.dtype);
}

bool conv_winograd_packed(const struct weight *w) {
    return w->plan && ((const struct cpu_plan *)w->plan)->pack == pack;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The pixels of tile's patch; those outside x are zeros. */
static void patch_pixels(const struct job *j, int tile, const void *pixels[PATCH][PATCH]) {
    struct view x = j->call->x;
    struct conv_shape s = j->call->shape;
    int n = tile / (j->tiles_h * j->tiles_w), th = tile / j->tiles_w % j->tiles_h, tw = tile % j->tiles_w;
    for (int r = 0; r < PATCH; r++)
        for (int q = 0; q < PATCH; q++) {
            int h = th * TILE + r - s.top, w = tw * TILE + q - s.left;
            bool inside = h >= 0 && h < j->H && w >= 0 && w < j->W;
            size_t row = ((size_t)n * x.H + (size_t)(h / s.upsample)) * x.W + (size_t)(w / s.upsample);
            pixels[r][q] = inside ? (const char *)x.p + row * (size_t)x.ld * (j->bf16 ? 2 : 4) : j->zeros;
        }
}

/* v = Bᵀ d B for LANES channels from c on. */
static inline void patch_transform(vec v[PATCH][PATCH], const void *const pixels[PATCH][PATCH], size_t c, bool bf16) {
    vec rows[PATCH][PATCH];
    for (int q = 0; q < PATCH; q++) {
        vec d[PATCH], column[PATCH];
        for (int r = 0; r < PATCH; r++) d[r] = vec_get(pixels[r][q], c, bf16);
        patch_points(column, d);
        for (int r = 0; r < PATCH; r++) rows[r][q] = column[r];
    }
    for (int r = 0; r < PATCH; r++) patch_points(v[r], rows[r]);
}

/* Fills V of tile number i of the n of its block: block [chunk][36][n][channel]. */
static void transform_input(const struct job *j, int tile, float *block, size_t i, size_t n) {
    const void *pixels[PATCH][PATCH];
    patch_pixels(j, tile, pixels);
    size_t C = (size_t)j->call->x.C;
    for (size_t c0 = 0; c0 < C; c0 += (size_t)j->chunk) {
        size_t depth = C - c0 < (size_t)j->chunk ? C - c0 : (size_t)j->chunk;
        float *v = block + c0 / (size_t)j->chunk * j->v_chunk + i * depth;
        for (size_t c = 0; c < depth; c += LANES) {
            vec points[PATCH][PATCH];
            if (j->bf16) patch_transform(points, pixels, c0 + c, true);
            else patch_transform(points, pixels, c0 + c, false);
            for (size_t p = 0; p < POINTS; p++) vec_store(v + p * (n * depth + SKEW) + c, points[p / PATCH][p % PATCH]);
        }
    }
}

/* u [36][depth][PANEL] = G g Gᵀ of the filters g [depth][9][PANEL] from element `at` of w on. */
static inline __attribute__((always_inline)) void transform_filters(float *u, const void *w, size_t at, size_t depth, bool bf16) {
    for (size_t i = 0; i < depth * PANEL; i += LANES) {
        vec rows[PATCH][3];
        for (size_t q = 0; q < 3; q++) {
            vec g[3], column[PATCH];
            for (size_t r = 0; r < 3; r++) g[r] = vec_get(w, at + i / PANEL * TAPS * PANEL + (r * 3 + q) * PANEL + i % PANEL, bf16);
            filter_points(column, g);
            for (size_t r = 0; r < PATCH; r++) rows[r][q] = column[r];
        }
        for (size_t r = 0; r < PATCH; r++) {
            vec points[PATCH];
            filter_points(points, rows[r]);
            for (size_t q = 0; q < PATCH; q++) vec_store(u + (r * PATCH + q) * (depth * PANEL + SKEW) + i, points[q]);
        }
    }
}

/* tile = Aᵀ m A for LANES channels; m [36], `stride` floats apart. */
static inline void inverse_transform(vec tile[TILE][TILE], const float *m, size_t stride) {
    vec rows[TILE][PATCH];
    for (size_t q = 0; q < PATCH; q++) {
        vec column[PATCH], y[TILE];
        for (size_t r = 0; r < PATCH; r++) column[r] = vec_load(m + (r * PATCH + q) * stride);
        tile_points(y, column);
        for (size_t r = 0; r < TILE; r++) rows[r][q] = y[r];
    }
    for (size_t r = 0; r < TILE; r++) tile_points(tile[r], rows[r]);
}

/* LANES channels from k on of one tile of y = tile + b + temb + residual. */
static void write_tile(const struct job *j, int tile_index, size_t k, vec tile[TILE][TILE]) {
    const struct conv_call *c = j->call;
    struct view y = c->y, residual = c->residual;
    int n = tile_index / (j->tiles_h * j->tiles_w);
    int h0 = tile_index / j->tiles_w % j->tiles_h * TILE, w0 = tile_index % j->tiles_w * TILE;
    vec add = c->b ? vec_load((const float *)c->b->packed + k) : (vec){0};
    if (c->temb.p) add += vec_get(c->temb.p, (size_t)(c->temb.N == 1 ? 0 : n) * (size_t)c->temb.ld + k, j->bf16);
    for (int r = 0; r < imin(TILE, y.H - h0); r++)
        for (int q = 0; q < imin(TILE, y.W - w0); q++) {
            size_t row = ((size_t)n * y.H + (size_t)(h0 + r)) * y.W + (size_t)(w0 + q);
            vec value = tile[r][q] + add;
            if (residual.p) value += vec_get(residual.p, row * (size_t)residual.ld + k, j->bf16);
            vec_put(y.p, row * (size_t)y.ld + k, value, j->bf16);
        }
}

/* Outputs of the tiles [tile, tile+n) in one panel; v: their block of V, u and m: this thread's own. */
static void run_unit(const struct job *j, const float *v, int tile, int n, int panel, float *u, float *m) {
    const struct conv_call *c = j->call;
    size_t m_stride = (size_t)n * PANEL + SKEW;
    for (int c0 = 0; c0 < c->x.C; c0 += j->chunk, v += j->v_chunk) {
        int depth = imin(j->chunk, c->x.C - c0);
        size_t u_stride = (size_t)depth * PANEL + SKEW, v_stride = (size_t)n * depth + SKEW;
        size_t at = ((size_t)panel * c->x.C + (size_t)c0) * TAPS * PANEL;
        if (j->bf16) transform_filters(u, c->w->packed, at, (size_t)depth, true);
        else transform_filters(u, c->w->packed, at, (size_t)depth, false);
        for (int p = 0; p < POINTS; p++)
            panel_gemm(m + p * m_stride, v + p * v_stride, (size_t)depth, u + p * u_stride, n, depth, c0 > 0, v_stride);
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < imin(PANEL, c->y.C - panel * PANEL); k += LANES) {
            vec out[TILE][TILE];
            inverse_transform(out, m + i * PANEL + k, m_stride);
            write_tile(j, tile + i, (size_t)(panel * PANEL + k), out);
        }
}

static void transform_tiles(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct job *j = context;
    for (int i = (int)begin; i < (int)end; i++) {
        int block = i / j->block * j->block;
        transform_input(j, j->first + i, j->v + block / j->block * j->v_block, (size_t)(i - block), (size_t)imin(j->block, j->n - block));
    }
}

static void run_units(void *context, size_t begin, size_t end, int thread) {
    const struct job *j = context;
    float *u = j->private + (size_t)thread * j->private_floats;
    float *m = u + j->u_floats;
    for (int unit = (int)begin; unit < (int)end; unit++) {
        int block = unit / j->panels * j->block;
        const float *v = j->v + block / j->block * j->v_block;
        run_unit(j, v, j->first + block, imin(j->block, j->n - block), unit % j->panels, u, m);
    }
}

#define FLOP_NS 0.02 /* about */

static void run_pass(struct job *j, struct pool *pool, int first, int n) {
    j->first = first;
    j->n = n;
    pool_for(pool, (size_t)n, POINTS * j->call->x.C * ROW_NS, transform_tiles, j);
    double unit_ns = 2.0 * POINTS * imin(n, j->block) * PANEL * j->call->x.C * FLOP_NS;
    pool_for(pool, (size_t)ceil_div(n, j->block) * (size_t)j->panels, unit_ns, run_units, j);
}

void conv_winograd(struct cpu_device *dev, const struct conv_call *c) {
    struct job j = job_of(dev, c);
    assert(scratch_bytes(dev, &j) <= dev->scratch_bytes);
    j.v = dev->scratch;
    j.private = j.v + j.v_floats;
    float *zeros = j.private + (size_t)pool_threads(dev->base.pool) * j.private_floats;
    memset(zeros, 0, sizeof(float) * (size_t)c->x.C);
    j.zeros = zeros;
    for (int first = 0; first < j.n_tiles; first += j.pass) run_pass(&j, dev->base.pool, first, imin(j.pass, j.n_tiles - first));
}
