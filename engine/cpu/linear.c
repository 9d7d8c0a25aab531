/* Matrix products by oneDNN's matmul. The weight is packed once into the layout oneDNN asks for; each shape a weight is used with has
 * a primitive, made while planning. Bias, activation and residual are applied to a tile of the result while it is in the cache. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

enum residual { RESIDUAL_NONE, RESIDUAL_Y /* y += */, RESIDUAL_OTHER };

/* What a primitive is made for. */
struct linear_key {
    int64_t T, x_ld, y_ld, residual_ld;
    enum residual residual;
    enum act act;
    bool bias, y_f32;
};

struct linear_shape {
    struct linear_key key;
    dnnl_primitive_t primitive;
    dnnl_memory_t x, bias, y, residual, scratch;
    struct linear_shape *next;
};

struct linear_plan {
    struct cpu_plan base;
    int64_t K, C;
    dnnl_memory_desc_t layout; /* fixed by the first shape */
    dnnl_memory_t weights;     /* made when the weight is packed */
    struct linear_shape *shapes;
};

static dnnl_data_type_t element_type(const struct cpu_device *dev) {
    return dev->base.dtype == DT_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_memory_desc_t matrix_desc(dnnl_data_type_t type, int64_t rows, int64_t columns, int64_t ld) {
    dnnl_memory_desc_t md;
    cpu_check(dnnl_memory_desc_init_by_strides(&md, 2, (dnnl_dims_t){rows, columns}, type, (dnnl_dims_t){ld, 1}), "matrix");
    return md;
}

/* ---- packing ----------------------------------------------------------------------------------------------------------------------- */

static void linear_pack(struct cpu_device *dev, struct weight *w, const float *src) {
    struct linear_plan *plan = w->plan;
    dnnl_memory_desc_t from;
    dnnl_memory_t from_memory;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    dnnl_stream_t stream;
    cpu_check(dnnl_memory_desc_init_by_strides(&from, 2, (dnnl_dims_t){plan->C, plan->K}, dnnl_f32, (dnnl_dims_t){1, plan->C}), "weight");
    cpu_check(dnnl_memory_create(&from_memory, &from, dev->engine, (void *)(uintptr_t)src), "weight");
    cpu_check(dnnl_memory_create(&plan->weights, &plan->layout, dev->engine, w->packed), "weight");
    cpu_check(dnnl_reorder_primitive_desc_create(&pd, &from, dev->engine, &plan->layout, dev->engine, NULL), "reorder");
    cpu_check(dnnl_primitive_create(&reorder, pd), "reorder");
    cpu_check(dnnl_stream_create(&stream, dev->engine, dnnl_stream_default_flags), "stream");
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from_memory}, {DNNL_ARG_TO, plan->weights}};
    cpu_check(dnnl_primitive_execute(reorder, stream, 2, args), "reorder");
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(from_memory);
}

static void linear_destroy(struct cpu_plan *base) {
    struct linear_plan *plan = (struct linear_plan *)base;
    for (struct linear_shape *s = plan->shapes, *next; s; s = next) {
        next = s->next;
        dnnl_primitive_destroy(s->primitive);
        dnnl_memory_t memories[] = {s->x, s->bias, s->y, s->residual, s->scratch};
        for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) dnnl_memory_destroy(memories[i]);
        free(s);
    }
    dnnl_memory_destroy(plan->weights);
    free(plan);
}

/* ---- planning ---------------------------------------------------------------------------------------------------------------------- */

static bool keys_equal(struct linear_key a, struct linear_key b) {
    return a.T == b.T && a.x_ld == b.x_ld && a.y_ld == b.y_ld && a.residual_ld == b.residual_ld && a.residual == b.residual &&
           a.act == b.act && a.bias == b.bias && a.y_f32 == b.y_f32;
}

static struct linear_shape *find_shape(const struct linear_plan *plan, struct linear_key key) {
    for (struct linear_shape *s = plan->shapes; s; s = s->next)
        if (keys_equal(s->key, key)) return s;
    return NULL;
}

static struct linear_plan *plan_of(struct cpu_device *dev, struct weight *w) {
    if (w->plan) return w->plan;
    struct linear_plan *plan = cpu_new(sizeof *plan);
    plan->base.pack = linear_pack;
    plan->base.destroy = linear_destroy;
    plan->K = w->shape[0];
    plan->C = w->shape[1];
    cpu_plan_register(dev, w, &plan->base);
    return plan;
}

static dnnl_primitive_attr_t attributes(struct linear_key key, const dnnl_memory_desc_t *residual) {
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    cpu_check(dnnl_primitive_attr_create(&attr), "attributes");
    cpu_check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
    cpu_check(dnnl_post_ops_create(&ops), "attributes");
    if (key.act == ACT_SILU) cpu_check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_swish, 1, 0), "SiLU");
    if (key.act == ACT_QUICK_GELU) cpu_check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_swish, 1.702f, 0), "GELU");
    if (key.act == ACT_GELU) cpu_check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_gelu_erf, 0, 0), "GELU");
    if (key.residual == RESIDUAL_Y) cpu_check(dnnl_post_ops_append_sum(ops, 1), "residual");
    if (key.residual == RESIDUAL_OTHER) cpu_check(dnnl_post_ops_append_binary(ops, dnnl_binary_add, residual), "residual");
    cpu_check(dnnl_primitive_attr_set_post_ops(attr, ops), "attributes");
    dnnl_post_ops_destroy(ops);
    return attr;
}

static void new_memory(struct cpu_device *dev, dnnl_memory_t *memory, const dnnl_memory_desc_t *md) {
    cpu_check(dnnl_memory_create(memory, md, dev->engine, DNNL_MEMORY_NONE), "memory");
}

static void new_shape(struct cpu_device *dev, struct linear_plan *plan, struct linear_key key) {
    struct linear_shape *s = cpu_new(sizeof *s);
    s->key = key;
    s->next = plan->shapes;
    bool first = !plan->shapes;
    plan->shapes = s;

    dnnl_data_type_t type = element_type(dev);
    dnnl_memory_desc_t x = matrix_desc(type, key.T, plan->C, key.x_ld), y = matrix_desc(key.y_f32 ? dnnl_f32 : type, key.T, plan->K, key.y_ld);
    dnnl_memory_desc_t bias = matrix_desc(dnnl_f32, 1, plan->K, plan->K), residual = {0};
    if (key.residual == RESIDUAL_OTHER) residual = matrix_desc(type, key.T, plan->K, key.residual_ld);
    if (first)
        cpu_check(dnnl_memory_desc_init_by_tag(&plan->layout, 2, (dnnl_dims_t){plan->C, plan->K}, type, dnnl_format_tag_any), "weight");

    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_attr_t attr = attributes(key, &residual);
    cpu_check(dnnl_matmul_desc_init(&desc, &x, &plan->layout, key.bias ? &bias : NULL, &y), "matmul");
    cpu_check(dnnl_primitive_desc_create(&pd, &desc, attr, dev->engine, NULL), "matmul");
    if (first) {
        plan->layout = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        plan->base.packed_bytes = dnnl_memory_desc_get_size(&plan->layout);
    }
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    cpu_scratch_reserve(dev, dnnl_memory_desc_get_size(scratch));
    cpu_check(dnnl_primitive_create(&s->primitive, pd), "matmul");
    new_memory(dev, &s->x, &x);
    new_memory(dev, &s->y, &y);
    new_memory(dev, &s->scratch, scratch);
    if (key.bias) new_memory(dev, &s->bias, &bias);
    if (key.residual == RESIDUAL_OTHER) new_memory(dev, &s->residual, &residual);
    dnnl_primitive_attr_destroy(attr);
    dnnl_primitive_desc_destroy(pd);
}

static struct linear_key key_of(struct view y, struct view x, const struct weight *b, enum act act, struct view residual) {
    enum residual kind = !residual.p ? RESIDUAL_NONE : residual.p == y.p && residual.ld == y.ld ? RESIDUAL_Y : RESIDUAL_OTHER;
    return (struct linear_key){(int64_t)view_rows(x), x.ld, y.ld, kind == RESIDUAL_OTHER ? residual.ld : 0, kind, act, b != NULL, false};
}

void cpu_linear_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                     struct view residual) {
    struct linear_plan *plan = plan_of(cpu_of(dev), w);
    assert(view_rows(y) == view_rows(x) && plan->C == x.C && plan->K == y.C && (!b || b->shape[0] == y.C));
    assert(!residual.p || (view_rows(residual) == view_rows(y) && residual.C == y.C));
    struct linear_key key = key_of(y, x, b, act, residual);
    if (!find_shape(plan, key)) new_shape(cpu_of(dev), plan, key);
    cpu_plan_dense(cpu_of(dev), b);
}

/* ---- running ----------------------------------------------------------------------------------------------------------------------- */

static void execute(struct cpu_device *dev, const struct linear_plan *plan, const struct linear_shape *s, void *y, void *x, void *bias,
                    void *residual, void *scratch) {
    dnnl_exec_arg_t args[6] = {{DNNL_ARG_SRC, s->x}, {DNNL_ARG_WEIGHTS, plan->weights}, {DNNL_ARG_DST, s->y},
                               {DNNL_ARG_SCRATCHPAD, s->scratch}};
    int n = 4;
    dnnl_memory_set_data_handle(s->x, x);
    dnnl_memory_set_data_handle(s->y, y);
    dnnl_memory_set_data_handle(s->scratch, scratch);
    if (s->bias) {
        dnnl_memory_set_data_handle(s->bias, bias);
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, s->bias};
    }
    if (s->residual) {
        dnnl_memory_set_data_handle(s->residual, residual);
        int position = s->key.act == ACT_NONE ? 0 : 1;
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1, s->residual};
    }
    cpu_check(dnnl_primitive_execute(s->primitive, dev->stream, n, args), "matmul");
}

void cpu_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                struct view residual) {
    struct linear_plan *plan = w->plan;
    const struct linear_shape *s = find_shape(plan, key_of(y, x, b, act, residual));
    assert(s);
    execute(cpu_of(dev), plan, s, y.p, x.p, b ? b->packed : NULL, residual.p, cpu_of(dev)->scratch);
}

/* ---- GEGLU: the product goes to scratch, so many rows at a time that it stays in the cache --------------------------------------- */

enum { GEGLU_BYTES = 4 << 20, GEGLU_ROWS = 512 /* at least: fewer do not repay reading the weight again */ };

static int geglu_rows(const struct linear_plan *plan, size_t T, size_t done) {
    size_t rows = (size_t)GEGLU_BYTES / ((size_t)plan->K * sizeof(float));
    if (rows < GEGLU_ROWS) rows = GEGLU_ROWS;
    return (int)(T - done < rows ? T - done : rows);
}

static struct linear_key geglu_key(const struct linear_plan *plan, struct view x, int rows) {
    return (struct linear_key){.T = rows, .x_ld = x.ld, .y_ld = plan->K, .bias = true, .y_f32 = true};
}

static size_t geglu_bytes(const struct linear_plan *plan, size_t T) {
    return (size_t)geglu_rows(plan, T, 0) * (size_t)plan->K * sizeof(float);
}

void cpu_linear_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct linear_plan *plan = plan_of(cpu_of(dev), w);
    size_t T = view_rows(x), own = cpu_of(dev)->scratch_bytes;
    assert(view_rows(y) == T && plan->C == x.C && plan->K == 2 * y.C && b->shape[0] == 2 * y.C);
    cpu_of(dev)->scratch_bytes = 0; /* to learn what the products need: ours comes on top */
    for (size_t t = 0; t < T; t += (size_t)geglu_rows(plan, T, t)) {
        struct linear_key key = geglu_key(plan, x, geglu_rows(plan, T, t));
        if (!find_shape(plan, key)) new_shape(cpu_of(dev), plan, key);
    }
    size_t need = geglu_bytes(plan, T) + cpu_of(dev)->scratch_bytes;
    cpu_of(dev)->scratch_bytes = own;
    cpu_scratch_reserve(cpu_of(dev), need);
    cpu_plan_dense(cpu_of(dev), b);
}

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
    const struct linear_plan *plan = w->plan;
    size_t T = view_rows(x);
    float *vg = cpu_of(dev)->scratch;
    void *scratch = (char *)vg + geglu_bytes(plan, T);
    for (size_t t = 0; t < T;) {
        int rows = geglu_rows(plan, T, t);
        const struct linear_shape *s = find_shape(plan, geglu_key(plan, x, rows));
        assert(s);
        execute(cpu_of(dev), plan, s, vg, row_at(dev, x, t, 0), b->packed, NULL, scratch);
        gate_rows(dev, y, t, rows, vg);
        t += (size_t)rows;
    }
}
