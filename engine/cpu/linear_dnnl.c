/* Matrix products by oneDNN, cut up for the threads: w into panels of columns of y, each packed once into the layout oneDNN asks for; x
 * into slices of an image's rows. One item is one slice times one panel, by a primitive that runs on one thread; where the cuts are depends
 * on an image's shape alone, and so does every sum: oneDNN's last few rows of a product are summed in another order than the others, so
 * that a slice of two images' rows would make an image differ from itself alone. Bias, activation and a residual in y are applied to a tile
 * of the result while it is in the cache. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/linear_dnnl.h"
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

enum { SLICE_ROWS = 128, PANEL_COLUMNS = 256, COLUMN_BLOCK = 64 /* oneDNN's */ };
#define FLOP_NS 0.015 /* about */

struct linear_shape {
    struct cpu_matmul key;
    const struct cpu_primitive *primitive;
    struct linear_shape *next;
};

/* The columns of y: one half of them, or the values and the gates of GEGLU, each cut into panels alike; the last may be narrower. */
struct linear_plan {
    struct cpu_plan base; /* its layouts: of a panel and of the last */
    struct linear_shape *shapes;
    int halves, half, panel, n_panels;  /* columns of a half, of a panel; panels of a half */
    size_t slot_bytes;                  /* a packed panel */
    size_t own_bytes, scratchpad_bytes; /* of a thread's scratch, the most any shape needs: the op's and oneDNN's */
};

/* ---- planning and packing ---------------------------------------------------------------------------------------- */

static int width_of(const struct linear_plan *plan, int panel) {
    return imin(plan->panel, plan->half - panel % plan->n_panels * plan->panel);
}

static bool is_last(const struct linear_plan *plan, int panel) {
    return width_of(plan, panel) != plan->panel;
}

/* The panel's first column of y. */
static int column_of(const struct linear_plan *plan, int panel) {
    return panel / plan->n_panels * plan->half + panel % plan->n_panels * plan->panel;
}

static void linear_pack(struct cpu_device *dev, struct weight *w, const float *src) {
    const struct linear_plan *plan = w->plan;
    dnnl_dim_t C = w->shape[1];
    for (int i = 0; i < plan->halves * plan->n_panels; i++) {
        const dnnl_dims_t dims = {C, width_of(plan, i)}, strides = {1, C};
        cpu_primitive_pack(plan->base.layout[is_last(plan, i)], dev, (char *)w->packed + (size_t)i * plan->slot_bytes,
                           src + (size_t)column_of(plan, i) * (size_t)C, 2, dims, strides);
    }
}

static void linear_destroy(struct cpu_plan *base) {
    struct linear_plan *plan = (struct linear_plan *)base;
    for (struct linear_shape *s = plan->shapes, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(plan);
}

static struct linear_plan *plan_of(struct cpu_device *dev, struct weight *w, int halves, enum dtype dtype) {
    struct linear_plan *plan = (struct linear_plan *)cpu_plan_of(dev, w);
    if (plan) {
        assert(plan->halves == halves && plan->base.dtype == dtype);
        return plan;
    }
    plan = cpu_new(sizeof *plan);
    plan->base.pack = linear_pack;
    plan->base.destroy = linear_destroy;
    plan->halves = halves;
    plan->half = (int)w->shape[0] / halves;
    plan->panel = imin(plan->half, ceil_div(ceil_div(plan->half, ceil_div(plan->half, PANEL_COLUMNS)), COLUMN_BLOCK) * COLUMN_BLOCK);
    plan->n_panels = ceil_div(plan->half, plan->panel);
    cpu_plan_register(dev, w, &plan->base, dtype);
    return plan;
}

/* Rows of a slice of an image's T: of so many slices that they are nearest to SLICE_ROWS. */
static int slice_rows(int T) {
    return ceil_div(T, imax(1, (T + SLICE_ROWS / 2) / SLICE_ROWS));
}

static int image_rows(struct view x) {
    return x.H * x.W;
}

static const struct cpu_primitive *find_shape(const struct linear_plan *plan, const struct cpu_matmul *key) {
    const struct linear_shape *s = plan->shapes;
    while (s && memcmp(&s->key, key, sizeof *key)) s = s->next;
    return s ? s->primitive : NULL;
}

/* One product; key.K and key.T are the panel's and the slice's. */
static void plan_shape(struct cpu_device *dev, struct weight *w, struct cpu_matmul key, bool last, size_t own) {
    struct linear_plan *plan = w->plan;
    const struct cpu_primitive *p = find_shape(plan, &key);
    if (!p) {
        struct linear_shape *s = cpu_new(sizeof *s);
        p = cpu_primitive_matmul(dev, &key, plan->base.layout[last]);
        *s = (struct linear_shape){key, p, plan->shapes};
        plan->shapes = s;
    }
    if (!plan->base.layout[last]) {
        plan->base.layout[last] = p;
        size_t bytes = cpu_lines(p->weights_bytes);
        if (bytes > plan->slot_bytes) plan->slot_bytes = bytes;
        plan->base.packed_bytes = (size_t)(plan->halves * plan->n_panels) * plan->slot_bytes;
    }
    if (own > plan->own_bytes) plan->own_bytes = own;
    if (p->scratchpad_bytes > plan->scratchpad_bytes) plan->scratchpad_bytes = p->scratchpad_bytes;
    cpu_scratch_reserve(dev, (size_t)pool_threads(dev->base.pool) * (plan->own_bytes + plan->scratchpad_bytes));
}

/* A product whose key.T is that of an image's rows; own: bytes of scratch of each thread's own. */
static void plan_product(struct cpu_device *dev, struct weight *w, int halves, struct cpu_matmul key, size_t own) {
    struct linear_plan *plan = plan_of(dev, w, halves, (enum dtype)key.dtype);
    int T = key.T, rows = slice_rows(T), rest = T - (ceil_div(T, rows) - 1) * rows;
    for (int i = 0; i < 2; i++)
        for (int panel = 0; panel < plan->n_panels; panel += imax(1, plan->n_panels - 1)) {
            key.T = i ? rest : rows;
            key.K = width_of(plan, panel);
            plan_shape(dev, w, key, is_last(plan, panel), own);
        }
}

/* y [T,K] at ld y_ld = x w + b, of one image */
static struct cpu_matmul product(const struct weight *w, const struct weight *b, struct view x, int y_ld) {
    return (struct cpu_matmul){
        .T = image_rows(x), .C = (int)w->shape[1], .x_ld = x.ld, .y_ld = y_ld, .bias = b != NULL, .dtype = (int)x.dtype};
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct linear {
    struct cpu_device *dev;
    struct view y, x;
    const struct weight *w, *b;
    struct cpu_matmul key;
    int T, rows, n_slices; /* of an image */
    int n_images;
};

/* Rows [t0,t0+n) of all. */
struct slice {
    int t0, n;
};

static struct slice slice_of(const struct linear *l, size_t i) {
    int image = (int)(i / (size_t)l->n_slices), at = (int)(i % (size_t)l->n_slices) * l->rows;
    return (struct slice){image * l->T + at, imin(l->rows, l->T - at)};
}

static struct linear linear_of(struct device *dev, struct view y, struct view x, const struct weight *w, const struct weight *b,
                               struct cpu_matmul key) {
    int rows = slice_rows(key.T);
    return (struct linear){.dev = cpu_of(dev),
                           .y = y,
                           .x = x,
                           .w = w,
                           .b = b,
                           .key = key,
                           .T = key.T,
                           .rows = rows,
                           .n_slices = ceil_div(key.T, rows),
                           .n_images = x.N};
}

static char *lane_scratch(const struct linear *l, int thread) {
    const struct linear_plan *plan = l->w->plan;
    return (char *)l->dev->scratch + (size_t)thread * (plan->own_bytes + plan->scratchpad_bytes);
}

/* y, where the slice's first element of the panel lies, = the slice times the panel */
static void run_item(const struct linear *l, int panel, struct slice slice, void *y, void *scratchpad, int thread) {
    const struct linear_plan *plan = l->w->plan;
    struct cpu_matmul key = l->key;
    key.T = slice.n;
    key.K = width_of(plan, panel);
    const struct cpu_primitive *p = find_shape(plan, &key);
    assert(p);
    cpu_primitive_run(p, l->dev, thread, y, row_at(l->x, (size_t)slice.t0, 0),
                      (const char *)l->w->packed + (size_t)panel * plan->slot_bytes,
                      l->b ? (const float *)l->b->packed + column_of(plan, panel) : NULL, scratchpad);
}

static size_t all_slices(const struct linear *l) {
    return (size_t)l->n_images * (size_t)l->n_slices;
}

/* An item is a panel's slice; slices change fastest: a panel is read from memory once. */
static void run_all(struct linear *l, pool_job *job) {
    const struct linear_plan *plan = l->w->plan;
    double flop = 2.0 * (l->rows + 4) * plan->panel * l->key.C * plan->halves;
    pool_for(l->dev->base.pool, (size_t)plan->n_panels * all_slices(l), flop * FLOP_NS, job, l);
    cpu_check((dnnl_status_t)atomic_load(&l->dev->failed), "product");
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

static struct cpu_matmul linear_key(struct view y, struct view x, const struct weight *w, const struct weight *b, enum act act,
                                    struct view residual) {
    struct cpu_matmul key = product(w, b, x, y.ld);
    key.act = act;
    key.sum = residual.p && residual.p == y.p;
    return key;
}

void linear_dnnl_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                      struct view residual) {
    plan_product(cpu_of(dev), w, 1, linear_key(y, x, w, b, act, residual), 0);
    cpu_plan_dense(cpu_of(dev), b, DT_F32);
}

static void linear_items(void *context, size_t begin, size_t end, int thread) {
    const struct linear *l = context;
    void *scratchpad = lane_scratch(l, thread);
    for (size_t i = begin; i < end; i++) {
        int panel = (int)(i / all_slices(l));
        struct slice slice = slice_of(l, i % all_slices(l));
        run_item(l, panel, slice, row_at(l->y, (size_t)slice.t0, column_of(l->w->plan, panel)), scratchpad, thread);
    }
}

void linear_dnnl(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    struct linear l = linear_of(dev, y, x, w, b, linear_key(y, x, w, b, act, residual));
    run_all(&l, linear_items);
    if (residual.p && !l.key.sum) cpu_add(dev, y, y, residual, 1);
}

/* ---- GEGLU: values and gates of a slice and a panel go to scratch, where they stay in the cache ------------------ */

static size_t gate_bytes(const struct linear_plan *plan, int T) {
    return cpu_lines((size_t)2 * (size_t)slice_rows(T) * (size_t)plan->panel * sizeof(float));
}

static struct cpu_matmul geglu_key(const struct linear_plan *plan, const struct weight *w, const struct weight *b, struct view x) {
    struct cpu_matmul key = product(w, b, x, plan->panel);
    key.y_f32 = 1;
    return key;
}

void linear_dnnl_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    (void)y;
    const struct linear_plan *plan = plan_of(cpu_of(dev), w, 2, x.dtype);
    plan_product(cpu_of(dev), w, 2, geglu_key(plan, w, b, x), gate_bytes(plan, image_rows(x)));
    cpu_plan_dense(cpu_of(dev), b, DT_F32);
}

/* y[t + i][c0 + c] = v gelu(g), v and g [rows][width] at ld */
static void gate_rows(struct view y, size_t t, int rows, int c0, int width, int ld, const float *v, const float *g) {
    for (int i = 0; i < rows; i++, v += ld, g += ld)
        for (int c = 0; c < width; c += ROW_CHUNK) {
            void *at = row_at(y, t + (size_t)i, c0 + c);
            float out[ROW_CHUNK], *dst = row_target(y.dtype, at, out);
            int n = imin(ROW_CHUNK, width - c);
#pragma omp simd
            for (int j = 0; j < n; j++) dst[j] = v[c + j] * vm_gelu(g[c + j]);
            row_store(y.dtype, at, dst, n);
        }
}

static void geglu_items(void *context, size_t begin, size_t end, int thread) {
    const struct linear *l = context;
    const struct linear_plan *plan = l->w->plan;
    char *scratchpad = lane_scratch(l, thread) + plan->own_bytes;
    float *v = (float *)lane_scratch(l, thread), *g = v + (size_t)l->rows * (size_t)plan->panel;
    for (size_t i = begin; i < end; i++) {
        int panel = (int)(i / all_slices(l));
        struct slice slice = slice_of(l, i % all_slices(l));
        run_item(l, panel, slice, v, scratchpad, thread);
        run_item(l, plan->n_panels + panel, slice, g, scratchpad, thread);
        gate_rows(l->y, (size_t)slice.t0, slice.n, column_of(plan, panel), width_of(plan, panel), plan->panel, v, g);
    }
}

void linear_dnnl_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct linear l = linear_of(dev, y, x, w, b, geglu_key(w->plan, w, b, x));
    run_all(&l, geglu_items);
}
