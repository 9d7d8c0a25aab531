#include "engine/nets/clip.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

#include <math.h>

/* A whole CLIPModel's config holds its text encoder's. */
static void read_config(struct arena *a, struct clip_text *m, struct json *whole) {
    const struct json *inner = json_object(a, whole, "text_config"), *config = inner ? inner : whole;
    static const struct config_only only[] = {
        {"use_attention_mask", ONLY_FALSE, 0, NULL},
    };
    config_require(config, only, sizeof only / sizeof *only);
    m->vocab_size = (int)json_int(config, "vocab_size", 49408, 1, 1 << 20);
    m->hidden_size = (int)json_int(config, "hidden_size", 512, 1, 65536);
    m->intermediate_size = (int)json_int(config, "intermediate_size", 2048, 1, 1 << 20);
    m->n_layers = (int)json_int(config, "num_hidden_layers", 12, 1, 256);
    m->n_heads = (int)json_int(config, "num_attention_heads", 8, 1, 1024);
    m->max_positions = (int)json_int(config, "max_position_embeddings", 77, 2, 65536);
    m->eps = (float)json_number(config, "layer_norm_eps", 1e-5, 1e-12, 1);
    m->act =
        config_choice(config, "hidden_act", "quick_gelu", (const char *const[]){"quick_gelu", "gelu", NULL}) ? ACT_GELU : ACT_QUICK_GELU;
    if (m->hidden_size % m->n_heads)
        die(FAIL_UNSUPPORTED, "%s: 'hidden_size' %d is not a multiple of 'num_attention_heads' %d", json_path(config), m->hidden_size,
            m->n_heads);
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

int clip_text_max_positions(struct arena *a, struct json *config) {
    struct clip_text m = {0};
    read_config(a, &m, config);
    return m.max_positions;
}

struct clip_text *clip_text_bind(struct binder *binder) {
    struct clip_text *m = arena_alloc(binder->arena, sizeof *m);
    read_config(binder->arena, m, binder->component->config);
    /* transformers before 5 saved the tensors below "text_model.", 5 saves them bare */
    const char *prefix = component_find(binder->component, "embeddings.token_embedding.weight") ? "" : "text_model.";
    int C = m->hidden_size;
    m->token_embedding = weight_get(binder, WEIGHT_TABLE, SHAPE(m->vocab_size, C), "%sembeddings.token_embedding.weight", prefix);
    m->position_embedding = weight_get(binder, WEIGHT_TABLE, SHAPE(m->max_positions, C), "%sembeddings.position_embedding.weight", prefix);
    m->layers = arena_array(binder->arena, (size_t)m->n_layers, sizeof *m->layers);
    for (int i = 0; i < m->n_layers; i++) bind_layer(&m->layers[i], binder, prefix, i, C, m->intermediate_size);
    m->final_layer_norm_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%sfinal_layer_norm.weight", prefix);
    m->final_layer_norm_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%sfinal_layer_norm.bias", prefix);
    return m;
}

/* Pre-LN: h += out_proj(attention(LN1 h)); h += fc2(act(fc1(LN2 h))) */
static void layer_forward(struct device *dev, const struct clip_text *m, const struct clip_layer *l, struct view h) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int T = h.W, C = h.C;
    struct view n = view_alloc(dev, 1, 1, T, C), qkv = view_alloc(dev, 1, 1, T, 3 * C), a = view_alloc(dev, 1, 1, T, C);
    struct view mlp = view_alloc(dev, 1, 1, T, m->intermediate_size);

    op->layer_norm(dev, n, h, l->layer_norm1_w, l->layer_norm1_b, m->eps);
    op->linear(dev, qkv, n, l->qkv_w, l->qkv_b, ACT_NONE, no_view);
    op->attention(dev, a, view_slice(qkv, 0, C), view_slice(qkv, C, C), view_slice(qkv, 2 * C, C), m->n_heads, true);
    op->linear(dev, h, a, l->out_proj_w, l->out_proj_b, ACT_NONE, h);

    op->layer_norm(dev, n, h, l->layer_norm2_w, l->layer_norm2_b, m->eps);
    op->linear(dev, mlp, n, l->fc1_w, l->fc1_b, m->act, no_view);
    op->linear(dev, h, mlp, l->fc2_w, l->fc2_b, ACT_NONE, h);
    arena_release(dev, mark);
}

void clip_text_forward(struct device *dev, const struct clip_text *m, struct view y, const int32_t *ids, int skip) {
    size_t mark = arena_mark(dev);
    struct view h = view_alloc(dev, 1, 1, y.W, m->hidden_size);
    dev->ops->embed(dev, h, ids, m->token_embedding, m->position_embedding);
    tap_view(dev, h, "text_model.embeddings");
    for (int i = 0; i < m->n_layers - skip; i++) {
        layer_forward(dev, m, &m->layers[i], h);
        tap_view(dev, h, "text_model.encoder.layers.%d", i);
    }
    dev->ops->layer_norm(dev, y, h, m->final_layer_norm_w, m->final_layer_norm_b, m->eps);
    tap_view(dev, y, "text_model.final_layer_norm");
    arena_release(dev, mark);
}
