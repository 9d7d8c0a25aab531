/* Matrix products by oneDNN. A weight is packed once into the layout oneDNN asks for; each shape it is used with has a
 * primitive, made while planning. Bias, activation and a residual in y are applied to a tile of the result while it is
 * in the cache. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

struct linear_shape {
    struct cpu_matmul key;
    struct cpu_primitive primitive;
    struct linear_shape *next;
};

struct linear_plan {
    struct cpu_plan base;
    struct linear_shape *shapes; /* the first decides the layout of the weight */
};

/* ---- planning and packing ---------------------------------------------------------------------------------------- */

static void linear_pack(struct cpu_device *dev, struct weight *w, const float *src) {
    const struct linear_plan *plan = w->plan;
    const dnnl_dims_t dims = {w->shape[1], w->shape[0]}, strides = {1, w->shape[1]};
    cpu_primitive_pack(&plan->shapes->primitive, dev, w->packed, src, 2, dims, strides);
}

static void linear_destroy(struct cpu_plan *base) {
    struct linear_plan *plan = (struct linear_plan *)base;
    for (struct linear_shape *s = plan->shapes, *next; s; s = next) {
        next = s->next;
        cpu_primitive_destroy(&s->primitive);
        free(s);
    }
    free(plan);
}

static struct linear_plan *plan_of(struct cpu_device *dev, struct weight *w) {
    if (w->plan) return w->plan;
    struct linear_plan *plan = cpu_new(sizeof *plan);
    plan->base.pack = linear_pack;
    plan->base.destroy = linear_destroy;
    cpu_plan_register(dev, w, &plan->base);
    return plan;
}

static const struct linear_shape *find_shape(const struct weight *w, struct cpu_matmul key) {
    const struct linear_plan *plan = w->plan;
    for (const struct linear_shape *s = plan->shapes; s; s = s->next)
        if (!memcmp(&s->key, &key, sizeof key)) return s;
    return NULL;
}

/* Plans one product; own: bytes of scratch the op uses itself. */
static void plan_shape(struct cpu_device *dev, struct weight *w, struct cpu_matmul key, size_t own) {
    struct linear_plan *plan = plan_of(dev, w);
    if (find_shape(w, key)) return;
    struct linear_shape *s = cpu_new(sizeof *s), **last = &plan->shapes;
    s->key = key;
    cpu_primitive_matmul(&s->primitive, dev, &key, plan->shapes ? &plan->shapes->primitive.weights_md : NULL);
    while (*last) last = &(*last)->next;
    *last = s;
    plan->base.packed_bytes = plan->shapes->primitive.weights_bytes;
    cpu_scratch_reserve(dev, own + s->primitive.scratchpad_bytes);
}

/* y [T,K] at ld y_ld = x w + b */
static struct cpu_matmul product(const struct weight *w, const struct weight *b, int T, int x_ld, int y_ld) {
    return (struct cpu_matmul){.T = T, .C = (int)w->shape[1], .K = (int)w->shape[0], .x_ld = x_ld, .y_ld = y_ld, .bias = b != NULL};
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

static struct cpu_matmul linear_key(struct view y, struct view x, const struct weight *w, const struct weight *b, enum act act,
                                    struct view residual) {
    struct cpu_matmul key = product(w, b, (int)view_rows(x), x.ld, y.ld);
    key.act = act;
    key.sum = residual.p && residual.p == y.p;
    return key;
}

void cpu_linear_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                     struct view residual) {
    assert(view_rows(y) == view_rows(x) && w->shape[1] == x.C && w->shape[0] == y.C && (!b || b->shape[0] == y.C));
    assert(!residual.p || (view_rows(residual) == view_rows(y) && residual.C == y.C));
    plan_shape(cpu_of(dev), w, linear_key(y, x, w, b, act, residual), 0);
    cpu_plan_dense(cpu_of(dev), b);
}

void cpu_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    const struct linear_shape *s = find_shape(w, linear_key(y, x, w, b, act, residual));
    assert(s);
    cpu_primitive_run(&s->primitive, cpu_of(dev), y.p, x.p, w->packed, b ? b->packed : NULL, cpu_of(dev)->scratch);
    if (residual.p && !s->key.sum) cpu_add(dev, y, y, residual);
}

/* ---- GEGLU: the product goes to scratch, as many rows at a time as stay in the cache ----------------------------- */

enum { GEGLU_BYTES = 4 << 20, GEGLU_ROWS = 512 /* at least: fewer do not repay reading the weight again */ };

static int block_rows(const struct weight *w, size_t T, size_t done) {
    size_t rows = (size_t)GEGLU_BYTES / ((size_t)w->shape[0] * sizeof(float));
    if (rows < GEGLU_ROWS) rows = GEGLU_ROWS;
    return (int)(T - done < rows ? T - done : rows);
}

static size_t block_bytes(const struct weight *w, size_t T) {
    return ((size_t)block_rows(w, T, 0) * (size_t)w->shape[0] * sizeof(float) + 63) / 64 * 64;
}

static struct cpu_matmul geglu_key(const struct weight *w, const struct weight *b, struct view x, int rows) {
    struct cpu_matmul key = product(w, b, rows, x.ld, (int)w->shape[0]);
    key.y_f32 = 1;
    return key;
}

void cpu_linear_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    size_t T = view_rows(x);
    assert(view_rows(y) == T && w->shape[1] == x.C && w->shape[0] == 2 * y.C && b->shape[0] == 2 * y.C);
    for (size_t t = 0; t < T; t += (size_t)block_rows(w, T, t))
        plan_shape(cpu_of(dev), w, geglu_key(w, b, x, block_rows(w, T, t)), block_bytes(w, T));
    cpu_plan_dense(cpu_of(dev), b);
}

/* y[t + i] = v gelu(g), [v|g] = vg[i] */
static void gate_rows(const struct device *dev, struct view y, size_t t, int rows, const float *vg) {
#pragma omp parallel for schedule(static)
    for (int i = 0; i < rows; i++) {
        const float *v = vg + (size_t)i * 2 * (size_t)y.C, *g = v + y.C;
        for (int c = 0; c < y.C; c += ROW_CHUNK) {
            float out[ROW_CHUNK], *dst = row_target(dev, row_at(dev, y, t + (size_t)i, c), out);
            int n = imin(ROW_CHUNK, y.C - c);
#pragma omp simd
            for (int j = 0; j < n; j++) dst[j] = v[c + j] * vm_gelu(g[c + j]);
            row_store(dev, row_at(dev, y, t + (size_t)i, c), dst, n);
        }
    }
}

void cpu_linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    size_t T = view_rows(x);
    float *vg = cpu_of(dev)->scratch;
    void *scratchpad = (char *)vg + block_bytes(w, T);
    for (size_t t = 0; t < T; t += (size_t)block_rows(w, T, t)) {
        int rows = block_rows(w, T, t);
        const struct linear_shape *s = find_shape(w, geglu_key(w, b, x, rows));
        assert(s);
        cpu_primitive_run(&s->primitive, cpu_of(dev), vg, row_at(dev, x, t, 0), w->packed, b->packed, scratchpad);
        gate_rows(dev, y, t, rows, vg);
    }
}
