#include "engine/nets/clip_vision.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

enum { PATCH_MAX = 16 /* conv2d's largest filter */ };

static void read_config(struct clip_vision *m, const struct json *config) {
    static const struct config_only only[] = {{"num_channels", ONLY_NUMBER, 3, NULL}};
    config_require(config, only, sizeof only / sizeof *only);
    m->layers = (struct clip_layers){.hidden_size = 768, .intermediate_size = 3072, .n = 12, .n_heads = 12};
    clip_layers_config(&m->layers, config);
    m->image_size = (int)json_int(config, "image_size", 224, 1, 1024);
    m->patch_size = (int)json_int(config, "patch_size", 32, 1, 1024);
    if (m->patch_size > PATCH_MAX || m->patch_size > m->image_size)
        die(FAIL_UNSUPPORTED, "%s: 'patch_size' %d: only up to %d, and to 'image_size' %d, is supported", json_path(config), m->patch_size,
            PATCH_MAX, m->image_size);
    int side = m->image_size / m->patch_size;
    m->n_positions = side * side + 1;
}

void clip_vision_bind(struct clip_vision *m, struct binder *binder, const struct json *config, const char *prefix) {
    read_config(m, config);
    int C = m->layers.hidden_size, R = m->patch_size;
    m->patch_ids = arena_array(binder->arena, (size_t)m->n_positions, sizeof *m->patch_ids);
    for (int i = 1; i < m->n_positions; i++) m->patch_ids[i - 1] = i;
#define GET(kind, shape, name) weight_get(binder, kind, shape, "%s" name, prefix)
    m->class_embedding = GET(WEIGHT_TABLE, SHAPE(1, C), "embeddings.class_embedding");
    m->patch_embedding_w = GET(WEIGHT_CONV, SHAPE(C, 3, R, R), "embeddings.patch_embedding.weight");
    m->position_embedding = GET(WEIGHT_TABLE, SHAPE(m->n_positions, C), "embeddings.position_embedding.weight");
    m->pre_layrnorm_w = GET(WEIGHT_VECTOR, SHAPE(C), "pre_layrnorm.weight");
    m->pre_layrnorm_b = GET(WEIGHT_VECTOR, SHAPE(C), "pre_layrnorm.bias");
    clip_layers_bind(&m->layers, binder, prefix);
    m->post_layernorm_w = GET(WEIGHT_VECTOR, SHAPE(C), "post_layernorm.weight");
    m->post_layernorm_b = GET(WEIGHT_VECTOR, SHAPE(C), "post_layernorm.bias");
#undef GET
}

/* h[0] = class_embedding + position[0];  h[1 + i] = patch_embedding(patch i) + position[1 + i]        h [1,1,P,C] */
static void embed(struct device *dev, const struct clip_vision *m, struct view h, struct view x) {
    const struct ops *op = dev->ops;
    int side = m->image_size / m->patch_size;
    struct view patches = view_tokens(h, 1, side * side);
    op->embed(dev, view_tokens(h, 0, 1), (const int32_t[]){0}, m->class_embedding, m->position_embedding);
    op->embed(dev, patches, m->patch_ids, m->position_embedding, NULL);
    struct view grid = view_dense(patches.p, h.dtype, 1, side, side, h.C);
    op->conv2d(dev, grid, x, m->patch_embedding_w, NULL, no_view, grid, (struct conv_shape){.stride = m->patch_size, .upsample = 1});
}

void clip_vision_forward(struct device *dev, const struct clip_vision *m, struct view y, struct view x) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view h = view_alloc(dev, 1, 1, m->n_positions, m->layers.hidden_size);
    embed(dev, m, h, x);
    tap_view(dev, h, "vision_model.embeddings");
    op->layer_norm(dev, h, h, m->pre_layrnorm_w, m->pre_layrnorm_b, m->layers.eps);
    tap_view(dev, h, "vision_model.pre_layrnorm");
    clip_layers_forward(dev, &m->layers, h, 0, m->layers.n, "vision_model.", (struct clip_hidden){0});
    op->layer_norm(dev, y, view_tokens(h, 0, 1), m->post_layernorm_w, m->post_layernorm_b, m->layers.eps);
    tap_view(dev, y, "vision_model.post_layernorm");
    arena_release(dev, mark);
}
