#include "engine/nets/controlnet.h"

#include <math.h>
#include <string.h>
#include "engine/base/config.h"
#include "engine/base/error.h"

/* ---- the net ----------------------------------------------------------------------------------------------------- */

static const struct config_only only[] = {
    {"conditioning_channels", ONLY_NUMBER, 3, NULL},
};

static void read_config(struct controlnet *m, const struct json *config) {
    static const char *const orders[] = {"rgb", "bgr", NULL};
    static const int usual[] = {16, 32, 96, 256};
    const char *key = "conditioning_embedding_out_channels";
    int64_t stages[CONTROL_STAGES_MAX];
    config_require(config, only, sizeof only / sizeof *only);
    unet_read_encoder_config(&m->encoder, config);
    m->pools = json_bool(config, "global_pool_conditions", false);
    m->bgr = config_choice(config, "controlnet_conditioning_channel_order", orders[0], orders) == 1;
    int n = json_int_array(config, key, stages, CONTROL_STAGES_MAX, 1, 65536, false);
    if (n == 0) die(FAIL_DATA, "%s: '%s' is empty", json_path(config), key);
    m->n_stages = n < 0 ? 4 : n;
    for (int i = 0; i < m->n_stages; i++) m->stages[i] = n < 0 ? usual[i] : (int)stages[i];
    m->factor = 1 << (m->n_stages - 1);
}

static struct control_conv conv_bind(struct binder *binder, const char *name, int K, int C) {
    struct control_conv c = {.name = name};
    c.w = weight_get(binder, WEIGHT_CONV, SHAPE(K, C, 3, 3), "controlnet_cond_embedding.%s.weight", name);
    c.b = weight_get(binder, WEIGHT_VECTOR, SHAPE(K), "controlnet_cond_embedding.%s.bias", name);
    return c;
}

static struct control_conv zero_bind(struct binder *binder, const char *name, int C) {
    struct control_conv c = {.name = name};
    c.w = weight_get(binder, WEIGHT_MATRIX, SHAPE(C, C), "%s.weight", name);
    c.b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%s.bias", name);
    return c;
}

struct controlnet *controlnet_bind(struct binder *binder) {
    struct controlnet *m = arena_alloc(binder->arena, sizeof *m);
    struct unet *e = &m->encoder;
    int channels[UNET_SKIPS_MAX];
    read_config(m, binder->component->config);
    m->conv_in = conv_bind(binder, "conv_in", m->stages[0], 3);
    for (int i = 0; i < 2 * (m->n_stages - 1); i++)
        m->blocks[i] = conv_bind(binder, arena_printf(binder->arena, "blocks.%d", i), m->stages[(i + 1) / 2], m->stages[i / 2]);
    m->conv_out = conv_bind(binder, "conv_out", e->block_out_channels[0], m->stages[m->n_stages - 1]);
    unet_bind_encoder(e, binder);
    m->n_skips = unet_skips(e, channels);
    m->down = arena_array(binder->arena, (size_t)m->n_skips, sizeof *m->down);
    for (int i = 0; i < m->n_skips; i++)
        m->down[i] = zero_bind(binder, arena_printf(binder->arena, "controlnet_down_blocks.%d", i), channels[i]);
    m->mid = zero_bind(binder, "controlnet_mid_block", channels[m->n_skips - 1]);
    return m;
}

bool controlnet_fits(const struct controlnet *m, const struct unet *unet) {
    int own[UNET_SKIPS_MAX], theirs[UNET_SKIPS_MAX], n = unet_skips(&m->encoder, own);
    bool levels = m->encoder.n_levels == unet->n_levels && m->encoder.downsample_padding == unet->downsample_padding;
    for (int i = 0; levels && i < unet->n_levels; i++) levels = m->encoder.layers_per_block[i] == unet->layers_per_block[i];
    return levels && n == unet_skips(unet, theirs) && !memcmp(own, theirs, (size_t)n * sizeof *own) &&
           m->encoder.cross_dim == unet->cross_dim && m->encoder.added_dim == unet->added_dim &&
           m->encoder.number_dim == unet->number_dim && m->encoder.in_channels <= unet->in_channels;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

/* y = silu(conv(x)) */
static struct view stage(struct device *dev, const struct control_conv *c, struct view x, int K, int stride) {
    struct view y = view_alloc_as(dev, x.dtype, 1, (x.H + stride - 1) / stride, (x.W + stride - 1) / stride, K);
    dev->ops->conv2d(dev, y, x, c->w, c->b, no_view, no_view, (struct conv_shape){stride, 1, 1, 1, 1, 1});
    dev->ops->silu(dev, y, y);
    return y;
}

void controlnet_embed(struct device *dev, const struct controlnet *m, struct view y, struct view x) {
    size_t mark = arena_mark(dev);
    struct view h = stage(dev, &m->conv_in, x, m->stages[0], 1);
    for (int i = 0; i < 2 * (m->n_stages - 1); i++) h = stage(dev, &m->blocks[i], h, m->stages[(i + 1) / 2], i % 2 ? 2 : 1);
    dev->ops->conv2d(dev, view_images(y, 0, 1), h, m->conv_out.w, m->conv_out.b, no_view, no_view, CONV_3X3);
    for (int n = 1; n < y.N; n++) dev->ops->modulate(dev, view_images(y, n, 1), view_images(y, 0, 1), no_view, no_view, ACT_NONE);
    tap_view(dev, y, "controlnet_cond_embedding");
    arena_release(dev, mark);
}

/* ---- what it adds ------------------------------------------------------------------------------------------------ */

enum { MEAN_WIDTH = 64 /* channels of a head: as wide as devices like them */ };

/* [N,1,1,C], the mean over each image: what attention makes of a query of zeros. */
static struct view mean_of(struct device *dev, struct view x) {
    struct view y = view_alloc_as(dev, x.dtype, x.N, 1, 1, x.C), zero = view_alloc_as(dev, x.dtype, x.N, 1, 1, x.C), corner = x;
    corner.H = corner.W = 1;
    dev->ops->add(dev, zero, corner, corner, -1);
    dev->ops->attention(dev, y, zero, x, x, x.C % MEAN_WIDTH ? 1 : x.C / MEAN_WIDTH, false);
    return y;
}

/* y += scale * c(x); or everywhere the mean of that, which is c of the mean */
static void add_residual(struct device *dev, const struct control_conv *c, bool pools, struct view y, struct view x, float scale) {
    size_t mark = arena_mark(dev);
    struct view seen = pools ? mean_of(dev, x) : x, h = view_alloc_as(dev, x.dtype, seen.N, seen.H, seen.W, seen.C);
    dev->ops->linear(dev, h, seen, c->w, c->b, ACT_NONE, no_view);
    tap_view(dev, h, "%s", c->name);
    if (!pools) dev->ops->add(dev, y, y, h, scale);
    if (pools) dev->ops->add(dev, h, h, h, scale - 1);
    if (pools) dev->ops->modulate(dev, y, y, no_view, h, ACT_NONE);
    arena_release(dev, mark);
}

static void control_forward(struct device *dev, const struct control *c, struct view temb, struct unet_features *f, struct view x) {
    size_t mark = arena_mark(dev);
    const struct controlnet *m = c->net;
    int M = c->picture.N, first = x.N - M;
    struct unet_features own;
    struct view seen = view_slice(view_images(x, first, M), 0, m->encoder.in_channels);
    unet_encode(dev, &m->encoder, c->run, &own, seen, view_slice(temb, c->temb_at, c->temb_dim), c->picture);
    for (int k = 0; k < m->n_skips; k++) {
        double less = c->guess && !m->pools ? pow(10, (double)k / m->n_skips - 1) : 1;
        add_residual(dev, &m->down[k], m->pools, view_images(f->skips[k], first, M), own.skips[k], (float)(c->scale * less));
    }
    add_residual(dev, &m->mid, m->pools, view_images(f->mid, first, M), own.mid, c->scale);
    arena_release(dev, mark);
}

void controls_forward(struct device *dev, const struct controls *controls, struct unet_features *f, struct view x) {
    for (int i = 0; i < controls->n; i++) control_forward(dev, &controls->items[i], controls->temb, f, x);
}
