#include "bench/checkpoint_tensors.h"

#include <stdio.h>
#include <string.h>
#include "engine/base/error.h"

#define CLIP_L \
    { 768, 12, 3072, 12, "quick_gelu", 0 }
#define OPENCLIP_H \
    { 1024, 23, 4096, 16, "gelu", 0 }
#define OPENCLIP_BIGG \
    { 1280, 32, 5120, 20, "gelu", 1280 }

#define SD2(name, sample_size, ...) \
    { name, 4, {320, 640, 1280, 1280}, 4, {1, 1, 1, 0}, {OPENCLIP_H}, 0, "[5, 10, 20, 20]", true, sample_size, __VA_ARGS__ }
#define SDXL(name, depths, sample_size, ...) \
    { name, 3, {320, 640, 1280}, 4, depths, {CLIP_L, OPENCLIP_BIGG}, 2816, "[5, 10, 20]", true, sample_size, "epsilon", __VA_ARGS__ }
#define DEPTHS(...) \
    { __VA_ARGS__ }

static const struct shape shapes[] = {
    {"sd15", 4, {320, 640, 1280, 1280}, 4, {1, 1, 1, 0}, {CLIP_L}, 0, "8", false, 64, .prediction = "epsilon"},
    SD2("sd21", 96, .prediction = "v_prediction"),
    SD2("sd2-depth", 64, .prediction = "epsilon", .sees_depth = true),
    SD2("sd-turbo", 64, .prediction = "epsilon", .scheduler = "EulerDiscreteScheduler"),
    SDXL("sdxl", DEPTHS(0, 2, 10), 128, .mid = MID_ATTENTION),
    SDXL("sdxl-turbo", DEPTHS(0, 2, 10), 64, .scheduler = "EulerAncestralDiscreteScheduler"),
    SDXL("ssd-1b", DEPTHS(0, 2, 4), 128, .uneven = true, .mid = MID_PLAIN),
    SDXL("segmind-vega", DEPTHS(0, 1, 2), 128, .mid = MID_PLAIN),
    SDXL("koala-700m", DEPTHS(0, 2, 5), 128, .layers = 1, .mid = MID_NONE),
    SDXL("koala-1b", DEPTHS(0, 2, 6), 128, .layers = 1),
    {"sdxl-refiner",
     4,
     {384, 768, 1536, 1536},
     4,
     {0, 4, 4, 0},
     {{0}, OPENCLIP_BIGG},
     2560,
     "[6, 12, 24, 24]",
     true,
     128,
     .prediction = "epsilon"},
    {.name = "ddpm-cat", .n_levels = 6, .channels = {128, 128, 256, 256, 512, 512}, .pixel_channels = 3, .depths = {0, 0, 0, 0, 1, 0}},
};

const struct shape *find_shape(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) fprintf(stderr, "%s\n", shapes[i].name);
    die(FAIL_USAGE, "unknown model '%s': not one of these", name);
}

static const int vae_channels[4] = {128, 256, 512, 512};

static void add(struct listing *l, const char *prefix, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    if (l->n == TENSORS_MAX) die(FAIL_INTERNAL, "too many tensors");
    l->tensors[l->n++] = (struct listed){arena_printf(l->arena, "%s%s", prefix, name), rank, {a, b, c, c}};
}

static void add_linear(struct listing *l, const char *prefix, const char *name, int out, int in, bool bias) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 2, out, in, 0);
    if (bias) add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, out, 0, 0);
}

static void add_conv(struct listing *l, const char *prefix, const char *name, int out, int in, int kernel) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 4, out, in, kernel);
    add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, out, 0, 0);
}

static void add_norm(struct listing *l, const char *prefix, const char *name, int C) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 1, C, 0, 0);
    add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, C, 0, 0);
}

static void add_resnet(struct listing *l, const char *prefix, int in, int out, int temb) {
    add_norm(l, prefix, "norm1", in);
    add_conv(l, prefix, "conv1", out, in, 3);
    if (temb) add_linear(l, prefix, "time_emb_proj", out, temb, true);
    add_norm(l, prefix, "norm2", out);
    add_conv(l, prefix, "conv2", out, out, 3);
    if (in != out) add_conv(l, prefix, "conv_shortcut", out, in, 1);
}

static void add_projection(struct listing *l, const char *prefix, const char *name, int C, bool linear) {
    if (linear) add_linear(l, prefix, name, C, C, true);
    else add_conv(l, prefix, name, C, C, 1);
}

static void add_block(struct listing *l, const char *block, int C, int cross) {
    for (int i = 0; i < 3; i++) add_norm(l, block, (const char *[]){"norm1", "norm2", "norm3"}[i], C);
    for (int i = 0; i < 2; i++) {
        const char *attention = arena_printf(l->arena, "%sattn%d.", block, i + 1);
        add_linear(l, attention, "to_q", C, C, false);
        add_linear(l, attention, "to_k", C, i ? cross : C, false);
        add_linear(l, attention, "to_v", C, i ? cross : C, false);
        add_linear(l, attention, "to_out.0", C, C, true);
    }
    add_linear(l, block, "ff.net.0.proj", 8 * C, C, true);
    add_linear(l, block, "ff.net.2", C, 4 * C, true);
}

static void add_transformer(struct listing *l, const char *prefix, int C, int cross, int depth, bool linear) {
    add_norm(l, prefix, "norm", C);
    add_projection(l, prefix, "proj_in", C, linear);
    for (int i = 0; i < depth; i++) add_block(l, arena_printf(l->arena, "%stransformer_blocks.%d.", prefix, i), C, cross);
    add_projection(l, prefix, "proj_out", C, linear);
}

/* One self-attention over all pixels. */
static void add_self_attention(struct listing *l, const char *prefix, int C) {
    add_norm(l, prefix, "group_norm", C);
    for (int i = 0; i < 4; i++) add_linear(l, prefix, (const char *[]){"to_q", "to_k", "to_v", "to_out.0"}[i], C, C, true);
}

static void add_attention(struct listing *l, const struct shape *m, const char *prefix, int C, int depth) {
    if (context_dim(m)) add_transformer(l, prefix, C, context_dim(m), depth, m->linear_projection);
    else add_self_attention(l, prefix, C);
}

/* Transformer blocks behind resnet j of the level, on the way up. */
static int depth_up(const struct shape *m, int level, int j) {
    static const int uneven[][3] = {{0}, {2, 1, 1}, {4, 4, 10}};
    return m->uneven ? uneven[level][j] : m->depths[level];
}

static void list_mid_block(struct listing *l, const struct shape *m, int C, int E) {
    int n = m->n_levels;
    if (m->mid == MID_NONE) return;
    add_resnet(l, "mid_block.resnets.0.", C, C, E);
    if (m->mid == MID_PLAIN) return;
    add_attention(l, m, "mid_block.attentions.0.", C, m->depths[n - 1] ? m->depths[n - 1] : m->depths[n - 2]);
    add_resnet(l, "mid_block.resnets.1.", C, C, E);
}

void list_unet(struct listing *l, const struct shape *m) {
    const int *C = m->channels, n = m->n_levels, E = 4 * C[0], layers = layers_of(m);
#define NAME(...) arena_printf(l->arena, __VA_ARGS__)
    add_conv(l, "", "conv_in", C[0], m->pixel_channels + m->sees_depth, 3);
    add_linear(l, "", "time_embedding.linear_1", E, C[0], true);
    add_linear(l, "", "time_embedding.linear_2", E, E, true);
    if (m->added) add_linear(l, "", "add_embedding.linear_1", E, m->added, true);
    if (m->added) add_linear(l, "", "add_embedding.linear_2", E, E, true);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < layers; j++) {
            add_resnet(l, NAME("down_blocks.%d.resnets.%d.", i, j), j ? C[i] : C[i ? i - 1 : 0], C[i], E);
            if (m->depths[i]) add_attention(l, m, NAME("down_blocks.%d.attentions.%d.", i, j), C[i], m->depths[i]);
        }
        if (i < n - 1) add_conv(l, NAME("down_blocks.%d.downsamplers.0.", i), "conv", C[i], C[i], 3);
    }
    list_mid_block(l, m, C[n - 1], E);
    for (int i = 0; i < n; i++) {
        int level = n - 1 - i, before = C[i ? level + 1 : n - 1];
        for (int j = 0; j <= layers; j++) {
            int skip = C[j < layers ? level : level ? level - 1 : 0];
            add_resnet(l, NAME("up_blocks.%d.resnets.%d.", i, j), (j ? C[level] : before) + skip, C[level], E);
            if (m->depths[level]) add_attention(l, m, NAME("up_blocks.%d.attentions.%d.", i, j), C[level], depth_up(m, level, j));
        }
        if (i < n - 1) add_conv(l, NAME("up_blocks.%d.upsamplers.0.", i), "conv", C[level], C[level], 3);
    }
    add_norm(l, "", "conv_norm_out", C[0]);
    add_conv(l, "", "conv_out", m->pixel_channels, C[0], 3);
}

static void add_vae_mid(struct listing *l, const char *half) {
    add_resnet(l, NAME("%s.mid_block.resnets.0.", half), 512, 512, 0);
    add_self_attention(l, NAME("%s.mid_block.attentions.0.", half), 512);
    add_resnet(l, NAME("%s.mid_block.resnets.1.", half), 512, 512, 0);
}

void list_vae(struct listing *l, const struct shape *m) {
    (void)m;
    const int *C = vae_channels;
    add_conv(l, "encoder.", "conv_in", C[0], 3, 3);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) add_resnet(l, NAME("encoder.down_blocks.%d.resnets.%d.", i, j), j ? C[i] : C[i ? i - 1 : 0], C[i], 0);
        if (i < 3) add_conv(l, NAME("encoder.down_blocks.%d.downsamplers.0.", i), "conv", C[i], C[i], 3);
    }
    add_vae_mid(l, "encoder");
    add_norm(l, "encoder.", "conv_norm_out", C[3]);
    add_conv(l, "encoder.", "conv_out", 8, C[3], 3);
    add_conv(l, "decoder.", "conv_in", C[3], 4, 3);
    add_vae_mid(l, "decoder");
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++)
            add_resnet(l, NAME("decoder.up_blocks.%d.resnets.%d.", i, j), j ? C[3 - i] : C[i ? 4 - i : 3], C[3 - i], 0);
        if (i < 3) add_conv(l, NAME("decoder.up_blocks.%d.upsamplers.0.", i), "conv", C[3 - i], C[3 - i], 3);
    }
    add_norm(l, "decoder.", "conv_norm_out", C[0]);
    add_conv(l, "decoder.", "conv_out", 3, C[0], 3);
    add_conv(l, "", "quant_conv", 8, 8, 1);
    add_conv(l, "", "post_quant_conv", 4, 4, 1);
}

void list_text_encoder(struct listing *l, const struct text_shape *t) {
    int C = t->hidden;
    add(l, "text_model.embeddings.", "token_embedding.weight", 2, VOCABULARY, C, 0);
    add(l, "text_model.embeddings.", "position_embedding.weight", 2, POSITIONS, C, 0);
    for (int i = 0; i < t->layers; i++) {
        const char *layer = NAME("text_model.encoder.layers.%d.", i);
        for (int j = 0; j < 4; j++)
            add_linear(l, layer, (const char *[]){"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"}[j], C,
                       C, true);
        add_norm(l, layer, "layer_norm1", C);
        add_linear(l, layer, "mlp.fc1", t->intermediate, C, true);
        add_linear(l, layer, "mlp.fc2", C, t->intermediate, true);
        add_norm(l, layer, "layer_norm2", C);
    }
    add_norm(l, "text_model.", "final_layer_norm", C);
    if (t->projection) add_linear(l, "", "text_projection", t->projection, C, false);
}

/* ---- the depth estimator ----------------------------------------------------------------------------------------- */

/* A convolution without bias. */
static void add_filter(struct listing *l, const char *prefix, const char *name, int out, int in, int kernel) {
    add(l, prefix, NAME("%s.weight", name), 4, out, in, kernel);
}

/* A bottleneck of the ResNet behind the vision transformer. */
static void add_bottleneck(struct listing *l, const char *prefix, int in, int out) {
    if (in != out) add_filter(l, prefix, "downsample.conv", out, in, 1), add_norm(l, prefix, "downsample.norm", out);
    add_filter(l, prefix, "conv1", out / 4, in, 1);
    add_norm(l, prefix, "norm1", out / 4);
    add_filter(l, prefix, "conv2", out / 4, out / 4, 3);
    add_norm(l, prefix, "norm2", out / 4);
    add_filter(l, prefix, "conv3", out, out / 4, 1);
    add_norm(l, prefix, "norm3", out);
}

static void add_vision_layer(struct listing *l, const char *prefix, int C) {
    for (int i = 0; i < 3; i++)
        add_linear(l, prefix, (const char *[]){"attention.attention.query", "attention.attention.key", "attention.attention.value"}[i], C,
                   C, true);
    add_linear(l, prefix, "attention.output.dense", C, C, true);
    add_linear(l, prefix, "intermediate.dense", 4 * C, C, true);
    add_linear(l, prefix, "output.dense", C, 4 * C, true);
    add_norm(l, prefix, "layernorm_before", C);
    add_norm(l, prefix, "layernorm_after", C);
}

void list_depth_estimator(struct listing *l) {
    enum { HIDDEN = 768, FUSED = 256, TOKENS = 24 * 24 + 1 };
    static const int channels[] = {64, 256, 512, 1024}, layers[] = {3, 4, 9}, neck[] = {256, 512, HIDDEN, HIDDEN};
    const char *bit = "dpt.embeddings.backbone.bit.", *neck_prefix = "neck.reassemble_stage.";
    add(l, "dpt.embeddings.", "cls_token", 3, 1, 1, HIDDEN);
    add(l, "dpt.embeddings.", "position_embeddings", 3, 1, TOKENS, HIDDEN);
    add_conv(l, "dpt.embeddings.", "projection", HIDDEN, channels[3], 1);
    add_filter(l, bit, "embedder.convolution", channels[0], 3, 7);
    add_norm(l, bit, "embedder.norm", channels[0]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < layers[i]; j++)
            add_bottleneck(l, NAME("%sencoder.stages.%d.layers.%d.", bit, i, j), channels[j ? i + 1 : i], channels[i + 1]);
    for (int i = 0; i < 12; i++) add_vision_layer(l, NAME("dpt.encoder.layer.%d.", i), HIDDEN);
    add_norm(l, "dpt.", "layernorm", HIDDEN);
    for (int i = 2; i < 4; i++) {
        add_linear(l, neck_prefix, NAME("readout_projects.%d.0", i), HIDDEN, 2 * HIDDEN, true);
        add_conv(l, neck_prefix, NAME("layers.%d.projection", i), HIDDEN, HIDDEN, 1);
    }
    add_conv(l, neck_prefix, "layers.3.resize", HIDDEN, HIDDEN, 3);
    for (int i = 0; i < 4; i++) {
        const char *fusion = NAME("neck.fusion_stage.layers.%d.", i);
        add_filter(l, "neck.", NAME("convs.%d", i), FUSED, neck[i], 3);
        add_conv(l, fusion, "projection", FUSED, FUSED, 1);
        for (int j = 0; j < 4; j++) add_conv(l, fusion, NAME("residual_layer%d.convolution%d", 1 + j / 2, 1 + j % 2), FUSED, FUSED, 3);
    }
    add_conv(l, "head.head.", "0", FUSED / 2, FUSED, 3);
    add_conv(l, "head.head.", "2", 32, FUSED / 2, 3);
    add_conv(l, "head.head.", "4", 1, 32, 1);
}
#undef NAME
