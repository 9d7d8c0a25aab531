/* From tensor names to struct unet. */
#include "engine/nets/unet.h"

static void sampler_bind(struct unet_level *level, struct binder *binder, const char *prefix, int C) {
    level->sampler_w = weight_get(binder, WEIGHT_CONV, SHAPE(C, C, 3, 3), "%s.conv.weight", prefix);
    level->sampler_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%s.conv.bias", prefix);
}

/* n_blocks: of each transformer. */
static void level_bind(struct unet *m, struct binder *binder, struct unet_level *level, const char *prefix, enum unet_attention attention,
                       const int *c_in, int c_out, int n_layers, int n_heads, const int *n_blocks) {
    level->attention = attention;
    level->n_layers = n_layers;
    level->resnets = arena_array(binder->arena, (size_t)n_layers, sizeof *level->resnets);
    level->transformers = arena_array(binder->arena, (size_t)n_layers, sizeof *level->transformers);
    level->attentions = arena_array(binder->arena, (size_t)n_layers, sizeof *level->attentions);
    for (int j = 0; j < n_layers; j++) {
        resnet_bind(&level->resnets[j], binder, arena_printf(binder->arena, "%s.resnets.%d", prefix, j), c_in[j], c_out, m->groups, m->eps);
        const char *name = arena_printf(binder->arena, "%s.attentions.%d", prefix, j);
        if (attention == ATTENTION_SELF) attention_block_bind(&level->attentions[j], binder, name, c_out, n_heads, m->groups, m->eps);
        if (attention != ATTENTION_CROSS) continue;
        transformer_bind(&level->transformers[j], binder, name, c_out, n_heads, m->cross_dim, n_blocks[j], m->groups);
        m->n_transformer_blocks += n_blocks[j];
    }
}

static void down_bind(struct unet *m, struct binder *binder) {
    for (int i = 0, before = m->block_out_channels[0]; i < m->n_levels; i++) {
        int C = m->block_out_channels[i], c_in[UNET_LAYERS_MAX + 1];
        for (int j = 0; j < m->layers_per_block[i]; j++) c_in[j] = j ? C : before;
        level_bind(m, binder, &m->down[i], arena_printf(binder->arena, "down_blocks.%d", i), m->down_attention[i], c_in, C,
                   m->layers_per_block[i], m->n_heads[i], m->down_blocks[i]);
        if (i + 1 < m->n_levels) sampler_bind(&m->down[i], binder, arena_printf(binder->arena, "down_blocks.%d.downsamplers.0", i), C);
        before = C;
    }
}

static void mid_bind(struct unet *m, struct binder *binder) {
    int last = m->n_levels - 1, C = m->block_out_channels[last];
    for (int i = 0; i < m->n_mid_resnets; i++)
        resnet_bind(&m->mid_resnets[i], binder, i ? "mid_block.resnets.1" : "mid_block.resnets.0", C, C, m->groups, m->eps);
    const char *name = "mid_block.attentions.0";
    if (m->mid_attention == ATTENTION_SELF)
        attention_block_bind(&m->mid_attn, binder, name, C, m->n_heads[last], m->attention_groups, m->eps);
    if (m->mid_attention == ATTENTION_CROSS) {
        transformer_bind(&m->mid_transformer, binder, name, C, m->n_heads[last], m->cross_dim, m->mid_blocks, m->groups);
        m->n_transformer_blocks += m->mid_blocks;
    }
}

/* Up block i mirrors config level n-1-i. Its resnets read [hidden, skip]; skips come back in reverse: this level's own resnets, and last
 * the output of the level below (its down-sampler, or conv_in). */
static void up_bind(struct unet *m, struct binder *binder) {
    for (int i = 0, before = m->block_out_channels[m->n_levels - 1]; i < m->n_levels; i++) {
        int level = m->n_levels - 1 - i, C = m->block_out_channels[level], n_layers = m->layers_per_block[level] + 1;
        int last_skip = m->block_out_channels[level ? level - 1 : 0], c_in[UNET_LAYERS_MAX + 1];
        for (int j = 0; j < n_layers; j++) c_in[j] = (j ? C : before) + (j == n_layers - 1 ? last_skip : C);
        level_bind(m, binder, &m->up[i], arena_printf(binder->arena, "up_blocks.%d", i), m->up_attention[i], c_in, C, n_layers,
                   m->n_heads[level], m->up_blocks[i]);
        if (level > 0) sampler_bind(&m->up[i], binder, arena_printf(binder->arena, "up_blocks.%d.upsamplers.0", i), C);
        before = C;
    }
}

/* Gives each resnet its columns in the table of time embeddings and stacks the projections in that order. */
struct temb_list {
    int n;
    struct resnet *resnets[2 * UNET_LEVELS_MAX * (UNET_LAYERS_MAX + 1) + 2];
};

static void list_level(struct temb_list *list, struct unet_level *level) {
    for (int j = 0; j < level->n_layers; j++) list->resnets[list->n++] = &level->resnets[j];
}

static void time_projections_bind(struct unet *m, struct binder *binder, int E) {
    struct temb_list *list = arena_alloc(binder->arena, sizeof *list);
    for (int i = 0; i < m->n_levels; i++) list_level(list, &m->down[i]);
    for (int i = 0; i < m->n_mid_resnets; i++) list->resnets[list->n++] = &m->mid_resnets[i];
    for (int i = 0; i < m->n_levels; i++) list_level(list, &m->up[i]);

    const char **weights = arena_array(binder->arena, (size_t)list->n, sizeof *weights),
               **biases = arena_array(binder->arena, (size_t)list->n, sizeof *biases);
    int64_t *rows = arena_array(binder->arena, (size_t)list->n, sizeof *rows);
    for (int i = 0; i < list->n; i++) {
        struct resnet *r = list->resnets[i];
        r->scale_shift = m->scale_shift;
        r->temb_at = m->n_temb;
        rows[i] = resnet_n_temb(r);
        m->n_temb += resnet_n_temb(r);
        weights[i] = arena_printf(binder->arena, "%s.weight", r->time_emb_proj);
        biases[i] = arena_printf(binder->arena, "%s.bias", r->time_emb_proj);
    }
    m->time_emb_proj_w = weight_get_stacked(binder, WEIGHT_MATRIX, list->n, weights, rows, E);
    m->time_emb_proj_b = weight_get_stacked(binder, WEIGHT_VECTOR, list->n, biases, rows, 0);
}

/* The first of them, up to the way down. */
static void input_bind(struct unet *m, struct binder *binder, int E) {
    int C = m->block_out_channels[0];
    if (m->guidance_dim) m->cond_proj_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(C, m->guidance_dim), "time_embedding.cond_proj.weight");
    m->time_linear_1_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(E, C), "time_embedding.linear_1.weight");
    m->time_linear_1_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(E), "time_embedding.linear_1.bias");
    m->time_linear_2_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(E, E), "time_embedding.linear_2.weight");
    m->time_linear_2_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(E), "time_embedding.linear_2.bias");
    if (m->added_dim) {
        m->add_linear_1_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(E, m->added_dim), "add_embedding.linear_1.weight");
        m->add_linear_1_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(E), "add_embedding.linear_1.bias");
        m->add_linear_2_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(E, E), "add_embedding.linear_2.weight");
        m->add_linear_2_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(E), "add_embedding.linear_2.bias");
    }
    m->conv_in_w = weight_get(binder, WEIGHT_CONV, SHAPE(C, m->in_channels, 3, 3), "conv_in.weight");
    m->conv_in_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "conv_in.bias");
}

void unet_bind_encoder(struct unet *m, struct binder *binder) {
    int E = 4 * m->block_out_channels[0];
    input_bind(m, binder, E);
    down_bind(m, binder);
    mid_bind(m, binder);
    time_projections_bind(m, binder, E);
}

struct unet *unet_bind(struct binder *binder) {
    struct unet *m = arena_alloc(binder->arena, sizeof *m);
    unet_read_config(m, binder->component->config, strcmp(binder->component->class_name, "UNet2DModel") != 0);
    int C = m->block_out_channels[0], E = 4 * C;
    input_bind(m, binder, E);
    down_bind(m, binder);
    mid_bind(m, binder);
    up_bind(m, binder);
    time_projections_bind(m, binder, E);
    m->conv_norm_out_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "conv_norm_out.weight");
    m->conv_norm_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "conv_norm_out.bias");
    m->conv_out_w = weight_get(binder, WEIGHT_CONV, SHAPE(m->out_channels, C, 3, 3), "conv_out.weight");
    m->conv_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(m->out_channels), "conv_out.bias");
    return m;
}
