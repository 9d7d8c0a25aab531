#include "engine/nets/clip_layers.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

void clip_layers_config(struct clip_layers *l, const struct json *config) {
    l->hidden_size = (int)json_int(config, "hidden_size", l->hidden_size, 1, 65536);
    l->intermediate_size = (int)json_int(config, "intermediate_size", l->intermediate_size, 1, 1 << 20);
    l->n = (int)json_int(config, "num_hidden_layers", l->n, 1, 256);
    l->n_heads = (int)json_int(config, "num_attention_heads", l->n_heads, 1, 1024);
    l->eps = (float)json_number(config, "layer_norm_eps", 1e-5, 1e-12, 1);
    l->act =
        config_choice(config, "hidden_act", "quick_gelu", (const char *const[]){"quick_gelu", "gelu", NULL}) ? ACT_GELU : ACT_QUICK_GELU;
    if (l->hidden_size % l->n_heads)
        die(FAIL_UNSUPPORTED, "%s: 'hidden_size' %d is not a multiple of 'num_attention_heads' %d", json_path(config), l->hidden_size,
            l->n_heads);
}

static struct weight *stack_qkv(struct binder *binder, enum weight_kind kind, const char *prefix, int layer, const char *what, int C) {
    const char *names[3];
    for (int i = 0; i < 3; i++)
        names[i] = arena_printf(binder->arena, "%sencoder.layers.%d.self_attn.%c_proj.%s", prefix, layer, "qkv"[i], what);
    return weight_get_stacked(binder, kind, 3, names, (const int64_t[]){C, C, C}, kind == WEIGHT_VECTOR ? 0 : C);
}

static void bind_layer(struct clip_layer *l, struct binder *binder, const char *prefix, int i, int C, int M) {
#define GET(kind, shape, name) weight_get(binder, kind, shape, "%sencoder.layers.%d." name, prefix, i)
    l->layer_norm1_w = GET(WEIGHT_VECTOR, SHAPE(C), "layer_norm1.weight");
    l->layer_norm1_b = GET(WEIGHT_VECTOR, SHAPE(C), "layer_norm1.bias");
    l->qkv_w = stack_qkv(binder, WEIGHT_MATRIX, prefix, i, "weight", C);
    l->qkv_b = stack_qkv(binder, WEIGHT_VECTOR, prefix, i, "bias", C);
    l->out_proj_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "self_attn.out_proj.weight");
    l->out_proj_b = GET(WEIGHT_VECTOR, SHAPE(C), "self_attn.out_proj.bias");
    l->layer_norm2_w = GET(WEIGHT_VECTOR, SHAPE(C), "layer_norm2.weight");
    l->layer_norm2_b = GET(WEIGHT_VECTOR, SHAPE(C), "layer_norm2.bias");
    l->fc1_w = GET(WEIGHT_MATRIX, SHAPE(M, C), "mlp.fc1.weight");
    l->fc1_b = GET(WEIGHT_VECTOR, SHAPE(M), "mlp.fc1.bias");
    l->fc2_w = GET(WEIGHT_MATRIX, SHAPE(C, M), "mlp.fc2.weight");
    l->fc2_b = GET(WEIGHT_VECTOR, SHAPE(C), "mlp.fc2.bias");
#undef GET
}

void clip_layers_bind(struct clip_layers *l, struct binder *binder, const char *prefix) {
    l->layer = arena_array(binder->arena, (size_t)l->n, sizeof *l->layer);
    for (int i = 0; i < l->n; i++) bind_layer(&l->layer[i], binder, prefix, i, l->hidden_size, l->intermediate_size);
}

static void copy(struct device *dev, struct view y, struct view x) {
    dev->ops->modulate(dev, y, x, no_view, no_view, ACT_NONE);
}

/* The others attend as if the hidden tokens were not there, and these to what stands before them.  qkv [1,1,T,3C]  y [1,1,T,C] */
static void attend_without(struct device *dev, const struct clip_layers *m, struct view y, struct view qkv, struct clip_hidden hidden) {
    int C = y.C, T = y.W, after = hidden.at + hidden.n, rest = T - after;
    size_t mark = arena_mark(dev);
    struct view seen = view_alloc_as(dev, y.dtype, 1, 1, T - hidden.n, 3 * C), out = view_alloc_as(dev, y.dtype, 1, 1, T - hidden.n, C);
    struct view before = view_tokens(qkv, 0, hidden.at), own = view_tokens(qkv, hidden.at, hidden.n);
    copy(dev, view_tokens(seen, 0, hidden.at), before);
    if (rest) copy(dev, view_tokens(seen, hidden.at, rest), view_tokens(qkv, after, rest));
    dev->ops->attention(dev, out, view_slice(seen, 0, C), view_slice(seen, C, C), view_slice(seen, 2 * C, C), m->n_heads, true);
    copy(dev, view_tokens(y, 0, hidden.at), view_tokens(out, 0, hidden.at));
    if (rest) copy(dev, view_tokens(y, after, rest), view_tokens(out, hidden.at, rest));
    dev->ops->attention(dev, view_tokens(y, hidden.at, hidden.n), view_slice(own, 0, C), view_slice(before, C, C),
                        view_slice(before, 2 * C, C), m->n_heads, false);
    arena_release(dev, mark);
}

/* Pre-LN: h += out_proj(attention(LN1 h)); h += fc2(act(fc1(LN2 h))) */
static void layer_forward(struct device *dev, const struct clip_layers *m, const struct clip_layer *l, struct view h,
                          struct clip_hidden hidden) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int T = h.W, C = h.C;
    struct view n = view_alloc_as(dev, h.dtype, 1, 1, T, C), qkv = view_alloc_as(dev, h.dtype, 1, 1, T, 3 * C),
                a = view_alloc_as(dev, h.dtype, 1, 1, T, C), mlp = view_alloc_as(dev, h.dtype, 1, 1, T, m->intermediate_size);

    op->layer_norm(dev, n, h, l->layer_norm1_w, l->layer_norm1_b, m->eps);
    op->linear(dev, qkv, n, l->qkv_w, l->qkv_b, ACT_NONE, no_view);
    if (hidden.n) attend_without(dev, m, a, qkv, hidden);
    else op->attention(dev, a, view_slice(qkv, 0, C), view_slice(qkv, C, C), view_slice(qkv, 2 * C, C), m->n_heads, m->causal);
    op->linear(dev, h, a, l->out_proj_w, l->out_proj_b, ACT_NONE, h);

    op->layer_norm(dev, n, h, l->layer_norm2_w, l->layer_norm2_b, m->eps);
    op->linear(dev, mlp, n, l->fc1_w, l->fc1_b, m->act, no_view);
    op->linear(dev, h, mlp, l->fc2_w, l->fc2_b, ACT_NONE, h);
    arena_release(dev, mark);
}

void clip_layers_forward(struct device *dev, const struct clip_layers *l, struct view h, int from, int to, const char *prefix,
                         struct clip_hidden hidden) {
    for (int i = from; i < to; i++) {
        layer_forward(dev, l, &l->layer[i], h, hidden);
        tap_view(dev, h, "%sencoder.layers.%d", prefix, i);
    }
}
