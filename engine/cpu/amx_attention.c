/* Attention without the T x T matrix (Dao et al. 2022) on AMX. First every head's keys and values are packed once, as b of the two
 * products (amx_kernels.h); then an item is AMX_ROWS queries of a head, which run through the keys in blocks, keeping each query's largest
 * score m, the sum l of exp(score - m) and the weighted sum of values so far:
 *
 *   S = Q K^T / sqrt(D)     P = 2^(S log2(e) - m)     O = 2^(m_old - m) O + P V
 *
 * S, sums and O are f32; Q, K, V and P are cut into as many parts as their type takes. Head widths and the number of keys are rounded up to
 * whole tiles with zeros. */
#include <float.h>
#include "engine/cpu/amx_kernels.h"
#include "engine/cpu/vmath.h"

enum { KEYS = 256 /* in a block */, BLOCK_CHUNKS = KEYS / AMX_DEPTH };
#define KEY_NS 0.5         /* an element packed, about */
#define ATTENTION_NS 0.002 /* a flop, about */

struct attention {
    struct cpu_device *dev;
    struct view y, q, k, v;
    int n_heads, D, Tq, Tk;
    bool causal;
    int parts, width_chunks, key_chunks; /* chunks of AMX_DEPTH: of D, of Tk; as many panels of AMX_COLUMNS */
    size_t head_elements;                /* of a head's keys; its values take as many */
    size_t tasks;                        /* a head's queries, AMX_ROWS at a time */
};

_Static_assert((int)AMX_DEPTH == (int)AMX_COLUMNS && (int)AMX_DEPTH == (int)AMX_ROWS,
               "a chunk of keys is a panel of columns, and as many rows as queries");

static struct attention attention_of(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads,
                                     bool causal) {
    struct attention a = {.dev = cpu_of(dev), .y = y, .q = q, .k = k, .v = v, .n_heads = n_heads, .causal = causal};
    a.D = q.C / n_heads;
    a.Tq = q.H * q.W;
    a.Tk = k.H * k.W;
    a.parts = amx_parts(a.dev, q.dtype);
    a.width_chunks = ceil_div(a.D, AMX_DEPTH);
    a.key_chunks = ceil_div(a.Tk, AMX_DEPTH);
    a.head_elements = (size_t)a.width_chunks * (size_t)a.key_chunks * (size_t)a.parts * AMX_B_STEP;
    a.tasks = (size_t)ceil_div(a.Tq, AMX_ROWS);
    return a;
}

/* ---- scratch: all heads' keys, their values, and what is a thread's own ------------------------------------------- */

struct buffers {
    float *scores, *sums;        /* S [AMX_ROWS, KEYS]   O [AMX_ROWS, width] */
    uint16_t *queries, *weights; /* Q [AMX_ROWS, parts, width]   P [AMX_ROWS, parts, KEYS] */
    float m[AMX_ROWS], l[AMX_ROWS];
};

static int width_of(const struct attention *a) {
    return a->width_chunks * AMX_DEPTH;
}

static size_t packed_elements(const struct attention *a) {
    return (size_t)a->k.N * (size_t)a->n_heads * a->head_elements;
}

static size_t thread_bytes(const struct attention *a) {
    size_t width = (size_t)width_of(a), parts = (size_t)a->parts;
    return AMX_ROWS * ((KEYS + width) * sizeof(float) + (width + KEYS) * parts * sizeof(uint16_t));
}

static uint16_t *keys_of(const struct attention *a, size_t head) {
    return (uint16_t *)a->dev->scratch + head * a->head_elements;
}

static uint16_t *values_of(const struct attention *a, size_t head) {
    return keys_of(a, head) + packed_elements(a);
}

static struct buffers buffers_of(const struct attention *a, int thread) {
    struct buffers buf;
    buf.scores = (float *)((char *)a->dev->scratch + 2 * packed_elements(a) * sizeof(uint16_t) + (size_t)thread * thread_bytes(a));
    buf.sums = buf.scores + AMX_ROWS * KEYS;
    buf.queries = (uint16_t *)(buf.sums + AMX_ROWS * width_of(a));
    buf.weights = buf.queries + AMX_ROWS * width_of(a) * a->parts;
    return buf;
}

void cpu_attention_plan(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    struct attention a = attention_of(dev, y, q, k, v, n_heads, causal);
    cpu_scratch_reserve(a.dev, 2 * packed_elements(&a) * sizeof(uint16_t) + (size_t)pool_threads(dev->pool) * thread_bytes(&a));
}

/* ---- packing: an item is AMX_DEPTH keys of a head ----------------------------------------------------------------- */

/* Row t of head h of x in parts, [parts][width]; zeros beyond the last. */
static void split_row(const struct attention *a, uint16_t *dst, struct view x, int t, int h) {
    size_t width = (size_t)width_of(a);
    if (t < x.H * x.W) amx_split(dst, width, a->parts, x.dtype, row_at(x, (size_t)t, h * a->D), a->D);
    else memset(dst, 0, width * (size_t)a->parts * sizeof *dst);
}

/* K^T: keys are columns, the head's width is depth. rows [AMX_DEPTH][parts][width] */
static void pack_keys(const struct attention *a, uint16_t *dst, const uint16_t *rows) {
    size_t width = (size_t)width_of(a), row = width * (size_t)a->parts, step = (size_t)a->parts * AMX_B_STEP;
    for (int key = 0; key < AMX_COLUMNS; key++)
        for (int chunk = 0; chunk < a->width_chunks; chunk++)
            amx_pack_b(dst + (size_t)chunk * step, key, rows + (size_t)key * row + (size_t)chunk * AMX_DEPTH, width, a->parts);
}

/* V: keys are depth, the head's width is columns; panel after panel of them, each with all keys. */
static void pack_values(const struct attention *a, uint16_t *dst, const uint16_t *rows, int key_chunk) {
    size_t width = (size_t)width_of(a), row = width * (size_t)a->parts, step = (size_t)a->parts * AMX_B_STEP;
    uint16_t column[AMX_MOST_PARTS * AMX_DEPTH];
    for (int d = 0; d < (int)width; d++) {
        for (int p = 0; p < a->parts; p++)
            for (int key = 0; key < AMX_DEPTH; key++) column[p * AMX_DEPTH + key] = rows[(size_t)key * row + (size_t)p * width + (size_t)d];
        size_t at = (size_t)(d / AMX_COLUMNS) * (size_t)a->key_chunks + (size_t)key_chunk;
        amx_pack_b(dst + at * step, d % AMX_COLUMNS, column, AMX_DEPTH, a->parts);
    }
}

static void pack_chunks(void *context, size_t begin, size_t end, int thread) {
    const struct attention *a = context;
    uint16_t *rows = buffers_of(a, thread).queries; /* AMX_DEPTH of a head take as much */
    for (size_t i = begin; i < end; i++) {
        size_t head = i / (size_t)a->key_chunks;
        int chunk = (int)(i % (size_t)a->key_chunks), n = (int)(head / (size_t)a->n_heads), h = (int)(head % (size_t)a->n_heads);
        struct view k = view_images(a->k, n, 1), v = view_images(a->v, n, 1);
        size_t row = (size_t)width_of(a) * (size_t)a->parts;
        for (int j = 0; j < AMX_DEPTH; j++) split_row(a, rows + (size_t)j * row, k, chunk * AMX_DEPTH + j, h);
        pack_keys(a, keys_of(a, head) + (size_t)(chunk * a->width_chunks * a->parts) * AMX_B_STEP, rows);
        for (int j = 0; j < AMX_DEPTH; j++) split_row(a, rows + (size_t)j * row, v, chunk * AMX_DEPTH + j, h);
        pack_values(a, values_of(a, head), rows, chunk);
    }
}

/* ---- a block of keys ---------------------------------------------------------------------------------------------- */

static const size_t first_tap[1] = {0};

/* S of `chunks` panels of keys, k0 the first key's chunk. */
static void score(const struct attention *a, const struct buffers *buf, size_t head, int k0, int chunks) {
    size_t panel = (size_t)(a->width_chunks * a->parts) * AMX_B_STEP, width = (size_t)width_of(a);
    struct amx_operands o = {.a = buf->queries,
                             .row = width * (size_t)a->parts,
                             .part = width,
                             .tap = first_tap,
                             .taps = 1,
                             .chunks = a->width_chunks,
                             .parts = a->parts};
    for (int i = 0; i < chunks; i++) {
        o.b = keys_of(a, head) + (size_t)(k0 + i) * panel;
        amx_product(buf->scores + i * AMX_COLUMNS, KEYS, &o, 1, false);
    }
}

/* O += P V over `chunks` chunks of keys. */
static void add_values(const struct attention *a, const struct buffers *buf, size_t head, int k0, int chunks) {
    size_t step = (size_t)a->parts * AMX_B_STEP, width = (size_t)width_of(a);
    struct amx_operands o = {.a = buf->weights,
                             .row = (size_t)KEYS * (size_t)a->parts,
                             .part = KEYS,
                             .tap = first_tap,
                             .taps = 1,
                             .chunks = chunks,
                             .parts = a->parts};
    for (int i = 0; i < a->width_chunks; i++) {
        o.b = values_of(a, head) + ((size_t)i * (size_t)a->key_chunks + (size_t)k0) * step;
        amx_product(buf->sums + i * AMX_COLUMNS, width, &o, 1, true);
    }
}

/* A query's scores of n keys become its weights, zeros up to the end of the last chunk; returns what the sums so far are to be scaled by.
 */
static float soften(float *restrict s, int n, int end, float scale, float *m, float *l) {
    float top = *m, sum = 0;
#pragma omp simd reduction(max : top)
    for (int j = 0; j < n; j++) {
        s[j] *= scale;
        top = s[j] > top ? s[j] : top;
    }
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < n; j++) {
        s[j] = vm_exp2_below(s[j] - top);
        sum += s[j];
    }
    for (int j = n; j < end; j++) s[j] = 0;
    float alpha = vm_exp2_below(*m - top);
    *l = *l * alpha + sum;
    *m = top;
    return alpha;
}

/* Queries [q0, q0 + n) meet keys [k0, k0 + n_keys). */
static void weigh(const struct attention *a, struct buffers *buf, int q0, int n, int k0, int n_keys) {
    float scale = 1.44269504088896341f / sqrtf((float)a->D);
    int width = width_of(a), end = ceil_div(n_keys, AMX_DEPTH) * AMX_DEPTH;
    for (int i = 0; i < AMX_ROWS; i++) {
        float *s = buf->scores + i * KEYS, *sums = buf->sums + i * width;
        int seen = i >= n ? 0 : a->causal ? imin(n_keys, q0 + i + 1 - k0) : n_keys; /* a query sees no later key */
        float alpha = soften(s, imax(seen, 0), end, scale, &buf->m[i], &buf->l[i]);
        for (int d = 0; d < width; d++) sums[d] *= alpha;
        amx_split(buf->weights + (size_t)(i * a->parts) * KEYS, KEYS, a->parts, DT_F32, s, end);
    }
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

/* Queries [q0, q0 + n) of image `image` and head h. */
static void attend(const struct attention *a, struct buffers *buf, int image, int h, int q0, int n) {
    struct view q = view_images(a->q, image, 1), y = view_images(a->y, image, 1);
    size_t head = (size_t)(a->k.N > 1 ? image : 0) * (size_t)a->n_heads + (size_t)h, width = (size_t)width_of(a);
    int Tk = a->causal ? imin(a->Tk, q0 + n) : a->Tk;
    for (int i = 0; i < AMX_ROWS; i++) {
        split_row(a, buf->queries + (size_t)i * width * (size_t)a->parts, q, i < n ? q0 + i : a->Tq, h);
        buf->m[i] = -FLT_MAX;
        buf->l[i] = 0;
    }
    memset(buf->sums, 0, AMX_ROWS * width * sizeof *buf->sums);
    for (int k0 = 0; k0 < Tk; k0 += KEYS) {
        int n_keys = imin(KEYS, Tk - k0), chunks = ceil_div(n_keys, AMX_DEPTH);
        score(a, buf, head, k0 / AMX_DEPTH, chunks);
        weigh(a, buf, q0, n, k0, n_keys);
        add_values(a, buf, head, k0 / AMX_DEPTH, chunks);
    }
    for (int i = 0; i < n; i++) {
        float *sums = buf->sums + (size_t)i * width, inverse = 1 / buf->l[i];
        for (int d = 0; d < a->D; d++) sums[d] *= inverse;
        row_store(y.dtype, row_at(y, (size_t)(q0 + i), h * a->D), sums, a->D);
    }
}

static void attend_tasks(void *context, size_t begin, size_t end, int thread) {
    const struct attention *a = context;
    struct buffers buf = buffers_of(a, thread);
    amx_begin();
    for (size_t i = begin; i < end; i++) {
        size_t head = i / a->tasks; /* consecutive tasks share a head's keys and values */
        int q0 = (int)(i % a->tasks) * AMX_ROWS;
        attend(a, &buf, (int)(head / (size_t)a->n_heads), (int)(head % (size_t)a->n_heads), q0, imin(AMX_ROWS, a->Tq - q0));
    }
    amx_end();
}

void cpu_attention(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    struct attention a = attention_of(dev, y, q, k, v, n_heads, causal);
    size_t heads = (size_t)n_heads, products = (size_t)(a.parts * (a.parts + 1) / 2);
    pool_for(dev->pool, (size_t)k.N * heads * (size_t)a.key_chunks, 2.0 * AMX_DEPTH * a.D * KEY_NS, pack_chunks, &a);
    pool_for(dev->pool, (size_t)q.N * heads * a.tasks, 4.0 * AMX_ROWS * a.Tk * a.D * ATTENTION_NS * (double)products, attend_tasks, &a);
}
