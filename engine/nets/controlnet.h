/* ControlNetModel (Zhang et al. 2023; diffusers models/controlnets/controlnet.py): a copy of a UNet's way down and middle that sees a
 * picture, too. What each of its blocks makes goes through a 1x1 convolution and is added to the UNet's before the way up begins. */
#ifndef ENGINE_NETS_CONTROLNET_H
#define ENGINE_NETS_CONTROLNET_H

#include "engine/nets/unet.h"

enum { CONTROL_STAGES_MAX = 8 };

struct control_conv {
    const char *name;
    struct weight *w, *b; /* [K,C,3,3] [K]; where it leads to the UNet [C,C,1,1] [C] */
};

struct controlnet {
    struct unet encoder;  /* whose way up is none */
    bool bgr;             /* the picture's channels are taken in reverse */
    bool pools;           /* what it adds is the same for every pixel: the mean over the image */
    int n_stages, factor; /* of the embedding; pixels of the picture per latent */
    int stages[CONTROL_STAGES_MAX];
    struct control_conv conv_in, conv_out;              /* [stages[0],3,3,3] [C0,stages[n-1],3,3] */
    struct control_conv blocks[CONTROL_STAGES_MAX * 2]; /* two a stage but the last: the same size, then half of it */
    int n_skips;
    struct control_conv *down, mid; /* n_skips */
};

/* Reads the config and binds every tensor; lives in the binder's arena. Dies FAIL_DATA, FAIL_UNSUPPORTED. */
struct controlnet *controlnet_bind(struct binder *binder);
/* Could its output be added to the UNet's? */
bool controlnet_fits(const struct controlnet *m, const struct unet *unet);

/* y [N,h,w,C0] = what the net makes of a picture x [1,H,W,3] in [0,1], h = H / factor, the same for every image. */
void controlnet_embed(struct device *dev, const struct controlnet *m, struct view y, struct view x);

/* One of the nets that lead a call of the UNet. */
struct control {
    const struct controlnet *net;
    const struct unet_run *run;
    struct view picture;   /* [M,h,w,C0]: the M last images of the call are led */
    int temb_at, temb_dim; /* its part of the row's time embeddings */
    float scale;
    bool guess; /* the skips are led less than the middle is: the k-th of K by 10^(k/K - 1) of the scale; not by a net that pools */
};

enum { CONTROLS_MAX = 8 };
struct controls {
    int n;
    struct view temb; /* [1,1,1,E], of the row: everybody's, side by side */
    struct control items[CONTROLS_MAX];
};

/* f->skips and f->mid += what each net makes of x [N,H,W,C], whose first channels are the latents. */
void controls_forward(struct device *dev, const struct controls *controls, struct unet_features *f, struct view x);

#endif
