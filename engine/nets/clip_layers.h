/* The transformer of CLIP (Radford et al. 2021), which its text and its image encoder have in common, and DPT's ViT with them. */
#ifndef ENGINE_NETS_CLIP_LAYERS_H
#define ENGINE_NETS_CLIP_LAYERS_H

#include "engine/bind.h"
#include "engine/ops.h"

struct clip_layer {
    struct weight *layer_norm1_w, *layer_norm1_b; /* [C] */
    struct weight *qkv_w, *qkv_b;                 /* [3C,C] [3C]|NULL: self_attn.q_proj, k_proj, v_proj stacked */
    struct weight *out_proj_w, *out_proj_b;       /* [C,C] [C] */
    struct weight *layer_norm2_w, *layer_norm2_b; /* [C] */
    struct weight *fc1_w, *fc1_b;                 /* [M,C] [M] */
    struct weight *fc2_w, *fc2_b;                 /* [C,M] [C] */
};

struct clip_layers {
    int n, n_heads, hidden_size /* C */, intermediate_size /* M */;
    enum act act;
    float eps;   /* of the norms, those around the layers too */
    bool causal; /* a token sees those before it alone */
    struct clip_layer *layer;
};

/* Tokens that none attends to, at … at + n; where n is not 0, at is not either. */
struct clip_hidden {
    int at, n;
};

/* Takes from the config what it has; the sizes in l are its class's defaults. Dies FAIL_DATA or FAIL_UNSUPPORTED. */
void clip_layers_config(struct clip_layers *l, const struct json *config);
/* Binds "PREFIXencoder.layers.…". */
void clip_layers_bind(struct clip_layers *l, struct binder *binder, const char *prefix);
/* Layers [from,to) over h [1,1,T,C], in place, in h's type; each is tapped as "PREFIXencoder.layers.I". hidden: n 0, or of causal layers.
 */
void clip_layers_forward(struct device *dev, const struct clip_layers *l, struct view h, int from, int to, const char *prefix,
                         struct clip_hidden hidden);

#endif
