/* The blocks UNets and VAEs are made of (diffusers models/resnet.py, attention.py, transformers/transformer_2d.py).
 * bind reads the tensors below `prefix` by way of the binder; forward writes y, which may be a slice of a wider tensor. */
#ifndef ENGINE_NETS_BLOCKS_H
#define ENGINE_NETS_BLOCKS_H

#include "engine/bind.h"
#include "engine/ops.h"

/* ResnetBlock2D: y = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + temb)))
 * or, with scale_shift:       … conv2(silu(norm2(conv1(silu(norm1(x)))) (1 + scale) + shift)), temb = [scale|shift] */
struct resnet {
    int c_in, c_out, groups;
    float eps;
    bool scale_shift;
    struct weight *norm1_w, *norm1_b;                 /* [c_in] */
    struct weight *conv1_w, *conv1_b;                 /* [c_out,c_in,3,3] [c_out] */
    struct weight *norm2_w, *norm2_b;                 /* [c_out] */
    struct weight *conv2_w, *conv2_b;                 /* [c_out,c_out,3,3] [c_out] */
    struct weight *conv_shortcut_w, *conv_shortcut_b; /* [c_out,c_in] [c_out], or NULL where c_in == c_out */
    const char *time_emb_proj;                        /* prefix of the time embedding's projection … */
    int temb_at;                                      /* … and its column in the table of all projections (unet.h) */
};
void resnet_bind(struct resnet *r, struct binder *binder, const char *prefix, int c_in, int c_out, int groups, float eps);
/* Columns of the time embedding it reads. */
static inline int resnet_n_temb(const struct resnet *r) {
    return r->scale_shift ? 2 * r->c_out : r->c_out;
}
/* x [N,H,W,c_in]  temb [1|N,1,1,resnet_n_temb] or none  y [N,H,W,c_out] */
void resnet_forward(struct device *dev, const struct resnet *r, struct view y, struct view x, struct view temb);

/* BasicTransformerBlock: self-attention, cross-attention, GEGLU feed-forward, each x += f(LN(x)) */
struct transformer_block {
    struct weight *norm1_w, *norm1_b, *norm2_w, *norm2_b, *norm3_w, *norm3_b; /* [C] */
    struct weight *attn1_qkv_w;                                               /* [3C,C]: to_q, to_k, to_v stacked; no bias */
    struct weight *attn1_to_out_w, *attn1_to_out_b;
    struct weight *attn2_to_q_w; /* [C,C] */
    struct weight *attn2_kv_w;   /* [2C,cross]: to_k, to_v stacked */
    struct weight *attn2_to_out_w, *attn2_to_out_b;
    struct weight *ff_proj_w, *ff_proj_b; /* [8C,C]: 4C values, 4C gates */
    struct weight *ff_out_w, *ff_out_b;   /* [C,4C] */
};

/* Transformer2DModel: y = x + proj_out(blocks(proj_in(group_norm(x)))) */
struct transformer {
    int C, n_heads, groups, n_blocks, cross_dim;
    struct weight *norm_w, *norm_b;
    struct weight *proj_in_w, *proj_in_b, *proj_out_w, *proj_out_b; /* [C,C], 1x1 convolutions or linear layers alike */
    struct transformer_block *blocks;
};
void transformer_bind(struct transformer *t, struct binder *binder, const char *prefix, int C, int n_heads, int cross_dim, int n_blocks,
                      int groups);
/* Cross-attention's keys and values depend on the prompt alone: computed once a run. context [N,1,T,cross]; kv: n_blocks views [N,1,T,2C]
 * allocated here. */
void transformer_prepare(struct device *dev, const struct transformer *t, struct view *kv, struct view context);
/* x, y [N,H,W,C] */
void transformer_forward(struct device *dev, const struct transformer *t, struct view y, struct view x, const struct view *kv,
                         const int *n_tokens);

/* The VAE's and UNet2DModel's Attention: y = x + to_out(attention(group_norm(x))) over H*W tokens. */
struct attention_block {
    int C, n_heads, groups; /* groups 0: no norm */
    float eps;
    struct weight *group_norm_w, *group_norm_b; /* [C] */
    struct weight *qkv_w, *qkv_b;               /* [3C,C] [3C] */
    struct weight *to_out_w, *to_out_b;         /* [C,C] [C] */
};
void attention_block_bind(struct attention_block *a, struct binder *binder, const char *prefix, int C, int n_heads, int groups, float eps);
void attention_block_forward(struct device *dev, const struct attention_block *a, struct view y, struct view x);

#endif
