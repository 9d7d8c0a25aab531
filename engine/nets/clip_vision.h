/* CLIP's image encoder (Radford et al. 2021; transformers CLIPVisionModel): a vision transformer over square patches. */
#ifndef ENGINE_NETS_CLIP_VISION_H
#define ENGINE_NETS_CLIP_VISION_H

#include "engine/nets/clip_layers.h"

struct clip_vision {
    int image_size, patch_size; /* S, R */
    int n_positions;            /* (S / R)² patches and the class token before them */
    int32_t *patch_ids;         /* 1 … P-1: the patches' rows of position_embedding */
    struct clip_layers layers;
    struct weight *class_embedding;                     /* [1,C] */
    struct weight *patch_embedding_w;                   /* [C,3,R,R] */
    struct weight *position_embedding;                  /* [P,C] */
    struct weight *pre_layrnorm_w, *pre_layrnorm_b;     /* [C], the checkpoint's spelling */
    struct weight *post_layernorm_w, *post_layernorm_b; /* [C] */
};

/* config: the model's own, or a whole CLIPModel's "vision_config". Tensors are named "PREFIXembeddings.…". Dies FAIL_DATA or
 * FAIL_UNSUPPORTED. */
void clip_vision_bind(struct clip_vision *m, struct binder *binder, const struct json *config, const char *prefix);

/* y = post_layernorm(the class token behind the last layer)        x [1,S,S,3]   y [1,1,1,C] */
void clip_vision_forward(struct device *dev, const struct clip_vision *m, struct view y, struct view x);

#endif
