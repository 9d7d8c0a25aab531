#include "engine/nets/bit.h"
#include "engine/base/config.h"
#include "engine/base/error.h"

#include <string.h>

static const float NORM_EPS = 1e-5f;
static const double WEIGHT_EPS = 1e-8;
enum { LAYERS_MAX = 256, SIDE_MAX = 1 << 16 };

/* ---- configuration ----------------------------------------------------------------------------------------------- */

struct sizes {
    int embedding, depths[BIT_STAGES], hidden[BIT_STAGES];
};

/* At least BIT_STAGES numbers, of which the first are taken. */
static void read_stages(const struct json *config, const char *key, int values[BIT_STAGES]) {
    int64_t given[8];
    int n = json_int_array(config, key, given, 8, 1, SIDE_MAX, false);
    if (n >= 0 && n < BIT_STAGES)
        die(FAIL_UNSUPPORTED, "%s: '%s': %d stages: at least %d are needed", json_path(config), key, n, BIT_STAGES);
    for (int i = 0; i < BIT_STAGES && n >= 0; i++) values[i] = (int)given[i];
}

/* Those after which DPT looks. */
static void check_outputs(const struct json *config) {
    const char *names[8];
    static const char *const expected[BIT_STAGES] = {"stage1", "stage2", "stage3"};
    int n = json_string_array(config, "out_features", names, 8);
    bool good = n < 0 || n == BIT_STAGES;
    for (int i = 0; i < n && good; i++) good = names[i] && !strcmp(names[i], expected[i]);
    if (!good) die(FAIL_UNSUPPORTED, "%s: 'out_features': expected stage1, stage2, stage3", json_path(config));
}

static struct sizes read_config(struct bit *m, const struct json *config) {
    struct sizes s = {64, {3, 4, 9}, {256, 512, 1024}};
    static const struct config_only only[] = {
        {"layer_type", ONLY_STRING, 0, "bottleneck"},
        {"hidden_act", ONLY_STRING, 0, "relu"},
        {"width_factor", ONLY_NUMBER, 1, NULL},
        {"num_channels", ONLY_NUMBER, 3, NULL},
        {"output_stride", ONLY_NUMBER, 32, NULL},
        {"model_type", ONLY_STRING, 0, "bit"},
        {"embedding_dynamic_padding", ONLY_TRUE, 0, NULL},
    };
    m->groups = 32;
    if (!config) return s;
    config_require(config, only, sizeof only / sizeof *only);
    config_choice(config, "global_padding", "SAME", (const char *const[]){"SAME", "same", NULL});
    check_outputs(config);
    m->groups = (int)json_int(config, "num_groups", 32, 1, SIDE_MAX);
    s.embedding = (int)json_int(config, "embedding_size", 64, 1, SIDE_MAX);
    read_stages(config, "depths", s.depths);
    read_stages(config, "hidden_sizes", s.hidden);
    for (int i = 0; i < BIT_STAGES; i++)
        if (s.depths[i] > LAYERS_MAX) die(FAIL_UNSUPPORTED, "%s: 'depths': at most %d are supported", json_path(config), LAYERS_MAX);
    return s;
}

/* A number of channels made a multiple of 8, not below 90 % of what it was. */
static int rounded(double channels) {
    int n = ((int)(channels + 4)) / 8 * 8;
    if (n < 8) n = 8;
    return n < 0.9 * channels ? n + 8 : n;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static void conv_bind(struct bit_conv *c, struct binder *binder, const char *prefix, const char *conv, const char *norm, int C, int K,
                      int R, int stride, int groups) {
    if (K % groups) die(FAIL_UNSUPPORTED, "%s: %s: %d channels in %d groups", json_path(binder->component->config), prefix, K, groups);
    *c = (struct bit_conv){.R = R, .stride = stride};
    c->w = weight_get(binder, WEIGHT_CONV, SHAPE(K, C, R, R), "%s.%s.weight", prefix, conv);
    if (c->w->parts[0]) weight_made_of(binder, c->w, tensor_standardise(binder->arena, c->w->parts[0], WEIGHT_EPS));
    c->norm_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(K), "%s.%s.weight", prefix, norm);
    c->norm_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(K), "%s.%s.bias", prefix, norm);
}

static void stage_bind(struct bit_stage *s, struct binder *binder, const char *prefix, int i, int c_in, int groups) {
    int mid = rounded(s->C / 4.0);
    s->layers = arena_array(binder->arena, (size_t)s->n_layers, sizeof *s->layers);
    for (int j = 0; j < s->n_layers; j++) {
        struct bit_layer *l = &s->layers[j];
        const char *layer = arena_printf(binder->arena, "%s.encoder.stages.%d.layers.%d", prefix, i, j);
        int stride = j ? 1 : s->stride, C = j ? s->C : c_in;
        if (!j) conv_bind(&l->downsample, binder, layer, "downsample.conv", "downsample.norm", C, s->C, 1, stride, groups);
        conv_bind(&l->conv[0], binder, layer, "conv1", "norm1", C, mid, 1, 1, groups);
        conv_bind(&l->conv[1], binder, layer, "conv2", "norm2", mid, mid, 3, stride, groups);
        conv_bind(&l->conv[2], binder, layer, "conv3", "norm3", mid, s->C, 1, 1, groups);
    }
}

struct bit *bit_bind(struct binder *binder, const struct json *config, const char *prefix) {
    struct bit *m = arena_alloc(binder->arena, sizeof *m);
    struct sizes sizes = read_config(m, config);
    int C = sizes.embedding;
    conv_bind(&m->stem, binder, arena_printf(binder->arena, "%s.embedder", prefix), "convolution", "norm", 3, C, 7, 2, m->groups);
    for (int i = 0; i < BIT_STAGES; i++) {
        m->stages[i] = (struct bit_stage){.n_layers = sizes.depths[i], .stride = i ? 2 : 1, .C = rounded(sizes.hidden[i])};
        stage_bind(&m->stages[i], binder, prefix, i, C, m->groups);
        C = m->stages[i].C;
    }
    return m;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static int halved(int n, int stride) {
    return (n + stride - 1) / stride;
}

/* TensorFlow's "SAME": as many outputs as strides begun; of an odd number of zeros the last row and column get one more. */
static struct conv_shape same(struct view x, int R, int stride) {
    int v = (halved(x.H, stride) - 1) * stride + R - x.H, h = (halved(x.W, stride) - 1) * stride + R - x.W;
    if (v < 0) v = 0;
    if (h < 0) h = 0;
    return (struct conv_shape){stride, v / 2, h / 2, v - v / 2, h - h / 2, 1};
}

static void relu(struct device *dev, struct view x) {
    dev->ops->modulate(dev, x, x, no_view, no_view, ACT_RELU);
}

/* The convolution's output, normed, allocated here. */
static struct view conv_forward(struct device *dev, const struct bit *m, const struct bit_conv *c, struct view x) {
    struct view y = view_alloc_as(dev, x.dtype, x.N, halved(x.H, c->stride), halved(x.W, c->stride), (int)c->w->shape[0]);
    dev->ops->conv2d(dev, y, x, c->w, NULL, no_view, no_view, same(x, c->R, c->stride));
    dev->ops->group_norm(dev, y, y, c->norm_w, c->norm_b, m->groups, NORM_EPS, false);
    return y;
}

/* y = relu(shortcut + conv3(relu(conv2(relu(conv1(x)))))), each with its norm */
static void layer_forward(struct device *dev, const struct bit *m, const struct bit_layer *l, struct view y, struct view x) {
    size_t mark = arena_mark(dev);
    struct view h = x, shortcut = l->downsample.w ? conv_forward(dev, m, &l->downsample, x) : x;
    for (int i = 0; i < 3; i++) {
        h = conv_forward(dev, m, &l->conv[i], h);
        if (i < 2) relu(dev, h);
    }
    dev->ops->add(dev, y, h, shortcut, 1);
    relu(dev, y);
    arena_release(dev, mark);
}

/* y and another buffer take turns, so that the last layer's output is y. */
static void stage_forward(struct device *dev, const struct bit *m, int i, struct view y, struct view x) {
    const struct bit_stage *s = &m->stages[i];
    size_t mark = arena_mark(dev);
    struct view other = view_alloc_as(dev, y.dtype, y.N, y.H, y.W, y.C);
    for (int j = 0; j < s->n_layers; j++) {
        struct view to = (s->n_layers - j) % 2 ? y : other;
        layer_forward(dev, m, &s->layers[j], to, x);
        x = to;
    }
    tap_view(dev, y, "backbone.stage%d", i + 1);
    arena_release(dev, mark);
}

void bit_forward(struct device *dev, const struct bit *m, struct view y[BIT_STAGES], struct view x) {
    int H = halved(halved(x.H, 2), 2), W = halved(halved(x.W, 2), 2);
    for (int i = 0; i < BIT_STAGES; i++) {
        H = halved(H, m->stages[i].stride), W = halved(W, m->stages[i].stride);
        y[i] = view_alloc_as(dev, x.dtype, x.N, H, W, m->stages[i].C);
    }
    size_t mark = arena_mark(dev);
    struct view h = conv_forward(dev, m, &m->stem, x);
    relu(dev, h);
    struct view pooled = view_alloc_as(dev, x.dtype, x.N, halved(h.H, 2), halved(h.W, 2), h.C);
    dev->ops->max_pool(dev, pooled, h, 3, same(h, 3, 2));
    tap_view(dev, pooled, "backbone.stem");
    for (int i = 0; i < BIT_STAGES; i++) stage_forward(dev, m, i, y[i], i ? y[i - 1] : pooled);
    arena_release(dev, mark);
}
