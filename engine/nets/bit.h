/* Big Transfer's ResNet (Kolesnikov et al. 2020; transformers BitBackbone) as DPT-hybrid has it before its ViT: bottlenecks, weights
 * standardised, group norms, "SAME" padding. */
#ifndef ENGINE_NETS_BIT_H
#define ENGINE_NETS_BIT_H

#include "engine/bind.h"
#include "engine/ops.h"

enum { BIT_STAGES = 3 };

/* A convolution and the group norm of its output. */
struct bit_conv {
    int R, stride;
    struct weight *w;               /* [K,C,R,R], standardised; no bias */
    struct weight *norm_w, *norm_b; /* [K] */
};

struct bit_layer {
    struct bit_conv conv[3];    /* to a quarter of the channels; 3x3, where the stride is; and back */
    struct bit_conv downsample; /* of the shortcut, in a stage's first layer; else w is NULL */
};

struct bit {
    int groups;
    struct bit_conv stem; /* 7x7, stride 2, then max pooling */
    struct bit_stage {
        int n_layers, stride, C;
        struct bit_layer *layers;
    } stages[BIT_STAGES];
};

/* config: a "backbone_config"; NULL: its defaults. Binds below `prefix`. Dies FAIL_DATA or FAIL_UNSUPPORTED. */
struct bit *bit_bind(struct binder *binder, const struct json *config, const char *prefix);
/* x [N,H,W,3]   y: receives the three stages' outputs, a 4th, an 8th and a 16th of the size rounded up, allocated here in x's type */
void bit_forward(struct device *dev, const struct bit *m, struct view y[BIT_STAGES], struct view x);

#endif
