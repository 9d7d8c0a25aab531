/* The depth of what a picture shows: a Dense Prediction Transformer (Ranftl et al. 2021; transformers DPTForDepthEstimation), on a ViT of
 * its own or, hybrid, behind BiT's ResNet, as stable-diffusion-2-depth has it. */
#ifndef ENGINE_NETS_DPT_H
#define ENGINE_NETS_DPT_H

#include "engine/nets/bit.h"
#include "engine/nets/clip_layers.h"

enum { DPT_TAPS = 4, DPT_FACTOR_MAX = 16 };

enum dpt_readout { READOUT_IGNORE, READOUT_ADD, READOUT_PROJECT };

/* From tokens to a picture of features. */
struct dpt_reassemble {
    struct weight *readout_w, *class_w, *readout_b; /* [C,C], of the tokens and of the class token; [C]; READOUT_PROJECT */
    struct weight *projection_w, *projection_b;     /* [K,C] [K] */
    int up, down;                                   /* what the size is multiplied and divided by */
    struct weight *up_w[DPT_FACTOR_MAX], *up_b;     /* a row of taps of the transposed convolution [up*K,K]; its bias `up` times */
    struct weight *down_w, *down_b;                 /* [K,K,3,3] [K] */
};

/* x + conv2(relu(conv1(relu(x)))), batch norms folded in */
struct dpt_residual {
    struct weight *conv1_w, *conv1_b, *conv2_w, *conv2_b; /* [F,F,3,3] [F]|NULL */
};

struct dpt_fusion {
    struct dpt_residual residual1; /* not of the first */
    struct dpt_residual residual2;
    struct weight *projection_w, *projection_b; /* [F,F] [F] */
};

struct dpt {
    int image_size, patch_size, grid; /* grid: its side in tokens, as position embeddings have it */
    int hidden_size, n_taps, first_token_tap;
    int tap_layers[DPT_TAPS]; /* the layers whose output is looked at, from first_token_tap on */
    int neck[DPT_TAPS];       /* K, channels of each tap */
    int fusion_size, head_fusion;
    enum dpt_readout readout;
    struct bit *backbone; /* NULL: not hybrid */
    struct clip_layers layers;
    struct weight *cls_token, *position_embeddings; /* [1,C] [1+grid*grid,C] */
    int32_t *ids;                                   /* the rows behind the first: 1, 2, … */
    struct weight *patch_w, *patch_b;               /* of the ViT's own [C,3,P,P], or of the backbone's output [C,K,1,1]; [C] */
    struct dpt_reassemble reassemble[DPT_TAPS];
    struct weight *neck_conv_w[DPT_TAPS]; /* [F,K,3,3] */
    struct dpt_fusion fusion[DPT_TAPS];
    struct weight *head_projection_w, *head_projection_b; /* [F,F,3,3] [F], or NULL */
    struct weight *head1_w, *head1_b;                     /* [F/2,F,3,3] [F/2] */
    struct weight *head2_w, *head2_b;                     /* [32,F/2,3,3] [32] */
    struct weight *head3_w, *head3_b;                     /* [1,32] [1] */
};

/* Reads the config and binds every tensor that is used; dies FAIL_DATA or FAIL_UNSUPPORTED. Lives in the binder's arena. */
struct dpt *dpt_bind(struct binder *binder);

/* The side of what comes out for a picture of that side, which dpt_takes. */
int dpt_output_size(const struct dpt *m, int side);
/* Whether it takes pictures of W x H. */
bool dpt_takes(const struct dpt *m, int W, int H);
/* x [1,H,W,3], which it takes   y [1,D,D,1], D as dpt_output_size says, of x's type: larger is nearer, 0 the least */
void dpt_forward(struct device *dev, const struct dpt *m, struct view y, struct view x);

#endif
