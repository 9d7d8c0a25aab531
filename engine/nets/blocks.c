#include "engine/nets/blocks.h"

#define GET(kind, shape, name) weight_get(binder, kind, shape, "%s." name, prefix)

void resnet_bind(struct resnet *r, struct binder *binder, const char *prefix, int c_in, int c_out, int groups, float eps) {
    *r = (struct resnet){.c_in = c_in, .c_out = c_out, .groups = groups, .eps = eps};
    r->norm1_w = GET(WEIGHT_VECTOR, SHAPE(c_in), "norm1.weight");
    r->norm1_b = GET(WEIGHT_VECTOR, SHAPE(c_in), "norm1.bias");
    r->conv1_w = GET(WEIGHT_CONV, SHAPE(c_out, c_in, 3, 3), "conv1.weight");
    r->conv1_b = GET(WEIGHT_VECTOR, SHAPE(c_out), "conv1.bias");
    r->time_emb_proj = arena_printf(binder->arena, "%s.time_emb_proj", prefix);
    r->norm2_w = GET(WEIGHT_VECTOR, SHAPE(c_out), "norm2.weight");
    r->norm2_b = GET(WEIGHT_VECTOR, SHAPE(c_out), "norm2.bias");
    r->conv2_w = GET(WEIGHT_CONV, SHAPE(c_out, c_out, 3, 3), "conv2.weight");
    r->conv2_b = GET(WEIGHT_VECTOR, SHAPE(c_out), "conv2.bias");
    if (c_in == c_out) return;
    r->conv_shortcut_w = GET(WEIGHT_MATRIX, SHAPE(c_out, c_in), "conv_shortcut.weight");
    r->conv_shortcut_b = GET(WEIGHT_VECTOR, SHAPE(c_out), "conv_shortcut.bias");
}

void resnet_forward(struct device *dev, const struct resnet *r, struct view y, struct view x, struct view temb) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view h = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, r->c_out);
    {
        size_t inner = arena_mark(dev);
        struct view n = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, r->c_in);
        op->group_norm(dev, n, x, r->norm1_w, r->norm1_b, r->groups, r->eps, true);
        op->conv2d(dev, h, n, r->conv1_w, r->conv1_b, r->scale_shift ? no_view : temb, no_view, CONV_3X3);
        arena_release(dev, inner);
    }
    op->group_norm(dev, h, h, r->norm2_w, r->norm2_b, r->groups, r->eps, !r->scale_shift);
    if (r->scale_shift) op->modulate(dev, h, h, view_slice(temb, 0, h.C), view_slice(temb, h.C, h.C), ACT_SILU);
    if (r->conv_shortcut_w) {
        op->linear(dev, y, x, r->conv_shortcut_w, r->conv_shortcut_b, ACT_NONE, no_view);
        op->conv2d(dev, y, h, r->conv2_w, r->conv2_b, no_view, y, CONV_3X3);
    } else {
        op->conv2d(dev, y, h, r->conv2_w, r->conv2_b, no_view, x, CONV_3X3);
    }
    arena_release(dev, mark);
}

static struct weight *stack(struct binder *binder, enum weight_kind kind, const char *prefix, const char *const projections[], int n,
                            const char *what, int rows, int columns) {
    const char *names[3];
    int64_t counts[3];
    for (int i = 0; i < n; i++) {
        names[i] = arena_printf(binder->arena, "%s.%s.%s", prefix, projections[i], what);
        counts[i] = rows;
    }
    return weight_get_stacked(binder, kind, n, names, counts, kind == WEIGHT_VECTOR ? 0 : columns);
}

static const char *const to_qkv[] = {"to_q", "to_k", "to_v"};

static void transformer_block_bind(struct transformer_block *b, struct binder *binder, const char *prefix, int C, int cross_dim) {
    const char *attn1 = arena_printf(binder->arena, "%s.attn1", prefix), *attn2 = arena_printf(binder->arena, "%s.attn2", prefix);
    b->norm1_w = GET(WEIGHT_VECTOR, SHAPE(C), "norm1.weight");
    b->norm1_b = GET(WEIGHT_VECTOR, SHAPE(C), "norm1.bias");
    b->attn1_qkv_w = stack(binder, WEIGHT_MATRIX, attn1, to_qkv, 3, "weight", C, C);
    b->attn1_to_out_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "attn1.to_out.0.weight");
    b->attn1_to_out_b = GET(WEIGHT_VECTOR, SHAPE(C), "attn1.to_out.0.bias");
    b->norm2_w = GET(WEIGHT_VECTOR, SHAPE(C), "norm2.weight");
    b->norm2_b = GET(WEIGHT_VECTOR, SHAPE(C), "norm2.bias");
    b->attn2_to_q_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "attn2.to_q.weight");
    b->attn2_kv_w = stack(binder, WEIGHT_MATRIX, attn2, to_qkv + 1, 2, "weight", C, cross_dim);
    b->attn2_to_out_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "attn2.to_out.0.weight");
    b->attn2_to_out_b = GET(WEIGHT_VECTOR, SHAPE(C), "attn2.to_out.0.bias");
    b->norm3_w = GET(WEIGHT_VECTOR, SHAPE(C), "norm3.weight");
    b->norm3_b = GET(WEIGHT_VECTOR, SHAPE(C), "norm3.bias");
    b->ff_proj_w = GET(WEIGHT_MATRIX, SHAPE(8 * C, C), "ff.net.0.proj.weight");
    b->ff_proj_b = GET(WEIGHT_VECTOR, SHAPE(8 * C), "ff.net.0.proj.bias");
    b->ff_out_w = GET(WEIGHT_MATRIX, SHAPE(C, 4 * C), "ff.net.2.weight");
    b->ff_out_b = GET(WEIGHT_VECTOR, SHAPE(C), "ff.net.2.bias");
}

void transformer_bind(struct transformer *t, struct binder *binder, const char *prefix, int C, int n_heads, int cross_dim, int n_blocks,
                      int groups) {
    *t = (struct transformer){.C = C, .n_heads = n_heads, .groups = groups, .n_blocks = n_blocks, .cross_dim = cross_dim};
    t->norm_w = GET(WEIGHT_VECTOR, SHAPE(C), "norm.weight");
    t->norm_b = GET(WEIGHT_VECTOR, SHAPE(C), "norm.bias");
    t->proj_in_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "proj_in.weight");
    t->proj_in_b = GET(WEIGHT_VECTOR, SHAPE(C), "proj_in.bias");
    t->blocks = arena_array(binder->arena, (size_t)n_blocks, sizeof *t->blocks);
    for (int i = 0; i < n_blocks; i++)
        transformer_block_bind(&t->blocks[i], binder, arena_printf(binder->arena, "%s.transformer_blocks.%d", prefix, i), C, cross_dim);
    t->proj_out_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "proj_out.weight");
    t->proj_out_b = GET(WEIGHT_VECTOR, SHAPE(C), "proj_out.bias");
}

void transformer_prepare(struct device *dev, const struct transformer *t, struct view *kv, struct view context) {
    for (int i = 0; i < t->n_blocks; i++) {
        kv[i] = view_alloc_as(dev, context.dtype, context.N, 1, context.W, 2 * t->C);
        dev->ops->linear(dev, kv[i], context, t->blocks[i].attn2_kv_w, NULL, ACT_NONE, no_view);
    }
}

static void self_attention(struct device *dev, const struct transformer_block *b, int n_heads, struct view h) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int C = h.C;
    struct view n = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, C), qkv = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, 3 * C);
    op->layer_norm(dev, n, h, b->norm1_w, b->norm1_b, 1e-5f);
    op->linear(dev, qkv, n, b->attn1_qkv_w, NULL, ACT_NONE, no_view);
    op->attention(dev, n, view_slice(qkv, 0, C), view_slice(qkv, C, C), view_slice(qkv, 2 * C, C), n_heads, false);
    op->linear(dev, h, n, b->attn1_to_out_w, b->attn1_to_out_b, ACT_NONE, h);
    arena_release(dev, mark);
}

/* Each image attends to its own tokens, or several in a row to the same: in one call where they are as many for all. */
static void attend_context(struct device *dev, struct view y, struct view q, struct view kv, const int *n_tokens, int n_heads) {
    int C = y.C;
    int each = y.N / kv.N;
    bool at_once = each == 1;
    for (int i = 0; i < kv.N && n_tokens; i++) at_once &= n_tokens[i] == kv.W;
    for (int i = 0; i < kv.N; i += at_once ? kv.N : 1) {
        struct view own = at_once ? kv : view_tokens(view_images(kv, i, 1), 0, n_tokens ? n_tokens[i] : kv.W);
        int n = at_once ? y.N : each;
        dev->ops->attention(dev, view_images(y, i * each, n), view_images(q, i * each, n), view_slice(own, 0, C), view_slice(own, C, C),
                            n_heads, false);
    }
}

static void cross_attention(struct device *dev, const struct transformer_block *b, int n_heads, struct view h, struct view kv,
                            const int *n_tokens) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int C = h.C;
    struct view n = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, C), q = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, C);
    op->layer_norm(dev, n, h, b->norm2_w, b->norm2_b, 1e-5f);
    op->linear(dev, q, n, b->attn2_to_q_w, NULL, ACT_NONE, no_view);
    attend_context(dev, n, q, kv, n_tokens, n_heads);
    op->linear(dev, h, n, b->attn2_to_out_w, b->attn2_to_out_b, ACT_NONE, h);
    arena_release(dev, mark);
}

static void feed_forward(struct device *dev, const struct transformer_block *b, struct view h) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view n = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, h.C), g = view_alloc_as(dev, h.dtype, h.N, h.H, h.W, 4 * h.C);
    op->layer_norm(dev, n, h, b->norm3_w, b->norm3_b, 1e-5f);
    op->linear_geglu(dev, g, n, b->ff_proj_w, b->ff_proj_b);
    op->linear(dev, h, g, b->ff_out_w, b->ff_out_b, ACT_NONE, h);
    arena_release(dev, mark);
}

void transformer_forward(struct device *dev, const struct transformer *t, struct view y, struct view x, const struct view *kv,
                         const int *n_tokens) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view h = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, t->C);
    {
        size_t inner = arena_mark(dev);
        struct view n = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, t->C);
        op->group_norm(dev, n, x, t->norm_w, t->norm_b, t->groups, 1e-6f /* fixed in diffusers, whatever norm_eps says */, false);
        op->linear(dev, h, n, t->proj_in_w, t->proj_in_b, ACT_NONE, no_view);
        arena_release(dev, inner);
    }
    for (int i = 0; i < t->n_blocks; i++) {
        self_attention(dev, &t->blocks[i], t->n_heads, h);
        cross_attention(dev, &t->blocks[i], t->n_heads, h, kv[i], n_tokens);
        feed_forward(dev, &t->blocks[i], h);
    }
    op->linear(dev, y, h, t->proj_out_w, t->proj_out_b, ACT_NONE, x);
    arena_release(dev, mark);
}

void attention_block_bind(struct attention_block *a, struct binder *binder, const char *prefix, int C, int n_heads, int groups, float eps) {
    *a = (struct attention_block){.C = C, .n_heads = n_heads, .groups = groups, .eps = eps};
    if (groups) {
        a->group_norm_w = GET(WEIGHT_VECTOR, SHAPE(C), "group_norm.weight");
        a->group_norm_b = GET(WEIGHT_VECTOR, SHAPE(C), "group_norm.bias");
    }
    a->qkv_w = stack(binder, WEIGHT_MATRIX, prefix, to_qkv, 3, "weight", C, C);
    a->qkv_b = stack(binder, WEIGHT_VECTOR, prefix, to_qkv, 3, "bias", C, 0);
    a->to_out_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "to_out.0.weight");
    a->to_out_b = GET(WEIGHT_VECTOR, SHAPE(C), "to_out.0.bias");
}

void attention_block_forward(struct device *dev, const struct attention_block *a, struct view y, struct view x) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int C = a->C;
    struct view n = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, C), qkv = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, 3 * C);
    if (a->groups) op->group_norm(dev, n, x, a->group_norm_w, a->group_norm_b, a->groups, a->eps, false);
    op->linear(dev, qkv, a->groups ? n : x, a->qkv_w, a->qkv_b, ACT_NONE, no_view);
    op->attention(dev, n, view_slice(qkv, 0, C), view_slice(qkv, C, C), view_slice(qkv, 2 * C, C), a->n_heads, false);
    op->linear(dev, y, n, a->to_out_w, a->to_out_b, ACT_NONE, x);
    arena_release(dev, mark);
}
