/* See dnnl_util.h. In 2.x an operation is described by a struct first, in 3.x its primitive descriptor is made in one
 * call. */
#include "engine/cpu/dnnl_util.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* strides NULL: the primitive chooses the layout. Owned by the caller. */
static dnnl_memory_desc_t cpu_md(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, const dnnl_dims_t strides) {
    dnnl_memory_desc_t md;
#if DNNL_VERSION_MAJOR >= 3
    cpu_check(strides ? dnnl_memory_desc_create_with_strides(&md, rank, dims, type, strides)
                      : dnnl_memory_desc_create_with_tag(&md, rank, dims, type, dnnl_format_tag_any),
              "memory descriptor");
#else
    cpu_check(strides ? dnnl_memory_desc_init_by_strides(&md, rank, dims, type, strides)
                      : dnnl_memory_desc_init_by_tag(&md, rank, dims, type, dnnl_format_tag_any),
              "memory descriptor");
#endif
    return md;
}

static void cpu_md_destroy(dnnl_memory_desc_t *md) {
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(*md);
#else
    (void)md;
#endif
}

static dnnl_memory_desc_t md_copy(const dnnl_memory_desc_t *md) {
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t copy;
    cpu_check(dnnl_memory_desc_clone(&copy, *md), "memory descriptor");
    return copy;
#else
    return *md;
#endif
}

static void append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
    cpu_check(dnnl_post_ops_append_eltwise(ops, kind, alpha, 0), "activation");
#else
    cpu_check(dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, 0), "activation");
#endif
}

static void append_sum(dnnl_post_ops_t ops) {
#if DNNL_VERSION_MAJOR >= 3
    cpu_check(dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef), "sum");
#else
    cpu_check(dnnl_post_ops_append_sum(ops, 1), "sum");
#endif
}

/* The scratchpad is ours; sum: y += act(result) instead of y = act(result). */
static dnnl_primitive_attr_t attr_create(bool sum, enum act act) {
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    cpu_check(dnnl_primitive_attr_create(&attr), "attributes");
    cpu_check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "scratchpad mode");
    cpu_check(dnnl_post_ops_create(&ops), "post-ops");
    if (act == ACT_SILU) append_eltwise(ops, dnnl_eltwise_swish, 1);
    if (act == ACT_QUICK_GELU) append_eltwise(ops, dnnl_eltwise_swish, 1.702f);
    if (act == ACT_GELU) append_eltwise(ops, dnnl_eltwise_gelu_erf, 0);
    if (sum) append_sum(ops);
    cpu_check(dnnl_primitive_attr_set_post_ops(attr, ops), "post-ops");
    dnnl_post_ops_destroy(ops);
    return attr;
}

/* NHWC, dense */
static dnnl_memory_desc_t md_image(dnnl_data_type_t type, int N, int C, int H, int W) {
    dnnl_dim_t rows = (dnnl_dim_t)H * W;
    return cpu_md(4, (dnnl_dims_t){N, C, H, W}, type, (dnnl_dims_t){rows * C, 1, (dnnl_dim_t)W * C, C});
}

static dnnl_primitive_desc_t conv_pd(struct cpu_device *dev, const struct cpu_conv *c, const dnnl_memory_desc_t *layout) {
    dnnl_data_type_t type = cpu_dnnl_type(c->dtype);
    dnnl_memory_desc_t src = md_image(type, c->N, c->C, c->H, c->W), dst = md_image(type, c->N, c->K, c->Ho, c->Wo);
    dnnl_memory_desc_t weights = layout ? md_copy(layout) : cpu_md(4, (dnnl_dims_t){c->K, c->C, c->R, c->R}, type, NULL);
    dnnl_memory_desc_t bias = cpu_md(1, (dnnl_dims_t){c->K}, dnnl_f32, (dnnl_dims_t){1});
    dnnl_dims_t stride = {c->stride, c->stride}, before = {c->top, c->left}, after = {c->bottom, c->right};
    dnnl_primitive_attr_t attr = attr_create(c->sum, ACT_NONE);
    dnnl_primitive_desc_t pd;
#if DNNL_VERSION_MAJOR >= 3
    cpu_check(dnnl_convolution_forward_primitive_desc_create(&pd, dev->engine, dnnl_forward_inference, dnnl_convolution_direct, src,
                                                             weights, c->bias ? bias : NULL, dst, stride, (dnnl_dims_t){0, 0}, before,
                                                             after, attr),
              "convolution");
#else
    dnnl_convolution_desc_t desc;
    cpu_check(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                                                 c->bias ? &bias : NULL, &dst, stride, before, after),
              "convolution");
    cpu_check(dnnl_primitive_desc_create(&pd, &desc, attr, dev->engine, NULL), "convolution");
#endif
    dnnl_primitive_attr_destroy(attr);
    cpu_md_destroy(&src), cpu_md_destroy(&dst), cpu_md_destroy(&weights), cpu_md_destroy(&bias);
    return pd;
}

static dnnl_primitive_desc_t matmul_pd(struct cpu_device *dev, const struct cpu_matmul *m, const dnnl_memory_desc_t *layout) {
    dnnl_data_type_t type = cpu_dnnl_type(m->dtype);
    dnnl_memory_desc_t src = cpu_md(2, (dnnl_dims_t){m->T, m->C}, type, (dnnl_dims_t){m->x_ld, 1});
    dnnl_memory_desc_t dst = cpu_md(2, (dnnl_dims_t){m->T, m->K}, m->y_f32 ? dnnl_f32 : type, (dnnl_dims_t){m->y_ld, 1});
    dnnl_memory_desc_t weights = layout ? md_copy(layout) : cpu_md(2, (dnnl_dims_t){m->C, m->K}, type, NULL);
    dnnl_memory_desc_t bias = cpu_md(2, (dnnl_dims_t){1, m->K}, dnnl_f32, (dnnl_dims_t){m->K, 1});
    dnnl_primitive_attr_t attr = attr_create(m->sum, (enum act)m->act);
    dnnl_primitive_desc_t pd;
#if DNNL_VERSION_MAJOR >= 3
    cpu_check(dnnl_matmul_primitive_desc_create(&pd, dev->engine, src, weights, m->bias ? bias : NULL, dst, attr), "matmul");
#else
    dnnl_matmul_desc_t desc;
    cpu_check(dnnl_matmul_desc_init(&desc, &src, &weights, m->bias ? &bias : NULL, &dst), "matmul");
    cpu_check(dnnl_primitive_desc_create(&pd, &desc, attr, dev->engine, NULL), "matmul");
#endif
    dnnl_primitive_attr_destroy(attr);
    cpu_md_destroy(&src), cpu_md_destroy(&dst), cpu_md_destroy(&weights), cpu_md_destroy(&bias);
    return pd;
}

/* The memory object of one operand, without a buffer; *bytes and *layout are set where asked. */
static dnnl_memory_t operand(struct cpu_device *dev, dnnl_primitive_desc_t pd, dnnl_query_t what, int index, size_t *bytes,
                             dnnl_memory_desc_t *layout) {
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t md = (dnnl_memory_desc_t)dnnl_primitive_desc_query_md(pd, what, index);
    const dnnl_memory_desc_t *at = &md;
#else
    const dnnl_memory_desc_t *at = dnnl_primitive_desc_query_md(pd, what, index);
#endif
    dnnl_memory_t memory;
    cpu_check(dnnl_memory_create(&memory, MD(*at), dev->engine, DNNL_MEMORY_NONE), "memory");
    if (bytes) *bytes = dnnl_memory_desc_get_size(MD(*at));
    if (layout) *layout = md_copy(at);
    return memory;
}

static void primitive_init(struct cpu_primitive *p, struct cpu_device *dev, dnnl_primitive_desc_t pd) {
    int n_threads = pool_threads(dev->base.pool);
    cpu_check(dnnl_primitive_create(&p->primitive, pd), "primitive");
    p->operands = cpu_new((size_t)n_threads * sizeof *p->operands);
    for (int i = 0; i < n_threads; i++) {
        struct cpu_operands *o = &p->operands[i];
        o->src = operand(dev, pd, dnnl_query_src_md, 0, NULL, NULL);
        o->weights = operand(dev, pd, dnnl_query_weights_md, 0, &p->weights_bytes, i ? NULL : &p->weights_md);
        o->bias = operand(dev, pd, dnnl_query_weights_md, 1, NULL, NULL);
        o->dst = operand(dev, pd, dnnl_query_dst_md, 0, NULL, NULL);
        o->scratchpad = operand(dev, pd, dnnl_query_scratchpad_md, 0, &p->scratchpad_bytes, NULL);
    }
    p->scratchpad_bytes = cpu_lines(p->scratchpad_bytes);
    dnnl_primitive_desc_destroy(pd);
}

/* What a primitive was made for. Zeroed before it is filled: compared by memcmp. */
struct primitive_key {
    struct cpu_conv conv;
    struct cpu_matmul matmul;
    const struct cpu_primitive *layout;
};

struct cpu_primitive_entry {
    struct cpu_primitive primitive; /* first */
    struct primitive_key key;
    struct cpu_primitive_entry *next;
};

static struct cpu_primitive_entry *find(const struct cpu_device *dev, const struct primitive_key *key) {
    struct cpu_primitive_entry *e = dev->primitives;
    while (e && memcmp(&e->key, key, sizeof *key)) e = e->next;
    return e;
}

/* oneDNN's own threads are not wanted: a primitive uses as many as OpenMP has while it is made. */
static int threads_off(void) {
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    return threads;
}

static const struct cpu_primitive *primitive_of(struct cpu_device *dev, const struct cpu_conv *conv, const struct cpu_matmul *matmul,
                                                const struct cpu_primitive *layout) {
    struct primitive_key key;
    memset(&key, 0, sizeof key);
    if (conv) key.conv = *conv;
    else key.matmul = *matmul;
    key.layout = layout;
    struct cpu_primitive_entry *e = find(dev, &key);
    if (e) return &e->primitive;
    e = cpu_new(sizeof *e);
    e->key = key;
    e->next = dev->primitives;
    dev->primitives = e;
    int threads = threads_off();
    const dnnl_memory_desc_t *md = layout ? &layout->weights_md : NULL;
    primitive_init(&e->primitive, dev, conv ? conv_pd(dev, conv, md) : matmul_pd(dev, matmul, md));
    omp_set_num_threads(threads);
    return &e->primitive;
}

const struct cpu_primitive *cpu_primitive_conv(struct cpu_device *dev, const struct cpu_conv *c, const struct cpu_primitive *layout) {
    return primitive_of(dev, c, NULL, layout);
}

const struct cpu_primitive *cpu_primitive_matmul(struct cpu_device *dev, const struct cpu_matmul *m, const struct cpu_primitive *layout) {
    return primitive_of(dev, NULL, m, layout);
}

/* The least product of more than one row. */
static const struct cpu_primitive_entry *least_product(const struct cpu_device *dev) {
    const struct cpu_primitive_entry *least = NULL;
    for (const struct cpu_primitive_entry *e = dev->primitives; e; e = e->next)
        if (e->key.matmul.T > 1 && (!least || e->primitive.weights_bytes < least->primitive.weights_bytes)) least = e;
    return least;
}

void cpu_primitives_warm(struct cpu_device *dev) {
    const struct cpu_primitive_entry *e = dev->warm ? NULL : least_product(dev);
    if (!e) return;
    const struct cpu_matmul *m = &e->key.matmul;
    size_t sizes[] = {(size_t)m->T * (size_t)m->y_ld, (size_t)m->T * (size_t)m->x_ld, (size_t)m->C * (size_t)m->K, (size_t)m->K}, bytes = 0;
    for (int i = 0; i < 4; i++) sizes[i] = cpu_lines(sizes[i] * sizeof(float)), bytes += sizes[i];
    char *y = cpu_new(bytes + e->primitive.weights_bytes + e->primitive.scratchpad_bytes + 2 * 64), *x = y + sizes[0], *w = x + sizes[1];
    char *b = w + sizes[2], *packed = b + sizes[3], *scratchpad = packed + cpu_lines(e->primitive.weights_bytes);
    cpu_primitive_pack(&e->primitive, dev, packed, (const float *)w, 2, (dnnl_dims_t){m->C, m->K}, (dnnl_dims_t){1, m->C});
    cpu_primitive_run(&e->primitive, dev, 0, y, x, packed, m->bias ? b : NULL, scratchpad);
    free(y);
    cpu_check((dnnl_status_t)atomic_load(&dev->failed), "product");
    dev->warm = true;
}

static void primitive_destroy(struct cpu_primitive *p, int n_threads) {
    for (int i = 0; p->operands && i < n_threads; i++) {
        struct cpu_operands *o = &p->operands[i];
        dnnl_memory_destroy(o->src), dnnl_memory_destroy(o->weights), dnnl_memory_destroy(o->bias);
        dnnl_memory_destroy(o->dst), dnnl_memory_destroy(o->scratchpad);
    }
    if (p->primitive) dnnl_primitive_destroy(p->primitive), cpu_md_destroy(&p->weights_md);
    free(p->operands);
}

void cpu_primitives_destroy(struct cpu_device *dev) {
    for (struct cpu_primitive_entry *e = dev->primitives, *next; e; e = next) {
        next = e->next;
        primitive_destroy(&e->primitive, pool_threads(dev->base.pool));
        free(e);
    }
}

static void execute(dnnl_primitive_t primitive, dnnl_engine_t engine, int n, const dnnl_exec_arg_t *args) {
    dnnl_stream_t stream;
    cpu_check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    cpu_check(dnnl_primitive_execute(primitive, stream, n, args), "execute");
    cpu_check(dnnl_stream_wait(stream), "wait");
    dnnl_stream_destroy(stream);
}

void cpu_primitive_pack(const struct cpu_primitive *p, struct cpu_device *dev, void *dst, const float *src, int rank,
                        const dnnl_dims_t dims, const dnnl_dims_t strides) {
    int threads = threads_off();
    dnnl_memory_desc_t plain = cpu_md(rank, dims, dnnl_f32, strides);
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
    cpu_check(dnnl_reorder_primitive_desc_create(&pd, MD(plain), dev->engine, MD(p->weights_md), dev->engine, NULL), "reorder");
    cpu_check(dnnl_primitive_create(&reorder, pd), "reorder");
    cpu_check(dnnl_memory_create(&from, MD(plain), dev->engine, (void *)(uintptr_t)src), "memory");
    cpu_check(dnnl_memory_create(&to, MD(p->weights_md), dev->engine, dst), "memory");
    execute(reorder, dev->engine, 2, (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    dnnl_memory_destroy(from), dnnl_memory_destroy(to);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    cpu_md_destroy(&plain);
    omp_set_num_threads(threads);
}

void cpu_primitive_run(const struct cpu_primitive *p, struct cpu_device *dev, int thread, void *y, const void *x, const void *w,
                       const void *b, void *scratchpad) {
    const struct cpu_operands *o = &p->operands[thread];
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, o->src},
                                    {DNNL_ARG_WEIGHTS, o->weights},
                                    {DNNL_ARG_DST, o->dst},
                                    {DNNL_ARG_SCRATCHPAD, o->scratchpad},
                                    {DNNL_ARG_BIAS, o->bias}};
    const void *buffers[] = {x, w, y, scratchpad, b};
    int n = b ? 5 : 4; /* matmul refuses a bias it was not made for */
    int threads = threads_off();
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < n && status == dnnl_success; i++)
        status = dnnl_memory_set_data_handle(args[i].memory, (void *)(uintptr_t)buffers[i]);
    if (status == dnnl_success) status = dnnl_primitive_execute(p->primitive, dev->streams[thread], n, args);
    if (status == dnnl_success) status = dnnl_stream_wait(dev->streams[thread]);
    if (status != dnnl_success) atomic_store(&dev->failed, (int)status);
    omp_set_num_threads(threads);
}
