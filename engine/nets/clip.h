/* CLIP's text encoder (Radford et al. 2021; transformers CLIPTextModel, CLIPTextModelWithProjection): SD 1.x has the quick_gelu ViT-L, SD
 * 2.x OpenCLIP-H with 23 layers, SDXL the first of them and OpenCLIP-bigG with its projection. */
#ifndef ENGINE_NETS_CLIP_H
#define ENGINE_NETS_CLIP_H

#include "engine/nets/clip_layers.h"

struct clip_text {
    int vocab_size, max_positions;
    struct clip_layers layers;
    struct weight *token_embedding;    /* [V,C] */
    struct weight *position_embedding; /* [P,C] */
    struct weight *final_layer_norm_w, *final_layer_norm_b;
    int end_id;                     /* the token a text is pooled at, the first of them; 2: the largest id instead (transformers) */
    int projection_dim;             /* 0: there is no projection */
    struct weight *text_projection; /* [projection_dim,C] */
};

/* Reads the config and binds every tensor; dies FAIL_DATA or FAIL_UNSUPPORTED. Lives in the binder's arena. */
struct clip_text *clip_text_bind(struct binder *binder);

/* How many ids it takes at most: from the config alone, in all its places. Dies FAIL_DATA or FAIL_UNSUPPORTED. */
int clip_text_max_positions(struct arena *a, struct json *config);

/* y = final_layer_norm(hidden state after layers.n - skip layers)        ids: T host integers   y [1,1,T,C], T <= max_positions
 * skip is diffusers' clip_skip, 0 = the last hidden state. */
void clip_text_forward(struct device *dev, const struct clip_text *m, struct view y, const int32_t *ids, int skip,
                       struct clip_hidden hidden);

/* SDXL's reading of it: y [1,1,T,C] = the hidden state after n_layers - skip layers as it is; pooled [1,1,1,projection_dim] =
 * text_projection(final_layer_norm(last hidden state)) at the end's token, or none. */
void clip_text_states(struct device *dev, const struct clip_text *m, struct view y, struct view pooled, const int32_t *ids, int skip,
                      struct clip_hidden hidden);

#endif
