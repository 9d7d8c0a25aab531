/* config.json of both UNet classes. Absent keys take diffusers' class defaults. */
#include "engine/nets/unet.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

#include <string.h>

/* What neither class may ask for … */
static const struct config_only only[] = {
    {"center_input_sample", ONLY_FALSE, 0, NULL},
    {"mid_block_scale_factor", ONLY_NUMBER, 1, NULL},
    {"class_embed_type", ONLY_NULL, 0, NULL},
    {"num_class_embeds", ONLY_NULL, 0, NULL},
    {"time_embedding_type", ONLY_STRING, 0, "positional"},
    {"time_embedding_dim", ONLY_NULL, 0, NULL},
};

/* … nor UNet2DConditionModel … */
static const struct config_only conditional_only[] = {
    {"num_attention_heads", ONLY_NULL, 0, NULL},
    {"encoder_hid_dim", ONLY_NULL, 0, NULL},
    {"encoder_hid_dim_type", ONLY_NULL, 0, NULL},
    {"dual_cross_attention", ONLY_FALSE, 0, NULL},
    {"resnet_skip_time_act", ONLY_FALSE, 0, NULL},
    {"resnet_out_scale_factor", ONLY_NUMBER, 1, NULL},
    {"time_embedding_act_fn", ONLY_NULL, 0, NULL},
    {"timestep_post_act", ONLY_NULL, 0, NULL},
    {"conv_in_kernel", ONLY_NUMBER, 3, NULL},
    {"conv_out_kernel", ONLY_NUMBER, 3, NULL},
    {"attention_type", ONLY_STRING, 0, "default"},
    {"class_embeddings_concat", ONLY_FALSE, 0, NULL},
    {"mid_block_only_cross_attention", ONLY_FALSE, 0, NULL},
    {"cross_attention_norm", ONLY_NULL, 0, NULL},
};

/* … nor UNet2DModel. */
static const struct config_only unconditional_only[] = {
    {"downsample_type", ONLY_STRING, 0, "conv"},
    {"upsample_type", ONLY_STRING, 0, "conv"},
};

/* A number for all levels, or one per level. */
static void read_per_level(int *values, const struct json *config, const char *key, int fallback, int max, int n_levels) {
    int64_t v[UNET_LEVELS_MAX] = {fallback};
    int n = json_int_array(config, key, v, UNET_LEVELS_MAX, 1, max, true);
    if (n < 0) n = 1;
    if (n != 1 && n != n_levels) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), n, key, n_levels);
    for (int i = 0; i < n_levels; i++) values[i] = (int)v[n == 1 ? 0 : i];
}

/* Names of a class's blocks, with the attention each has; ended by NULL. Checkpoints of 2022 say "UNetRes…". */
struct block_type {
    const char *name;
    enum unet_attention attention;
};

static enum unet_attention find_block_type(const struct json *config, const char *key, const struct block_type *known, const char *type) {
    if (!type) die(FAIL_DATA, "%s: '%s': expected strings, found null", json_path(config), key);
    const char *name = strncmp(type, "UNetRes", 7) == 0 ? type + 7 : type;
    for (; known->name; known++)
        if (strcmp(known->name, name) == 0) return known->attention;
    die(FAIL_UNSUPPORTED, "%s: '%s': '%s' is not supported", json_path(config), key, type);
}

static void read_block_types(enum unet_attention *attention, const struct json *config, const char *key, const struct block_type *known,
                             const enum unet_attention fallback[4], int n_levels) {
    const char *types[UNET_LEVELS_MAX];
    int n = json_string_array(config, key, types, UNET_LEVELS_MAX);
    if (n < 0) n = 4;
    if (n != n_levels) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), n, key, n_levels);
    for (int i = 0; i < n; i++) attention[i] = json_is_null(config, key) ? fallback[i] : find_block_type(config, key, known, types[i]);
}

static void read_sample_size(struct unet *m, const struct json *config) {
    int64_t size[2] = {64, 64};
    int n = json_int_array(config, "sample_size", size, 2, 1, 8192, true);
    m->sample_height = (int)size[0];
    m->sample_width = (int)size[n == 2 ? 1 : 0];
}

/* false, or false for each level. */
static void require_self_attention(const struct json *config, int n_levels) {
    bool asked[UNET_LEVELS_MAX];
    int n = json_bool_array(config, "only_cross_attention", asked, UNET_LEVELS_MAX, true);
    for (int i = 0; i < n; i++)
        if (asked[i]) die(FAIL_UNSUPPORTED, "%s: 'only_cross_attention': only false is supported", json_path(config));
    if (n > 1 && n != n_levels)
        die(FAIL_UNSUPPORTED, "%s: %d 'only_cross_attention' for %d 'block_out_channels'", json_path(config), n, n_levels);
}

/* The number of resnets in the middle: key absent, the class's own block; null, none at all, whatever tensors there are. */
static int read_mid_block(const struct json *config, const char *const *types) {
    if (json_has(config, "mid_block_type") && json_is_null(config, "mid_block_type")) return 0;
    return config_choice(config, "mid_block_type", types[0], types) == 0 ? 2 : 1;
}

static void check_divisible(const struct unet *m, const struct json *config) {
    for (int i = 0; i < m->n_levels; i++) {
        int C = m->block_out_channels[i];
        if (C % m->groups)
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'norm_num_groups' %d", json_path(config), C, m->groups);
        if (C % m->n_heads[i])
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'attention_head_dim' %d", json_path(config), C,
                m->n_heads[i]);
    }
    if (m->block_out_channels[0] % 2)
        die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d: the first must be even", json_path(config), m->block_out_channels[0]);
}

static void read_channels(struct unet *m, const struct json *config, const int fallback[4]) {
    int64_t channels[UNET_LEVELS_MAX];
    int n = json_int_array(config, "block_out_channels", channels, UNET_LEVELS_MAX, 1, 65536, false);
    if (n == 0) die(FAIL_DATA, "%s: 'block_out_channels' is empty", json_path(config));
    m->n_levels = n < 0 ? 4 : n;
    for (int i = 0; i < m->n_levels; i++) m->block_out_channels[i] = n < 0 ? fallback[i] : (int)channels[i];
}

static void read_common(struct unet *m, const struct json *config, int channels) {
    static const char *const acts[] = {"silu", "swish", NULL}, *const time_shifts[] = {"default", "scale_shift", NULL};
    config_require(config, only, sizeof only / sizeof *only);
    config_choice(config, "act_fn", acts[0], acts);
    m->scale_shift = config_choice(config, "resnet_time_scale_shift", time_shifts[0], time_shifts) == 1;
    read_sample_size(m, config);
    m->in_channels = (int)json_int(config, "in_channels", channels, 1, 1024);
    m->out_channels = (int)json_int(config, "out_channels", channels, 1, 1024);
    m->groups = m->attention_groups = (int)json_int(config, "norm_num_groups", 32, 1, 65536);
    m->downsample_padding = (int)json_int(config, "downsample_padding", 1, 0, 1);
    m->flip_sin_to_cos = json_bool(config, "flip_sin_to_cos", true);
    m->freq_shift = (float)json_int(config, "freq_shift", 0, 0, 1);
    m->eps = (float)json_number(config, "norm_eps", 1e-5, 1e-12, 1);
    read_per_level(m->layers_per_block, config, "layers_per_block", 2, UNET_LAYERS_MAX, m->n_levels);
}

/* The context's width; a list is one for each level, which reads the same context. */
static int read_cross_dim(const struct json *config, int n_levels) {
    int dims[UNET_LEVELS_MAX];
    read_per_level(dims, config, "cross_attention_dim", 1280, 65536, n_levels);
    for (int i = 1; i < n_levels; i++)
        if (dims[i] != dims[0])
            die(FAIL_UNSUPPORTED, "%s: 'cross_attention_dim': %d and %d: only one value is supported", json_path(config), dims[0], dims[i]);
    return dims[0];
}

static int read_guidance_dim(const struct json *config) {
    int dim = (int)json_int(config, "time_cond_proj_dim", 0, 1, 65536);
    if (dim % 2 || dim == 2) die(FAIL_UNSUPPORTED, "%s: 'time_cond_proj_dim' %d: expected an even number from 4", json_path(config), dim);
    return dim;
}

/* count: of values, one per layer; 0: one for all. */
static void fill_depths(const struct json *config, const char *key, int *depths, int n_layers, const int64_t *values, int count) {
    if (count && count != n_layers) die(FAIL_UNSUPPORTED, "%s: '%s': a list of %d for %d layers", json_path(config), key, count, n_layers);
    for (int i = 0; i < n_layers; i++) depths[i] = (int)values[count ? i : 0];
}

/* Blocks of each transformer: a number for all levels or one per level, which may be a list of one per layer. up: those of the way up,
 * too. */
static void read_depths(struct unet *m, const struct json *config, bool up) {
    static const char *const forward = "transformer_layers_per_block", *const reverse = "reverse_transformer_layers_per_block";
    enum { ROW = UNET_LAYERS_MAX + 1, DEPTH_MAX = 64 };
    int64_t values[UNET_LEVELS_MAX * ROW];
    int n = m->n_levels, counts[UNET_LEVELS_MAX] = {0};
    if (json_is_array(config, forward)) {
        int found = json_int_lists(config, forward, values, counts, UNET_LEVELS_MAX, ROW, 0, DEPTH_MAX);
        if (found != n) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), found, forward, n);
    } else {
        for (int i = 0; i < n; i++) values[i * ROW] = json_int(config, forward, 1, 0, DEPTH_MAX);
    }
    m->mid_blocks = (int)values[(n - 1) * ROW]; /* of a list the first */
    for (int i = 0; i < n; i++) fill_depths(config, forward, m->down_blocks[i], m->layers_per_block[i], &values[i * ROW], counts[i]);
    if (!up) return;
    if (json_is_null(config, reverse)) {
        for (int i = 0; i < n; i++) {
            if (counts[i]) die(FAIL_UNSUPPORTED, "%s: '%s' has lists: '%s' must be there too", json_path(config), forward, reverse);
            fill_depths(config, forward, m->up_blocks[n - 1 - i], m->layers_per_block[i] + 1, &values[i * ROW], 0);
        }
        return;
    }
    int found = json_int_lists(config, reverse, values, counts, UNET_LEVELS_MAX, ROW, 0, DEPTH_MAX);
    if (found != n) die(FAIL_UNSUPPORTED, "%s: %d '%s' for %d 'block_out_channels'", json_path(config), found, reverse, n);
    for (int i = 0; i < n; i++)
        fill_depths(config, reverse, m->up_blocks[i], m->layers_per_block[n - 1 - i] + 1, &values[i * ROW], counts[i]);
}

/* SDXL's "text_time"; other additions are refused. */
static void read_addition(struct unet *m, const struct json *config) {
    static const char *const types[] = {"text_time", NULL};
    if (json_is_null(config, "addition_embed_type")) return;
    config_choice(config, "addition_embed_type", "", types);
    m->number_dim = (int)json_int(config, "addition_time_embed_dim", 0, 2, 65536);
    m->added_dim = (int)json_int(config, "projection_class_embeddings_input_dim", 0, 1, 1 << 20);
    if (!m->added_dim || !m->number_dim || m->number_dim % 2)
        die(FAIL_UNSUPPORTED,
            "%s: 'addition_embed_type' needs 'projection_class_embeddings_input_dim' and an even 'addition_time_embed_dim'",
            json_path(config));
}

/* up: a UNet, which has a way up, too. */
static void read_encoder(struct unet *m, const struct json *config, bool up) {
    static const struct block_type down[] = {{"DownBlock2D", ATTENTION_NONE}, {"CrossAttnDownBlock2D", ATTENTION_CROSS}, {NULL, 0}};
    static const char *const mid_types[] = {"UNetMidBlock2DCrossAttn", "UNetMidBlock2D" /* one resnet */, NULL};
    const enum unet_attention C = ATTENTION_CROSS, N = ATTENTION_NONE;
    config_require(config, conditional_only, sizeof conditional_only / sizeof *conditional_only);
    read_channels(m, config, (const int[4]){320, 640, 1280, 1280});
    read_common(m, config, 4);
    require_self_attention(config, m->n_levels);
    m->guidance_dim = read_guidance_dim(config);
    m->size_multiple = 1;
    m->size_least = m->downsample_padding ? 1 : 1 << (m->n_levels - 1); /* without padding a side of one pixel has no half */
    m->cross_dim = read_cross_dim(config, m->n_levels);
    read_per_level(m->n_heads, config, "attention_head_dim", 8, 1024, m->n_levels); /* the number of heads, despite its name */
    read_depths(m, config, up);
    read_addition(m, config);
    read_block_types(m->down_attention, config, "down_block_types", down, (const enum unet_attention[4]){C, C, C, N}, m->n_levels);
    m->n_mid_resnets = read_mid_block(config, mid_types);
    m->mid_attention = m->n_mid_resnets == 2 ? ATTENTION_CROSS : ATTENTION_NONE;
}

static void read_conditional(struct unet *m, const struct json *config) {
    static const struct block_type up[] = {{"UpBlock2D", ATTENTION_NONE}, {"CrossAttnUpBlock2D", ATTENTION_CROSS}, {NULL, 0}};
    const enum unet_attention C = ATTENTION_CROSS, N = ATTENTION_NONE;
    read_encoder(m, config, true);
    read_block_types(m->up_attention, config, "up_block_types", up, (const enum unet_attention[4]){N, C, C, C}, m->n_levels);
}

static void read_unconditional(struct unet *m, const struct json *config) {
    static const struct block_type down[] = {{"DownBlock2D", ATTENTION_NONE}, {"AttnDownBlock2D", ATTENTION_SELF}, {NULL, 0}};
    static const struct block_type up[] = {{"UpBlock2D", ATTENTION_NONE}, {"AttnUpBlock2D", ATTENTION_SELF}, {NULL, 0}};
    static const char *const mid_types[] = {"UNetMidBlock2D", NULL};
    const enum unet_attention S = ATTENTION_SELF, N = ATTENTION_NONE;
    config_require(config, unconditional_only, sizeof unconditional_only / sizeof *unconditional_only);
    read_channels(m, config, (const int[4]){224, 448, 672, 896});
    read_common(m, config, 3);
    m->size_multiple = m->size_least = 1 << (m->n_levels - 1);
    m->attention_groups = (int)json_int(config, "attn_norm_num_groups", m->scale_shift ? 0 : m->groups, 1, 65536);
    int64_t width = json_int(config, "attention_head_dim", 8, 1, 65536); /* here it is what it says: a head's width */
    bool one_head = json_has(config, "attention_head_dim") && json_is_null(config, "attention_head_dim");
    for (int i = 0; i < m->n_levels; i++) {
        int C = m->block_out_channels[i];
        if (!one_head && C % width)
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'attention_head_dim' %d", json_path(config), C,
                (int)width);
        m->n_heads[i] = one_head ? 1 : C / (int)width;
    }
    read_block_types(m->down_attention, config, "down_block_types", down, (const enum unet_attention[4]){N, S, S, S}, m->n_levels);
    read_block_types(m->up_attention, config, "up_block_types", up, (const enum unet_attention[4]){S, S, S, N}, m->n_levels);
    m->n_mid_resnets = read_mid_block(config, mid_types);
    m->mid_attention = m->n_mid_resnets && json_bool(config, "add_attention", true) ? ATTENTION_SELF : ATTENTION_NONE;
}

void unet_read_encoder_config(struct unet *m, const struct json *config) {
    m->conditional = true;
    read_encoder(m, config, false);
    check_divisible(m, config);
}

void unet_read_config(struct unet *m, const struct json *config, bool conditional) {
    m->conditional = conditional;
    if (conditional) read_conditional(m, config);
    else read_unconditional(m, config);
    check_divisible(m, config);
}
