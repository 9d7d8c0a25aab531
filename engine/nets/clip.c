#include "engine/nets/clip.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

#include <string.h>

/* A whole CLIPModel's config holds its text encoder's. */
static void read_config(struct arena *a, struct clip_text *m, struct json *whole) {
    const struct json *inner = json_object(a, whole, "text_config"), *config = inner ? inner : whole;
    static const struct config_only only[] = {
        {"use_attention_mask", ONLY_FALSE, 0, NULL},
    };
    config_require(config, only, sizeof only / sizeof *only);
    m->vocab_size = (int)json_int(config, "vocab_size", 49408, 1, 1 << 20);
    m->layers = (struct clip_layers){.causal = true, .hidden_size = 512, .intermediate_size = 2048, .n = 12, .n_heads = 8};
    clip_layers_config(&m->layers, config);
    m->max_positions = (int)json_int(config, "max_position_embeddings", 77, 2, 65536);
    m->end_id = (int)json_int(config, "eos_token_id", 49407, 0, 1 << 20);
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
    int C = m->layers.hidden_size;
    m->token_embedding = weight_get(binder, WEIGHT_TABLE, SHAPE(m->vocab_size, C), "%sembeddings.token_embedding.weight", prefix);
    m->position_embedding = weight_get(binder, WEIGHT_TABLE, SHAPE(m->max_positions, C), "%sembeddings.position_embedding.weight", prefix);
    clip_layers_bind(&m->layers, binder, prefix);
    m->final_layer_norm_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%sfinal_layer_norm.weight", prefix);
    m->final_layer_norm_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%sfinal_layer_norm.bias", prefix);
    if (strcmp(binder->component->class_name, "CLIPTextModelWithProjection") != 0) return m;
    m->projection_dim = (int)json_int(binder->component->config, "projection_dim", 512, 1, 65536);
    m->text_projection = weight_get(binder, WEIGHT_MATRIX, SHAPE(m->projection_dim, C), "text_projection.weight");
    return m;
}

static struct view embed(struct device *dev, const struct clip_text *m, const int32_t *ids, int T) {
    struct view h = view_alloc(dev, 1, 1, T, m->layers.hidden_size);
    dev->ops->embed(dev, h, ids, m->token_embedding, m->position_embedding);
    tap_view(dev, h, "text_model.embeddings");
    return h;
}

void clip_text_forward(struct device *dev, const struct clip_text *m, struct view y, const int32_t *ids, int skip,
                       struct clip_hidden hidden) {
    size_t mark = arena_mark(dev);
    struct view h = embed(dev, m, ids, y.W);
    clip_layers_forward(dev, &m->layers, h, 0, m->layers.n - skip, "text_model.", hidden);
    dev->ops->layer_norm(dev, y, h, m->final_layer_norm_w, m->final_layer_norm_b, m->layers.eps);
    tap_view(dev, y, "text_model.final_layer_norm");
    arena_release(dev, mark);
}

static int end_position(const struct clip_text *m, const int32_t *ids, int T) {
    int at = 0;
    for (int i = 0; i < T; i++) {
        if (m->end_id == 2 && ids[i] > ids[at]) at = i;
        if (m->end_id != 2 && ids[i] == m->end_id) return i;
    }
    return at;
}

void clip_text_states(struct device *dev, const struct clip_text *m, struct view y, struct view pooled, const int32_t *ids, int skip,
                      struct clip_hidden hidden) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view h = embed(dev, m, ids, y.W), n = view_alloc(dev, 1, 1, 1, m->layers.hidden_size);
    clip_layers_forward(dev, &m->layers, h, 0, m->layers.n - skip, "text_model.", hidden);
    op->modulate(dev, y, h, no_view, no_view, ACT_NONE);
    if (pooled.p) {
        clip_layers_forward(dev, &m->layers, h, m->layers.n - skip, m->layers.n, "text_model.", hidden);
        op->layer_norm(dev, n, view_tokens(h, end_position(m, ids, y.W), 1), m->final_layer_norm_w, m->final_layer_norm_b, m->layers.eps);
        op->linear(dev, pooled, n, m->text_projection, NULL, ACT_NONE, no_view);
        tap_view(dev, pooled, "text_projection");
    }
    arena_release(dev, mark);
}
