/* Attention without the T x T matrix (Dao et al. 2022), transposed: a tile is TILE queries wide, one per vector lane,
 * and runs through the keys in blocks, keeping each query's largest score m, the sum l of exp(score - m) and the
 * weighted sum of values so far.
 *
 *   S[k][q] = K[k][:] Qt[:][q]     P = 2^(S - m)     Ot[d][q] = 2^(m_old - m) Ot[d][q] + sum_k V[k][d] P[k][q]
 *
 * With queries along the lanes, K and V are read as they lie, one element broadcast to all lanes, for any head width;
 * maxima and sums over keys need no work across lanes; and both products are the same register-blocked loop. Q is
 * scaled by log2(e)/sqrt(D).
 *
 * Speed per AVX-512 core of 160 GFLOP/s: 120 for 4096 x 4096 with D = 40, where the exponentials take a sixth of the
 * time, 150 with D = 512 (torch 2.15: 83 and 120); per AVX2 core of 98 GFLOP/s 72 and 75. */
#include <float.h>
#include "engine/cpu/row.h"
#include "engine/cpu/vec.h"
#include "engine/cpu/vmath.h"

enum {
    NV = 3,                 /* vectors of queries in a tile */
    MR = VEC_REGISTERS / 4, /* keys or channels at a time: 3 MR sums, 3 vectors and a broadcast in the registers */
    TILE = NV * LANES,
    KEYS = 64,             /* keys in a block */
    LINE = 16,             /* channels transposed at a time: a line of the cache */
    GROUP = 8,             /* tiles that share a block of keys and values in the cache */
    KV_CACHED = 512 << 10, /* bytes of all heads' keys that stay in the cache */
};

#if defined __FMA__ || defined __AVX512F__
enum { UNROLL = 4 };
#else
enum { UNROLL = 1 }; /* a product takes a register before it is added: unrolled, a sum has none */
#endif

#define ATTENTION_NS 0.01 /* a flop, about */

/* One tile of queries, f32, channels or keys in rows of TILE lanes. */
struct tile {
    float *qt, *ot, *m, *l;
};
struct lane_buffers {
    struct tile tiles[GROUP];
    float *scores, *alpha, *k, *v;
};

static size_t lane_floats(int D) {
    return (size_t)GROUP * (2 * D + 2) * TILE + (KEYS + 1) * TILE + (size_t)2 * KEYS * D;
}

static struct lane_buffers buffers_of(const struct cpu_device *dev, int D, int thread) {
    size_t floats = (lane_floats(D) + 15) / 16 * 16;
    float *p = (float *)dev->scratch + floats * (size_t)thread;
    struct lane_buffers buf;
    for (int i = 0; i < GROUP; i++) {
        buf.tiles[i] = (struct tile){p, p + D * TILE, p + 2 * D * TILE, p + (2 * D + 1) * TILE};
        p += (2 * D + 2) * TILE;
    }
    buf.scores = p;
    buf.alpha = p + KEYS * TILE;
    buf.k = buf.alpha + TILE;
    buf.v = buf.k + (size_t)KEYS * D;
    return buf;
}

void cpu_attention_plan(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    (void)y, (void)k, (void)v, (void)causal;
    size_t floats = (lane_floats(q.C / n_heads) + 15) / 16 * 16;
    cpu_scratch_reserve(cpu_of(dev), floats * (size_t)pool_threads(dev->pool) * sizeof(float));
}

/* ---- the two products -------------------------------------------------------------------------------------------- */

/* c[i][:] = scale c[i][:] + sum_j a[i*row + j*col] b[j][:], `rows` rows of TILE lanes; scale NULL: 0. The sum over j is
 * a sum of its own: added to c term by term, over thousands of keys, its error would be three times as large. gcc keeps acc in registers
 * once the loops over it are unrolled, and where no others of a caller's are alive: the two functions below are not inlined. */
static inline __attribute__((always_inline)) void product_rows(vec *c, const float *a, size_t row, size_t col, const vec *b,
                                                               const vec *scale, int n, const int rows) {
    vec acc[MR][NV];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < NV; v++) acc[i][v] = (vec){0};
#pragma GCC unroll UNROLL
    for (int j = 0; j < n; j++) {
        vec b0 = b[j * NV], b1 = b[j * NV + 1], b2 = b[j * NV + 2];
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            acc[i][0] += a[i * row + j * col] * b0;
            acc[i][1] += a[i * row + j * col] * b1;
            acc[i][2] += a[i * row + j * col] * b2;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < NV; v++) c[i * NV + v] = scale ? c[i * NV + v] * scale[v] + acc[i][v] : acc[i][v];
}

/* The same for m rows. */
static inline __attribute__((always_inline)) void product(float *c, const float *a, size_t row, size_t col, const float *b,
                                                          const float *scale, int m, int n) {
    int i = 0;
    for (; m - i >= MR; i += MR) product_rows((vec *)(c + i * TILE), a + i * row, row, col, (const vec *)b, (const vec *)scale, n, MR);
    for (; m - i >= 4; i += 4) product_rows((vec *)(c + i * TILE), a + i * row, row, col, (const vec *)b, (const vec *)scale, n, 4);
    for (; m - i >= 1; i++) product_rows((vec *)(c + i * TILE), a + i * row, row, col, (const vec *)b, (const vec *)scale, n, 1);
}

/* S[k][q] = K[k][:] Qt[:][q] */
static __attribute__((noinline)) void scores(float *s, const float *k, size_t ld, const float *qt, int n_keys, int D) {
    product(s, k, ld, 1, qt, NULL, n_keys, D);
}

/* Ot[d][q] = alpha[q] Ot[d][q] + sum_k V[k][d] P[k][q] */
static __attribute__((noinline)) void add_values(float *ot, const float *v, size_t ld, const float *p, const float *alpha, int n_keys,
                                                 int D) {
    product(ot, v, 1, ld, p, alpha, D, n_keys);
}

/* ---- softmax, a block at a time ---------------------------------------------------------------------------------- */

/* Query lane i is row q0 + i, key j row k0 + j: a query sees no later key. */
static void mask(float *s, int n_keys, int k0, int q0) {
    for (int j = 0; j < n_keys; j++)
        for (int i = 0; i < imin(TILE, k0 + j - q0); i++) s[j * TILE + i] = -INFINITY;
}

/* s becomes P = 2^(s - m); updates m and l; alpha = 2^(m_old - m). */
static void softmax_block(float *restrict s, float *restrict m, float *restrict l, float *restrict alpha, int n_keys) {
    float top[TILE], sum[TILE];
    memcpy(top, m, sizeof top);
    for (int j = 0; j < n_keys; j++)
#pragma omp simd
        for (int i = 0; i < TILE; i++) top[i] = s[j * TILE + i] > top[i] ? s[j * TILE + i] : top[i];
#pragma omp simd
    for (int i = 0; i < TILE; i++) alpha[i] = vm_exp2_below(m[i] - top[i]);
    memset(sum, 0, sizeof sum);
    for (int j = 0; j < n_keys; j++)
#pragma omp simd
        for (int i = 0; i < TILE; i++) {
            float p = vm_exp2_below(s[j * TILE + i] - top[i]);
            s[j * TILE + i] = p;
            sum[i] += p;
        }
#pragma omp simd
    for (int i = 0; i < TILE; i++) l[i] = l[i] * alpha[i] + sum[i];
    memcpy(m, top, sizeof top);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* Rows [t, t + n) of columns [c0, c0 + width) as f32 with row stride *ld: in place, or converted into buf. */
static const float *block_load(struct view x, size_t t, int n, int c0, int width, float *buf, size_t *ld) {
    *ld = x.dtype == DT_F32 ? (size_t)x.ld : (size_t)width;
    for (int i = 0; x.dtype != DT_F32 && i < n; i++) row_load(x.dtype, row_at(x, t + (size_t)i, c0), buf + (size_t)i * width, width);
    return x.dtype == DT_F32 ? row_at(x, t, c0) : buf;
}

/* Each row of TILE lanes times factors. */
static void scale_rows(float *rows, const float *factors, int n) {
    for (int d = 0; d < n; d++)
#pragma omp simd
        for (int i = 0; i < TILE; i++) rows[d * TILE + i] *= factors[i];
}

/* Queries [q0, q0 + n) of one image; lanes beyond n are zero. */
static void tile_begin(struct tile tile, struct view q, int q0, int n, int c0, int D) {
    float in[TILE * LINE], scale[TILE];
    if (n < TILE) memset(tile.qt, 0, (size_t)D * TILE * sizeof(float));
    for (int d = 0; d < D; d += LINE) {
        int width = imin(LINE, D - d);
        size_t ld;
        const float *src = block_load(q, (size_t)q0, n, c0 + d, width, in, &ld);
        vec_transpose(tile.qt + d * TILE, TILE, src, ld, n, width);
    }
    for (int i = 0; i < TILE; i++) scale[i] = 1.44269504088896341f / sqrtf((float)D), tile.m[i] = -FLT_MAX, tile.l[i] = 0;
    scale_rows(tile.qt, scale, D);
    memset(tile.ot, 0, (size_t)D * TILE * sizeof(float));
}

static void tile_end(struct tile tile, struct view y, int q0, int n, int c0, int D) {
    float out[TILE * LINE], inverse[TILE];
    for (int i = 0; i < TILE; i++) inverse[i] = 1 / tile.l[i];
    scale_rows(tile.ot, inverse, D);
    for (int d = 0; d < D; d += LINE) {
        int width = imin(LINE, D - d);
        bool in_place = y.dtype == DT_F32;
        vec_transpose(in_place ? row_at(y, (size_t)q0, c0 + d) : out, in_place ? (size_t)y.ld : LINE, tile.ot + d * TILE, TILE, width, n);
        for (int i = 0; !in_place && i < n; i++) row_store(y.dtype, row_at(y, (size_t)(q0 + i), c0 + d), out + i * LINE, width);
    }
}

/* Queries [q0, q1) of head columns [c0, c0 + D), image n. */
static void attend(struct view y, struct view q, struct view k, struct view v, int n, int c0, int D, int q0, int q1, bool causal,
                   const struct lane_buffers *buf) {
    y = view_images(y, n, 1), q = view_images(q, n, 1);
    if (k.N > 1) k = view_images(k, n, 1), v = view_images(v, n, 1);
    int Tk = causal ? imin(k.H * k.W, q1) : k.H * k.W;
    for (int i = 0, t = q0; t < q1; i++, t += TILE) tile_begin(buf->tiles[i], q, t, imin(TILE, q1 - t), c0, D);
    for (int k0 = 0; k0 < Tk; k0 += KEYS) {
        int n_keys = imin(KEYS, Tk - k0);
        size_t ld_k, ld_v;
        const float *kb = block_load(k, (size_t)k0, n_keys, c0, D, buf->k, &ld_k);
        const float *vb = block_load(v, (size_t)k0, n_keys, c0, D, buf->v, &ld_v);
        for (int i = 0, t = q0; t < q1; i++, t += TILE) {
            if (causal && k0 >= t + TILE) continue;
            struct tile tile = buf->tiles[i];
            int seen = causal ? imin(n_keys, t + TILE - k0) : n_keys;
            scores(buf->scores, kb, ld_k, tile.qt, seen, D);
            if (causal && k0 + seen > t) mask(buf->scores, seen, k0, t);
            softmax_block(buf->scores, tile.m, tile.l, buf->alpha, seen);
            add_values(tile.ot, vb, ld_v, buf->scores, buf->alpha, seen, D);
        }
    }
    for (int i = 0, t = q0; t < q1; i++, t += TILE) tile_end(buf->tiles[i], y, t, imin(TILE, q1 - t), c0, D);
}

struct attention {
    struct device *dev;
    struct view y, q, k, v;
    int n_heads, width, groups; /* queries of a task, tasks of a head */
    bool causal, heads_first;
};

static void attention_tasks(void *context, size_t begin, size_t end, int thread) {
    const struct attention *a = context;
    int Tq = a->q.H * a->q.W, D = a->q.C / a->n_heads, per_image = a->n_heads * a->groups;
    struct lane_buffers buf = buffers_of(cpu_of(a->dev), D, thread);
    for (size_t i = begin; i < end; i++) {
        int n = (int)i / per_image, rest = (int)i % per_image;
        int h = a->heads_first ? rest % a->n_heads : rest / a->groups;
        int q0 = (a->heads_first ? rest / a->n_heads : rest % a->groups) * a->width;
        attend(a->y, a->q, a->k, a->v, n, h * D, D, q0, imin(Tq, q0 + a->width), a->causal, &buf);
    }
}

/* Tasks are (image, head, group of tiles). Consecutive ones share what is dearer to fetch: a head's keys and values,
 * or, where all heads' fit in the cache (text), the rows of the queries. */
void cpu_attention(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    struct attention a = {.dev = dev, .y = y, .q = q, .k = k, .v = v, .n_heads = n_heads, .causal = causal};
    int Tq = q.H * q.W, D = q.C / n_heads, n_threads = pool_threads(dev->pool), tiles = (Tq + TILE - 1) / TILE;
    a.width = TILE * imin(GROUP, imax(1, q.N * n_heads * tiles / (4 * n_threads))); /* queries of a task: at least 4 tasks a thread */
    a.groups = (Tq + a.width - 1) / a.width;
    a.heads_first = (size_t)k.H * k.W * k.C * sizeof(float) <= KV_CACHED;
    double item_ns = 4.0 * a.width * k.H * k.W * D * ATTENTION_NS;
    pool_for(dev->pool, (size_t)q.N * n_heads * a.groups, item_ns, attention_tasks, &a);
}
