#include "engine/nets/vae.h"
#include "engine/base/config.h"
#include "engine/base/error.h"
#include "engine/nets/ping_pong.h"
#include "engine/nets/vae_encoder.h"

#include <math.h>

static const float VAE_EPS = 1e-6f; /* of every norm in diffusers' decoder, whatever the config says */

static void read_config(struct vae *m, const struct json *config) {
    static const char *const acts[] = {"silu", "swish", NULL};
    config_choice(config, "act_fn", acts[0], acts);
    m->latent_channels = (int)json_int(config, "latent_channels", 4, 1, VAE_LATENTS_MAX);
    m->out_channels = (int)json_int(config, "out_channels", 3, 1, 64);
    m->layers_per_block = (int)json_int(config, "layers_per_block", 1, 1, 32);
    m->groups = (int)json_int(config, "norm_num_groups", 32, 1, 65536);
    m->scaling_factor = json_number(config, "scaling_factor", 0.18215, 1e-6, 1e6);
    m->force_upcast = json_bool(config, "force_upcast", true);
    m->n_means = json_number_array(config, "latents_mean", m->means, VAE_LATENTS_MAX);
    m->n_deviations = json_number_array(config, "latents_std", m->deviations, VAE_LATENTS_MAX);
    m->mid_attention = json_bool(config, "mid_block_add_attention", true);

    int64_t channels[VAE_LEVELS_MAX];
    int n = json_int_array(config, "block_out_channels", channels, VAE_LEVELS_MAX, 1, 65536, false);
    if (n < 0) n = 1, channels[0] = 64;
    if (n == 0) die(FAIL_DATA, "%s: 'block_out_channels' is empty", json_path(config));
    m->n_levels = n;
    m->factor = 1 << (n - 1);
    int64_t sides[2];
    m->sample_size = json_int_array(config, "sample_size", sides, 2, 1, 65536, true) > 0 ? (int)sides[0] : 32;
    for (int i = 0; i < n; i++) {
        m->block_out_channels[i] = (int)channels[i];
        if (channels[i] % m->groups)
            die(FAIL_UNSUPPORTED, "%s: 'block_out_channels' %d is not a multiple of 'norm_num_groups' %d", json_path(config),
                (int)channels[i], m->groups);
    }
    const char *types[VAE_LEVELS_MAX];
    int n_types = json_string_array(config, "up_block_types", types, VAE_LEVELS_MAX);
    for (int i = 0; i < n_types; i++)
        if (!types[i] || strcmp(types[i], "UpDecoderBlock2D") != 0)
            die(FAIL_UNSUPPORTED, "%s: 'up_block_types': '%s' is not supported", json_path(config), types[i] ? types[i] : "null");
    if (n_types >= 0 && n_types != n)
        die(FAIL_UNSUPPORTED, "%s: %d 'up_block_types' for %d 'block_out_channels'", json_path(config), n_types, n);
}

static void up_block_bind(struct vae_up_block *b, struct binder *binder, int i, const struct vae *m, int c_in, int c_out) {
    b->n_resnets = m->layers_per_block + 1;
    b->resnets = arena_array(binder->arena, (size_t)b->n_resnets, sizeof *b->resnets);
    for (int j = 0; j < b->n_resnets; j++)
        resnet_bind(&b->resnets[j], binder, arena_printf(binder->arena, "decoder.up_blocks.%d.resnets.%d", i, j), j ? c_out : c_in, c_out,
                    m->groups, VAE_EPS);
    if (i == m->n_levels - 1) return;
    b->upsampler_w = weight_get(binder, WEIGHT_CONV, SHAPE(c_out, c_out, 3, 3), "decoder.up_blocks.%d.upsamplers.0.conv.weight", i);
    b->upsampler_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(c_out), "decoder.up_blocks.%d.upsamplers.0.conv.bias", i);
}

struct vae *vae_bind(struct binder *binder) {
    struct vae *m = arena_alloc(binder->arena, sizeof *m);
    read_config(m, binder->component->config);
    int Z = m->latent_channels, top = m->block_out_channels[m->n_levels - 1], bottom = m->block_out_channels[0];
    if (json_bool(binder->component->config, "use_post_quant_conv", true)) {
        m->post_quant_conv_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(Z, Z), "post_quant_conv.weight");
        m->post_quant_conv_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(Z), "post_quant_conv.bias");
    }
    m->conv_in_w = weight_get(binder, WEIGHT_CONV, SHAPE(top, Z, 3, 3), "decoder.conv_in.weight");
    m->conv_in_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(top), "decoder.conv_in.bias");
    for (int i = 0; i < 2; i++)
        resnet_bind(&m->mid_resnets[i], binder, i ? "decoder.mid_block.resnets.1" : "decoder.mid_block.resnets.0", top, top, m->groups,
                    VAE_EPS);
    if (m->mid_attention) attention_block_bind(&m->mid_attn, binder, "decoder.mid_block.attentions.0", top, 1, m->groups, VAE_EPS);
    for (int i = 0, c_in = top; i < m->n_levels; i++) {
        int c_out = m->block_out_channels[m->n_levels - 1 - i];
        up_block_bind(&m->up_blocks[i], binder, i, m, c_in, c_out);
        c_in = c_out;
    }
    m->conv_norm_out_w = weight_get(binder, WEIGHT_VECTOR, SHAPE(bottom), "decoder.conv_norm_out.weight");
    m->conv_norm_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(bottom), "decoder.conv_norm_out.bias");
    m->conv_out_w = weight_get(binder, WEIGHT_CONV, SHAPE(m->out_channels, bottom, 3, 3), "decoder.conv_out.weight");
    m->conv_out_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(m->out_channels), "decoder.conv_out.bias");
    m->encoder = vae_encoder_bind(binder, m);
    return m;
}

/* The largest N*H*W*C of any block's output. */
static size_t largest_activation(const struct vae *m, struct view x) {
    size_t most = 0, rows = view_rows(x);
    for (int i = 0; i < m->n_levels; i++) {
        size_t C = (size_t)m->block_out_channels[m->n_levels - 1 - i];
        size_t after = i + 1 < m->n_levels ? 4 * rows : rows; /* the up-sampler's output */
        if (after * C > most) most = after * C;
        rows = after;
    }
    return most;
}

void vae_decode(struct device *dev, const struct vae *m, struct view y, struct view x) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct ping_pong p = ping_pong_new(dev, x.dtype, largest_activation(m, x));
    int top = m->block_out_channels[m->n_levels - 1];

    struct view z = x;
    if (m->post_quant_conv_w) {
        z = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C);
        op->linear(dev, z, x, m->post_quant_conv_w, m->post_quant_conv_b, ACT_NONE, no_view);
        tap_view(dev, z, "post_quant_conv");
    }
    struct view h = next_view(&p, x.N, x.H, x.W, top), next;
    op->conv2d(dev, h, z, m->conv_in_w, m->conv_in_b, no_view, no_view, CONV_3X3);
    tap_view(dev, h, "decoder.conv_in");

    for (int i = 0; i < 2; i++) {
        if (i == 1 && m->mid_attention) {
            next = next_view(&p, h.N, h.H, h.W, top);
            attention_block_forward(dev, &m->mid_attn, next, h);
            h = next;
            tap_view(dev, h, "decoder.mid_block.attentions.0");
        }
        next = next_view(&p, h.N, h.H, h.W, top);
        resnet_forward(dev, &m->mid_resnets[i], next, h, no_view);
        h = next;
        tap_view(dev, h, "decoder.mid_block.resnets.%d", i);
    }
    for (int i = 0; i < m->n_levels; i++) {
        const struct vae_up_block *b = &m->up_blocks[i];
        for (int j = 0; j < b->n_resnets; j++) {
            next = next_view(&p, h.N, h.H, h.W, b->resnets[j].c_out);
            resnet_forward(dev, &b->resnets[j], next, h, no_view);
            h = next;
            tap_view(dev, h, "decoder.up_blocks.%d.resnets.%d", i, j);
        }
        if (!b->upsampler_w) continue;
        next = next_view(&p, h.N, 2 * h.H, 2 * h.W, h.C);
        op->conv2d(dev, next, h, b->upsampler_w, b->upsampler_b, no_view, no_view, (struct conv_shape){1, 1, 1, 1, 1, 2});
        h = next;
        tap_view(dev, h, "decoder.up_blocks.%d.upsamplers.0", i);
    }
    op->group_norm(dev, h, h, m->conv_norm_out_w, m->conv_norm_out_b, m->groups, VAE_EPS, true);
    op->conv2d(dev, y, h, m->conv_out_w, m->conv_out_b, no_view, no_view, CONV_3X3);
    tap_view(dev, y, "decoder.conv_out");
    arena_release(dev, mark);
}
