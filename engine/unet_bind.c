/* From config.json and tensor names to struct unet. Absent keys take diffusers' class defaults. */
#include "engine/unet.h"
#include "engine/config.h"
#include "engine/error.h"

#include <string.h>

static const struct config_only only[] = {
    {"center_input_sample", ONLY_FALSE, 0, NULL},
    {"mid_block_scale_factor", ONLY_NUMBER, 1, NULL},
    {"act_fn", ONLY_STRING, 0, "silu"},
    {"num_attention_heads", ONLY_NULL, 0, NULL},
    {"reverse_transformer_layers_per_block", ONLY_NULL, 0, NULL},
    {"encoder_hid_dim", ONLY_NULL, 0, NULL},
    {"encoder_hid_dim_type", ONLY_NULL, 0, NULL},
    {"dual_cross_attention", ONLY_FALSE, 0, NULL},
    {"class_embed_type", ONLY_NULL, 0, NULL},
    {"addition_embed_type", ONLY_NULL, 0, NULL},
    {"num_class_embeds", ONLY_NULL, 0, NULL},
    {"resnet_time_scale_shift", ONLY_STRING, 0, "default"},
    {"resnet_skip_time_act", ONLY_FALSE, 0, NULL},
    {"resnet_out_scale_factor", ONLY_NUMBER, 1, NULL},
    {"time_embedding_type", ONLY_STRING, 0, "positional"},
    {"time_embedding_dim", ONLY_NULL, 0, NULL},
    {"time_embedding_act_fn", ONLY_NULL, 0, NULL},
    {"timestep_post_act", ONLY_NULL, 0, NULL},
    {"time_cond_proj_dim", ONLY_NULL, 0, NULL},
    {"conv_in_kernel", ONLY_NUMBER, 3, NULL},
    {"conv_out_kernel", ONLY_NUMBER, 3, NULL},
    {"attention_type", ONLY_STRING, 0, "default"},
    {"class_embeddings_concat", ONLY_FALSE, 0, NULL},
    {"mid_block_only_cross_attention", ONLY_FALSE, 0, NULL},
    {"cross_attention_norm", ONLY_NULL, 0, NULL},
    {"quantization_config", ONLY_NULL, 0, NULL},
    {"auto_map", ONLY_NULL, 0, NULL},
};

/* A number for all levels, or one per level. */
static void read_per_level(int *values, const struct json *config, const char *key, int fallback, int max, int n_levels) {
    int64_t v[UNET_LEVELS_MAX] = {fallback};
    int n = json_int_array(config, key, v, UNET_LEVELS_MAX, 1, max, true);
    if (n < 0) n = 1;
    if (n != 1 && n != n_levels) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), n, key, n_levels);
    for (int i = 0; i < n_levels; i++) values[i] = (int)v[n == 1 ? 0 : i];
}

static void read_block_types(bool *attention, const struct json *config, const char *key, const char *plain, const char *cross,
                             const bool *fallback, int n_levels) {
    const char *types[UNET_LEVELS_MAX];
    int n = json_string_array(config, key, types, UNET_LEVELS_MAX);
    if (n < 0) n = 4;
    if (n != n_levels) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), n, key, n_levels);
    for (int i = 0; i < n; i++) {
        if (json_is_null(config, key)) {
            attention[i] = fallback[i];
            continue;
        }
        const char *type = types[i] ? types[i] : "null";
        attention[i] = strcmp(type, cross) == 0;
        if (!attention[i] && strcmp(type, plain) != 0) die(FAIL_UNSUPPORTED, "%s: '%s': '%s' is not supported", json_path(config), key, type);
    }
}

static void read_sample_size(struct unet *m, const struct json *config) {
    int64_t size[2] = {64, 64};
    int n = json_int_array(config, "sample_size", size, 2, 1, 8192, true);
    m->sample_height = (int)size[0];
    m->sample_width = (int)size[n == 2 ? 1 : 0];
}

static void read_only_cross_attention(const struct json *config) {
    bool asked = json_is_array(config, "only_cross_attention") || json_bool(config, "only_cross_attention", false);
    if (asked) die(FAIL_UNSUPPORTED, "%s: 'only_cross_attention': only false is supported", json_path(config));
}

static void check_divisible(const struct unet *m, const struct json *config) {
    for (int i = 0; i < m->n_levels; i++) {
        int C = m->block_out_channels[i];
        if (C % m->groups)
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'norm_num_groups' %d", json_path(config), C, m->groups);
        if (C % m->n_heads[i])
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'attention_head_dim' %d", json_path(config), C, m->n_heads[i]);
    }
    if (m->block_out_channels[0] % 2)
        die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d: the first must be even", json_path(config), m->block_out_channels[0]);
}

static void read_config(struct unet *m, const struct json *config) {
    config_require_class(config, "UNet2DConditionModel");
    config_require(config, only, sizeof only / sizeof *only);
    read_only_cross_attention(config);
    int64_t channels[UNET_LEVELS_MAX] = {320, 640, 1280, 1280};
    int n = json_int_array(config, "block_out_channels", channels, UNET_LEVELS_MAX, 1, 65536, false);
    if (n == 0) die(FAIL_DATA, "%s: 'block_out_channels' is empty", json_path(config));
    m->n_levels = n < 0 ? 4 : n;
    for (int i = 0; i < m->n_levels; i++) m->block_out_channels[i] = (int)channels[i];

    read_sample_size(m, config);
    m->in_channels = (int)json_int(config, "in_channels", 4, 1, 1024);
    m->out_channels = (int)json_int(config, "out_channels", 4, 1, 1024);
    m->groups = (int)json_int(config, "norm_num_groups", 32, 1, 65536);
    m->cross_dim = (int)json_int(config, "cross_attention_dim", 1280, 1, 65536);
    m->downsample_padding = (int)json_int(config, "downsample_padding", 1, 0, 1);
    m->flip_sin_to_cos = json_bool(config, "flip_sin_to_cos", true);
    m->freq_shift = (float)json_int(config, "freq_shift", 0, 0, 1);
    m->eps = (float)json_number(config, "norm_eps", 1e-5, 1e-12, 1);
    read_per_level(m->layers_per_block, config, "layers_per_block", 2, UNET_LAYERS_MAX, m->n_levels);
    read_per_level(m->n_heads, config, "attention_head_dim", 8, 1024, m->n_levels); /* the number of heads, despite its name */
    read_per_level(m->transformer_layers, config, "transformer_layers_per_block", 1, 64, m->n_levels);
    read_block_types(m->down_attention, config, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D",
                     (const bool[]){true, true, true, false}, m->n_levels);
    read_block_types(m->up_attention, config, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", (const bool[]){false, true, true, true},
                     m->n_levels);
    static const char *const mid_types[] = {"UNetMidBlock2DCrossAttn", NULL};
    config_choice(config, "mid_block_type", mid_types[0], mid_types);
    check_divisible(m, config);
}

static void sampler_bind(struct unet_level *level, struct component *c, const char *prefix, int C) {
    level->sampler_w = weight_get(c, WEIGHT_CONV, SHAPE(C, C, 3, 3), "%s.conv.weight", prefix);
    level->sampler_b = weight_get(c, WEIGHT_VECTOR, SHAPE(C), "%s.conv.bias", prefix);
}

static void level_bind(struct unet *m, struct component *c, struct unet_level *level, const char *prefix, bool attention, const int *c_in, int c_out,
                       int n_layers, int config_level) {
    level->attention = attention;
    level->n_layers = n_layers;
    level->resnets = arena_array(c->arena, (size_t)n_layers, sizeof *level->resnets);
    level->attentions = arena_array(c->arena, (size_t)n_layers, sizeof *level->attentions);
    for (int j = 0; j < n_layers; j++) {
        resnet_bind(&level->resnets[j], c, arena_printf(c->arena, "%s.resnets.%d", prefix, j), c_in[j], c_out, m->groups, m->eps);
        if (!attention) continue;
        transformer_bind(&level->attentions[j], c, arena_printf(c->arena, "%s.attentions.%d", prefix, j), c_out, m->n_heads[config_level],
                         m->cross_dim, m->transformer_layers[config_level], m->groups);
        m->n_transformer_blocks += m->transformer_layers[config_level];
    }
}

static void down_bind(struct unet *m, struct component *c) {
    for (int i = 0, before = m->block_out_channels[0]; i < m->n_levels; i++) {
        int C = m->block_out_channels[i], c_in[UNET_LAYERS_MAX + 1];
        for (int j = 0; j < m->layers_per_block[i]; j++) c_in[j] = j ? C : before;
        level_bind(m, c, &m->down[i], arena_printf(c->arena, "down_blocks.%d", i), m->down_attention[i], c_in, C, m->layers_per_block[i], i);
        if (i + 1 < m->n_levels) sampler_bind(&m->down[i], c, arena_printf(c->arena, "down_blocks.%d.downsamplers.0", i), C);
        before = C;
    }
}

static void mid_bind(struct unet *m, struct component *c) {
    int last = m->n_levels - 1, C = m->block_out_channels[last];
    resnet_bind(&m->mid_resnets[0], c, "mid_block.resnets.0", C, C, m->groups, m->eps);
    transformer_bind(&m->mid_transformer, c, "mid_block.attentions.0", C, m->n_heads[last], m->cross_dim, m->transformer_layers[last], m->groups);
    m->n_transformer_blocks += m->transformer_layers[last];
    resnet_bind(&m->mid_resnets[1], c, "mid_block.resnets.1", C, C, m->groups, m->eps);
}

/* Up block i mirrors config level n-1-i. Its resnets read [hidden, skip]; skips come back in reverse: this level's own resnets, and last the
 * output of the level below (its down-sampler, or conv_in). */
static void up_bind(struct unet *m, struct component *c) {
    for (int i = 0, before = m->block_out_channels[m->n_levels - 1]; i < m->n_levels; i++) {
        int level = m->n_levels - 1 - i, C = m->block_out_channels[level], n_layers = m->layers_per_block[level] + 1;
        int last_skip = m->block_out_channels[level ? level - 1 : 0], c_in[UNET_LAYERS_MAX + 1];
        for (int j = 0; j < n_layers; j++) c_in[j] = (j ? C : before) + (j == n_layers - 1 ? last_skip : C);
        level_bind(m, c, &m->up[i], arena_printf(c->arena, "up_blocks.%d", i), m->up_attention[i], c_in, C, n_layers, level);
        if (level > 0) sampler_bind(&m->up[i], c, arena_printf(c->arena, "up_blocks.%d.upsamplers.0", i), C);
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

static void time_projections_bind(struct unet *m, struct component *c, int E) {
    struct temb_list *list = arena_alloc(c->arena, sizeof *list);
    for (int i = 0; i < m->n_levels; i++) list_level(list, &m->down[i]);
    for (int i = 0; i < 2; i++) list->resnets[list->n++] = &m->mid_resnets[i];
    for (int i = 0; i < m->n_levels; i++) list_level(list, &m->up[i]);

    const char **weights = arena_array(c->arena, (size_t)list->n, sizeof *weights), **biases = arena_array(c->arena, (size_t)list->n, sizeof *biases);
    int64_t *rows = arena_array(c->arena, (size_t)list->n, sizeof *rows);
    for (int i = 0; i < list->n; i++) {
        struct resnet *r = list->resnets[i];
        r->temb_at = m->n_temb;
        m->n_temb += r->c_out;
        rows[i] = r->c_out;
        weights[i] = arena_printf(c->arena, "%s.weight", r->time_emb_proj);
        biases[i] = arena_printf(c->arena, "%s.bias", r->time_emb_proj);
    }
    m->time_emb_proj_w = weight_get_stacked(c, WEIGHT_MATRIX, list->n, weights, rows, E);
    m->time_emb_proj_b = weight_get_stacked(c, WEIGHT_VECTOR, list->n, biases, rows, 0);
}

struct unet *unet_bind(struct component *c) {
    struct unet *m = arena_alloc(c->arena, sizeof *m);
    read_config(m, c->config);
    int C = m->block_out_channels[0], E = 4 * C;
    m->time_linear_1_w = weight_get(c, WEIGHT_MATRIX, SHAPE(E, C), "time_embedding.linear_1.weight");
    m->time_linear_1_b = weight_get(c, WEIGHT_VECTOR, SHAPE(E), "time_embedding.linear_1.bias");
    m->time_linear_2_w = weight_get(c, WEIGHT_MATRIX, SHAPE(E, E), "time_embedding.linear_2.weight");
    m->time_linear_2_b = weight_get(c, WEIGHT_VECTOR, SHAPE(E), "time_embedding.linear_2.bias");
    m->conv_in_w = weight_get(c, WEIGHT_CONV, SHAPE(C, m->in_channels, 3, 3), "conv_in.weight");
    m->conv_in_b = weight_get(c, WEIGHT_VECTOR, SHAPE(C), "conv_in.bias");
    down_bind(m, c);
    mid_bind(m, c);
    up_bind(m, c);
    time_projections_bind(m, c, E);
    m->conv_norm_out_w = weight_get(c, WEIGHT_VECTOR, SHAPE(C), "conv_norm_out.weight");
    m->conv_norm_out_b = weight_get(c, WEIGHT_VECTOR, SHAPE(C), "conv_norm_out.bias");
    m->conv_out_w = weight_get(c, WEIGHT_CONV, SHAPE(m->out_channels, C, 3, 3), "conv_out.weight");
    m->conv_out_b = weight_get(c, WEIGHT_VECTOR, SHAPE(m->out_channels), "conv_out.bias");
    return m;
}
