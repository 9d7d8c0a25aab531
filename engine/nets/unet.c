#include "engine/nets/unet.h"
#include "engine/nets/controlnet.h"

#include <assert.h>

/* Keys and values of every transformer of the levels, in order; returns how many so far. */
static int prepare_levels(struct device *dev, const struct unet_level *levels, int n_levels, struct view *kv, int n, struct view context) {
    for (int i = 0; i < n_levels; i++)
        for (int j = 0; levels[i].attention == ATTENTION_CROSS && j < levels[i].n_layers; n += levels[i].transformers[j++].n_blocks)
            transformer_prepare(dev, &levels[i].transformers[j], kv + n, context);
    return n;
}

/* sinusoid += cond_proj of the guidance's own, the same for every row (Meng et al. 2023; diffusers get_guidance_scale_embedding). */
static void add_guidance(struct device *dev, const struct unet *m, struct arena *a, struct view sinusoid, double guidance) {
    struct view y = view_alloc(dev, 1, 1, sinusoid.W, m->guidance_dim);
    float *w = arena_array(a, (size_t)sinusoid.W, sizeof *w);
    for (int i = 0; i < sinusoid.W; i++) w[i] = (float)(guidance - 1) * 1000;
    dev->ops->timestep_embed(dev, y, w, false, 1);
    dev->ops->linear(dev, sinusoid, y, m->cond_proj_w, NULL, ACT_NONE, sinusoid);
}

/* The time embedding of each row, [1,1,n_rows,4C]. */
static struct view embed_time(struct device *dev, const struct unet *m, struct arena *a, double guidance, const float *t, int n_rows) {
    const struct ops *op = dev->ops;
    int C = m->block_out_channels[0], E = 4 * C;
    struct view emb = view_alloc(dev, 1, 1, n_rows, E);
    size_t mark = arena_mark(dev);
    struct view sinusoid = view_alloc(dev, 1, 1, n_rows, C), h = view_alloc(dev, 1, 1, n_rows, E);
    op->timestep_embed(dev, sinusoid, t, m->flip_sin_to_cos, m->freq_shift);
    if (m->guidance_dim) add_guidance(dev, m, a, sinusoid, guidance);
    op->linear(dev, h, sinusoid, m->time_linear_1_w, m->time_linear_1_b, ACT_SILU, no_view);
    op->linear(dev, emb, h, m->time_linear_2_w, m->time_linear_2_b, ACT_NONE, no_view);
    tap_view(dev, emb, "time_embedding");
    arena_release(dev, mark);
    return emb;
}

/* [pooled|sinusoids of the numbers] of each image. */
static struct view concatenate_added(struct device *dev, const struct unet *m, const struct conditions *given) {
    const struct ops *op = dev->ops;
    int N = given->pooled.N, P = given->pooled.C, n = given->n_numbers;
    assert(P + n * m->number_dim == m->added_dim);
    struct view y = view_alloc(dev, N, 1, 1, m->added_dim);
    op->modulate(dev, view_slice(y, 0, P), given->pooled, no_view, no_view, ACT_NONE);
    for (int i = 0; i < N; i++) {
        struct view tail = view_slice(view_images(y, i, 1), P, n * m->number_dim);
        op->timestep_embed(dev, view_dense(tail.p, tail.dtype, 1, 1, n, m->number_dim), given->numbers + (size_t)i * (size_t)n,
                           m->flip_sin_to_cos, m->freq_shift);
    }
    return y;
}

/* What is added to it: [N,1,1,4C]. */
static struct view embed_added(struct device *dev, const struct unet *m, const struct conditions *given) {
    const struct ops *op = dev->ops;
    int E = 4 * m->block_out_channels[0];
    struct view y = view_alloc(dev, given->pooled.N, 1, 1, E);
    size_t mark = arena_mark(dev);
    struct view added = concatenate_added(dev, m, given), h = view_alloc(dev, added.N, 1, 1, E);
    op->linear(dev, h, added, m->add_linear_1_w, m->add_linear_1_b, ACT_SILU, no_view);
    op->linear(dev, y, h, m->add_linear_2_w, m->add_linear_2_b, ACT_NONE, no_view);
    tap_view(dev, y, "add_embedding");
    arena_release(dev, mark);
    return y;
}

/* Each resnet applies SiLU before its own projection. */
static struct view prepare_temb(struct device *dev, const struct unet *m, struct arena *a, const struct conditions *given, const float *t,
                                int n_rows) {
    const struct ops *op = dev->ops;
    int N = m->added_dim ? given->pooled.N * given->pictures : 1;
    struct view temb = view_alloc(dev, 1, 1, n_rows, N * m->n_temb);
    size_t mark = arena_mark(dev);
    struct view emb = embed_time(dev, m, a, given->guidance, t, n_rows), sum = view_alloc(dev, 1, 1, n_rows, emb.C), each = no_view;
    if (m->added_dim) each = embed_added(dev, m, given);
    for (int n = 0; n < N; n++) {
        if (m->added_dim) op->modulate(dev, sum, emb, no_view, view_images(each, n / given->pictures, 1), ACT_SILU);
        else op->silu(dev, sum, emb);
        op->linear(dev, view_slice(temb, n * m->n_temb, m->n_temb), sum, m->time_emb_proj_w, m->time_emb_proj_b, ACT_NONE, no_view);
    }
    arena_release(dev, mark);
    return temb;
}

struct unet_run *unet_prepare(struct device *dev, const struct unet *m, struct arena *a, const struct conditions *given, const float *t,
                              int n_rows) {
    struct view context = given->context;
    struct unet_run *run = arena_alloc(a, sizeof *run);
    run->temb = prepare_temb(dev, m, a, given, t, n_rows);
    run->n_tokens = given->n_tokens;
    run->kv = arena_array(a, (size_t)m->n_transformer_blocks, sizeof *run->kv);
    int n = prepare_levels(dev, m->down, m->n_levels, run->kv, 0, context);
    if (m->mid_attention == ATTENTION_CROSS) transformer_prepare(dev, &m->mid_transformer, run->kv + n, context);
    n = prepare_levels(dev, m->up, m->n_levels, run->kv, n + m->mid_transformer.n_blocks, context);
    assert(n == m->n_transformer_blocks);
    return run;
}

/* The state of one forward pass. A skip is not stored and copied: it is produced in the channels [hidden.C, …) of the very tensor its
 * up-resnet will read, whose first channels the up path fills later. */
struct pass {
    struct device *dev;
    const struct unet *m;
    const struct unet_run *run;
    struct view temb; /* [M,1,1,n_temb] */
    int kv_at;
    int n_skips;
    struct view cat[UNET_SKIPS_MAX]; /* [hidden, skip] of each skip, in order of production */
    int c_hidden[UNET_SKIPS_MAX];    /* channels of the hidden part; 0 where there is no way up */
};

int unet_skips(const struct unet *m, int channels[UNET_SKIPS_MAX]) {
    int n = 0;
    channels[n++] = m->block_out_channels[0];
    for (int i = 0; i < m->n_levels; i++)
        for (int j = 0; j < m->layers_per_block[i] + (i + 1 < m->n_levels); j++) channels[n++] = m->block_out_channels[i];
    return n;
}

/* Channels of the hidden part beside each skip: the up-resnets read the skips last to first. */
static void plan_skips(struct pass *p) {
    const struct unet *m = p->m;
    int channels[UNET_SKIPS_MAX], n = unet_skips(m, channels);
    for (int i = 0, s = n, before = m->block_out_channels[m->n_levels - 1]; i < m->n_levels; i++)
        for (int j = 0; j < m->up[i].n_layers; j++) {
            p->c_hidden[--s] = before;
            before = m->up[i].resnets[j].c_out;
        }
}

/* Where the next skip of C channels goes. */
static struct view push_skip(struct pass *p, int N, int H, int W, int C) {
    int s = p->n_skips++;
    p->cat[s] = view_alloc(p->dev, N, H, W, p->c_hidden[s] + C);
    return view_slice(p->cat[s], p->c_hidden[s], C);
}

static struct view resnet_temb(const struct pass *p, const struct resnet *r) {
    return view_slice(p->temb, r->temb_at, resnet_n_temb(r));
}

/* One resnet and the attention after it, if any: x -> y */
static void layer_forward(struct pass *p, const struct unet_level *level, int j, const char *block, int i, struct view y, struct view x) {
    struct device *dev = p->dev;
    size_t mark = arena_mark(dev);
    const struct resnet *r = &level->resnets[j];
    struct view h = level->attention ? view_alloc_as(dev, x.dtype, x.N, x.H, x.W, r->c_out) : y;
    resnet_forward(dev, r, h, x, resnet_temb(p, r));
    tap_view(dev, h, "%s_blocks.%d.resnets.%d", block, i, j);
    if (level->attention == ATTENTION_CROSS) {
        transformer_forward(dev, &level->transformers[j], y, h, p->run->kv + p->kv_at, p->run->n_tokens);
        p->kv_at += level->transformers[j].n_blocks;
    }
    if (level->attention == ATTENTION_SELF) attention_block_forward(dev, &level->attentions[j], y, h);
    if (level->attention) tap_view(dev, y, "%s_blocks.%d.attentions.%d", block, i, j);
    arena_release(dev, mark);
}

/* addend: of what conv_in makes, or none. */
static struct view down_forward(struct pass *p, struct view x, struct view addend) {
    struct device *dev = p->dev;
    const struct unet *m = p->m;
    struct view h = push_skip(p, x.N, x.H, x.W, m->block_out_channels[0]);
    dev->ops->conv2d(dev, h, x, m->conv_in_w, m->conv_in_b, no_view, addend, CONV_3X3);
    tap_view(dev, h, "conv_in");
    int pad = m->downsample_padding; /* 0: one row and column of zeros, right and bottom only */
    for (int i = 0; i < m->n_levels; i++) {
        const struct unet_level *level = &m->down[i];
        int C = m->block_out_channels[i];
        for (int j = 0; j < level->n_layers; j++) {
            struct view y = push_skip(p, h.N, h.H, h.W, C);
            layer_forward(p, level, j, "down", i, y, h);
            h = y;
        }
        if (!level->sampler_w) continue;
        struct view y = push_skip(p, h.N, (h.H + pad) / 2, (h.W + pad) / 2, C);
        dev->ops->conv2d(dev, y, h, level->sampler_w, level->sampler_b, no_view, no_view, (struct conv_shape){2, pad, pad, 1, 1, 1});
        h = y;
        tap_view(dev, h, "down_blocks.%d.downsamplers.0", i);
    }
    return h;
}

/* y = resnet(attention(resnet(x))), resnet(x), or x */
static void mid_forward(struct pass *p, struct view y, struct view x) {
    struct device *dev = p->dev;
    const struct unet *m = p->m;
    size_t mark = arena_mark(dev);
    if (m->n_mid_resnets == 0) return dev->ops->modulate(dev, y, x, no_view, no_view, ACT_NONE);
    if (m->n_mid_resnets == 1) return resnet_forward(dev, &m->mid_resnets[0], y, x, resnet_temb(p, &m->mid_resnets[0]));
    struct view a = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C),
                b = m->mid_attention ? view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C) : a;
    resnet_forward(dev, &m->mid_resnets[0], a, x, resnet_temb(p, &m->mid_resnets[0]));
    tap_view(dev, a, "mid_block.resnets.0");
    if (m->mid_attention == ATTENTION_CROSS) transformer_forward(dev, &m->mid_transformer, b, a, p->run->kv + p->kv_at, p->run->n_tokens);
    if (m->mid_attention == ATTENTION_SELF) attention_block_forward(dev, &m->mid_attn, b, a);
    if (m->mid_attention) tap_view(dev, b, "mid_block.attentions.0");
    p->kv_at += m->mid_transformer.n_blocks;
    resnet_forward(dev, &m->mid_resnets[1], y, b, resnet_temb(p, &m->mid_resnets[1]));
    tap_view(dev, y, "mid_block.resnets.1");
    arena_release(dev, mark);
}

/* The hidden part of the concatenation on top of the stack of skips. */
static struct view hidden_slot(const struct pass *p) {
    return view_slice(p->cat[p->n_skips - 1], 0, p->c_hidden[p->n_skips - 1]);
}

/* y = conv(x enlarged to y's size). Where that is odd, a way down with padding had rounded up its half and twice x is cropped; without
 * padding it had rounded down, and x is stretched. */
static void upsample(struct device *dev, const struct unet_level *level, struct view y, struct view x) {
    size_t mark = arena_mark(dev);
    bool stretch = y.H > 2 * x.H || y.W > 2 * x.W;
    if (stretch) {
        struct view larger = view_alloc_as(dev, x.dtype, y.N, y.H, y.W, x.C);
        dev->ops->resize(dev, larger, x, INTERPOLATE_NEAREST);
        x = larger;
    }
    dev->ops->conv2d(dev, y, x, level->sampler_w, level->sampler_b, no_view, no_view, (struct conv_shape){1, 1, 1, 1, 1, stretch ? 1 : 2});
    arena_release(dev, mark);
}

/* Expects its input in hidden_slot; returns its output, dense. */
static struct view up_forward(struct pass *p) {
    struct device *dev = p->dev;
    const struct unet *m = p->m;
    struct view h = no_view;
    for (int i = 0; i < m->n_levels; i++) {
        const struct unet_level *level = &m->up[i];
        int C = level->resnets[0].c_out;
        for (int j = 0; j < level->n_layers; j++) {
            struct view x = p->cat[--p->n_skips];
            bool to_slot = j + 1 < level->n_layers;
            h = to_slot ? hidden_slot(p) : view_alloc_as(dev, x.dtype, x.N, x.H, x.W, C);
            layer_forward(p, level, j, "up", i, h, x);
        }
        if (!level->sampler_w) continue;
        struct view y = hidden_slot(p);
        upsample(dev, level, y, h);
        tap_view(dev, y, "up_blocks.%d.upsamplers.0", i);
    }
    return h;
}

static struct pass begin_pass(struct device *dev, const struct unet *m, const struct unet_run *run, struct view temb) {
    return (struct pass){.dev = dev, .m = m, .run = run, .temb = view_dense(temb.p, temb.dtype, temb.C / m->n_temb, 1, 1, m->n_temb)};
}

static void take_features(const struct pass *p, struct unet_features *f, struct view mid) {
    f->n = p->n_skips;
    f->mid = mid;
    for (int i = 0; i < p->n_skips; i++) f->skips[i] = view_slice(p->cat[i], p->c_hidden[i], p->cat[i].C - p->c_hidden[i]);
}

void unet_encode(struct device *dev, const struct unet *m, const struct unet_run *run, struct unet_features *y, struct view x,
                 struct view temb, struct view addend) {
    struct pass p = begin_pass(dev, m, run, temb);
    struct view bottom = down_forward(&p, x, addend), mid = view_alloc_as(dev, x.dtype, bottom.N, bottom.H, bottom.W, bottom.C);
    mid_forward(&p, mid, bottom);
    take_features(&p, y, mid);
}

void unet_forward(struct device *dev, const struct unet *m, const struct unet_run *run, struct view y, struct view x, struct view temb,
                  const struct controls *controls) {
    size_t mark = arena_mark(dev);
    struct pass p = begin_pass(dev, m, run, temb);
    plan_skips(&p);
    struct view bottom = down_forward(&p, x, no_view);
    mid_forward(&p, hidden_slot(&p), bottom);
    if (controls && controls->n) { /* not before the middle, which reads the last skip as it was */
        struct unet_features f;
        take_features(&p, &f, hidden_slot(&p));
        controls_forward(dev, controls, &f, x);
    }
    struct view h = up_forward(&p);
    dev->ops->group_norm(dev, h, h, m->conv_norm_out_w, m->conv_norm_out_b, m->groups, m->eps, true);
    dev->ops->conv2d(dev, y, h, m->conv_out_w, m->conv_out_b, no_view, no_view, CONV_3X3);
    tap_view(dev, y, "conv_out");
    arena_release(dev, mark);
}
