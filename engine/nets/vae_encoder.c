#include "engine/nets/vae_encoder.h"
#include "engine/base/error.h"
#include "engine/nets/ping_pong.h"

#include <stdio.h>
#include <string.h>

static const float VAE_EPS = 1e-6f;                             /* of every norm in diffusers' encoder, whatever the config says */
static const struct conv_shape DOWNSAMPLE = {2, 0, 0, 1, 1, 1}; /* one row and column of zeros, bottom and right only */

static void check_blocks(const struct json *config, int n_levels) {
    const char *types[VAE_LEVELS_MAX];
    int n = json_string_array(config, "down_block_types", types, VAE_LEVELS_MAX);
    for (int i = 0; i < n; i++)
        if (!types[i] || strcmp(types[i], "DownEncoderBlock2D") != 0)
            die(FAIL_UNSUPPORTED, "%s: 'down_block_types': '%s' is not supported", json_path(config), types[i] ? types[i] : "null");
    if (n >= 0 && n != n_levels)
        die(FAIL_UNSUPPORTED, "%s: %d 'down_block_types' for %d 'block_out_channels'", json_path(config), n, n_levels);
}

static void down_block_bind(struct vae_down_block *b, struct binder *binder, int i, const struct vae *m, int c_in, int c_out) {
    b->n_resnets = m->layers_per_block;
    b->resnets = arena_array(binder->arena, (size_t)b->n_resnets, sizeof *b->resnets);
    for (int j = 0; j < b->n_resnets; j++)
        resnet_bind(&b->resnets[j], binder, arena_printf(binder->arena, "encoder.down_blocks.%d.resnets.%d", i, j), j ? c_out : c_in, c_out,
                    m->groups, VAE_EPS);
    if (i == m->n_levels - 1) return;
    b->downsampler_w = weight_get(binder, WEIGHT_CONV, SHAPE(c_out, c_out, 3, 3), "encoder.down_blocks.%d.downsamplers.0.conv.weight", i);
    b->downsampler_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(c_out), "encoder.down_blocks.%d.downsamplers.0.conv.bias", i);
}

struct vae_encoder *vae_encoder_bind(struct binder *binder, const struct vae *m) {
    if (!component_find(binder->component, "encoder.conv_in.weight")) return NULL;
    struct vae_encoder *e = arena_alloc(binder->arena, sizeof *e);
    int Z = m->latent_channels, top = m->block_out_channels[m->n_levels - 1], bottom = m->block_out_channels[0];
    e->vae = m;
    check_blocks(binder->component->config, m->n_levels);
    e->conv_in_w = weight_get(binder, WEIGHT_CONV, SHAPE(bottom, 3, 3, 3), "encoder.conv_in.weight");
    e->conv_in_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(bottom), "encoder.conv_in.bias");
    for (int i = 0; i < m->n_levels; i++)
        down_block_bind(&e->down_blocks[i], binder, i, m, m->block_out_channels[i ? i - 1 : 0], m->block_out_channels[i]);
    for (int i = 0; i < 2; i++)
        resnet_bind(&e->mid_resnets[i], binder, i ? "encoder.mid_block.resnets.1" : "encoder.mid_block.resnets.0", top, top, m->groups,
                    VAE_EPS);
    if (m->mid_attention) attention_block_bind(&e->mid_attn, binder, "encoder.mid_block.attentions.0", top, 1, m->groups, VAE_EPS);
    e->conv_norm_out_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(top), "encoder.conv_norm_out.weight");
    e->conv_norm_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(top), "encoder.conv_norm_out.bias");
    e->conv_out_w = weight_get(binder, WEIGHT_CONV, SHAPE(2 * Z, top, 3, 3), "encoder.conv_out.weight");
    e->conv_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(2 * Z), "encoder.conv_out.bias");
    if (json_bool(binder->component->config, "use_quant_conv", true)) {
        e->quant_conv_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(2 * Z, 2 * Z), "quant_conv.weight");
        e->quant_conv_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(2 * Z), "quant_conv.bias");
    }
    return e;
}

/* The largest N*H*W*C of any block's output. */
static size_t largest_activation(const struct vae *m, struct view x) {
    size_t most = 0, rows = view_rows(x);
    for (int i = 0; i < m->n_levels; i++, rows /= 4) {
        size_t n = rows * (size_t)m->block_out_channels[i];
        if (n > most) most = n;
    }
    return most;
}

static struct view resnet(struct device *dev, struct ping_pong *p, const struct resnet *r, struct view x, const char *name) {
    struct view y = next_view(p, x.N, x.H, x.W, r->c_out);
    resnet_forward(dev, r, y, x, no_view);
    tap_view(dev, y, "%s", name);
    return y;
}

static struct view down_forward(struct device *dev, struct ping_pong *p, const struct vae_encoder *m, struct view h) {
    char name[64];
    for (int i = 0; i < m->vae->n_levels; i++) {
        const struct vae_down_block *b = &m->down_blocks[i];
        for (int j = 0; j < b->n_resnets; j++) {
            snprintf(name, sizeof name, "encoder.down_blocks.%d.resnets.%d", i, j);
            h = resnet(dev, p, &b->resnets[j], h, name);
        }
        if (!b->downsampler_w) continue;
        struct view y = next_view(p, h.N, h.H / 2, h.W / 2, h.C);
        dev->ops->conv2d(dev, y, h, b->downsampler_w, b->downsampler_b, no_view, no_view, DOWNSAMPLE);
        h = y;
        tap_view(dev, h, "encoder.down_blocks.%d.downsamplers.0", i);
    }
    return h;
}

static struct view mid_forward(struct device *dev, struct ping_pong *p, const struct vae_encoder *m, struct view h) {
    h = resnet(dev, p, &m->mid_resnets[0], h, "encoder.mid_block.resnets.0");
    if (m->vae->mid_attention) {
        struct view y = next_view(p, h.N, h.H, h.W, h.C);
        attention_block_forward(dev, &m->mid_attn, y, h);
        h = y;
        tap_view(dev, h, "encoder.mid_block.attentions.0");
    }
    return resnet(dev, p, &m->mid_resnets[1], h, "encoder.mid_block.resnets.1");
}

void vae_encode(struct device *dev, const struct vae_encoder *m, struct view y, struct view x) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct ping_pong p = ping_pong_new(dev, x.dtype, largest_activation(m->vae, x));
    struct view h = next_view(&p, x.N, x.H, x.W, m->vae->block_out_channels[0]);
    op->conv2d(dev, h, x, m->conv_in_w, m->conv_in_b, no_view, no_view, CONV_3X3);
    tap_view(dev, h, "encoder.conv_in");
    h = mid_forward(dev, &p, m, down_forward(dev, &p, m, h));
    op->group_norm(dev, h, h, m->conv_norm_out_w, m->conv_norm_out_b, m->vae->groups, VAE_EPS, true);
    struct view moments = m->quant_conv_w ? view_alloc_as(dev, x.dtype, y.N, y.H, y.W, y.C) : y;
    op->conv2d(dev, moments, h, m->conv_out_w, m->conv_out_b, no_view, no_view, CONV_3X3);
    tap_view(dev, moments, "encoder.conv_out");
    if (!m->quant_conv_w) return arena_release(dev, mark);
    op->linear(dev, y, moments, m->quant_conv_w, m->quant_conv_b, ACT_NONE, no_view);
    tap_view(dev, y, "quant_conv");
    arena_release(dev, mark);
}
