/* See dnnl_util.h. In 2.x an operation is described by a struct first, in 3.x its primitive descriptor is made in one
 * call. */
#include "engine/cpu/dnnl_util.h"

dnnl_memory_desc_t cpu_md(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, const dnnl_dims_t strides) {
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

void cpu_md_destroy(dnnl_memory_desc_t *md) {
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

void cpu_primitive_conv(struct cpu_primitive *p, struct cpu_device *dev, const struct cpu_conv *c, const dnnl_memory_desc_t *layout) {
    dnnl_data_type_t type = cpu_dnnl_type(dev);
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
    cpu_primitive_init(p, dev, pd);
}

void cpu_primitive_matmul(struct cpu_primitive *p, struct cpu_device *dev, const struct cpu_matmul *m, const dnnl_memory_desc_t *layout) {
    dnnl_data_type_t type = cpu_dnnl_type(dev);
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
    cpu_primitive_init(p, dev, pd);
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

void cpu_primitive_init(struct cpu_primitive *p, struct cpu_device *dev, dnnl_primitive_desc_t pd) {
    cpu_check(dnnl_primitive_create(&p->primitive, pd), "primitive");
    p->src = operand(dev, pd, dnnl_query_src_md, 0, NULL, NULL);
    p->weights = operand(dev, pd, dnnl_query_weights_md, 0, &p->weights_bytes, &p->weights_md);
    p->bias = operand(dev, pd, dnnl_query_weights_md, 1, NULL, NULL);
    p->dst = operand(dev, pd, dnnl_query_dst_md, 0, NULL, NULL);
    p->scratchpad = operand(dev, pd, dnnl_query_scratchpad_md, 0, &p->scratchpad_bytes, NULL);
    dnnl_primitive_desc_destroy(pd);
}

void cpu_primitive_destroy(struct cpu_primitive *p) {
    if (!p->primitive) return;
    dnnl_primitive_destroy(p->primitive);
    dnnl_memory_destroy(p->src), dnnl_memory_destroy(p->weights), dnnl_memory_destroy(p->bias);
    dnnl_memory_destroy(p->dst), dnnl_memory_destroy(p->scratchpad);
    cpu_md_destroy(&p->weights_md);
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
}

void cpu_primitive_run(const struct cpu_primitive *p, struct cpu_device *dev, void *y, const void *x, const void *w, const void *b,
                       void *scratchpad) {
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, p->src},
                                    {DNNL_ARG_WEIGHTS, p->weights},
                                    {DNNL_ARG_DST, p->dst},
                                    {DNNL_ARG_SCRATCHPAD, p->scratchpad},
                                    {DNNL_ARG_BIAS, p->bias}};
    const void *buffers[] = {x, w, y, scratchpad, b};
    int n = b ? 5 : 4; /* matmul refuses a bias it was not made for */
    for (int i = 0; i < n; i++) cpu_check(dnnl_memory_set_data_handle(args[i].memory, (void *)(uintptr_t)buffers[i]), "buffer");
    cpu_check(dnnl_primitive_execute(p->primitive, dev->stream, n, args), "execute");
    cpu_check(dnnl_stream_wait(dev->stream), "wait");
}
