/* A net that tells the noise from the picture: all that the denoising loop knows of it, whichever net it is. */
#ifndef ENGINE_NETS_DENOISER_H
#define ENGINE_NETS_DENOISER_H

#include "engine/base/arena.h"
#include "engine/device.h"

struct denoiser {
    const void *net;
    int in_channels, out_channels;
    int context_dim;                 /* of a prompt's context; 0: it takes none */
    bool takes_guidance;             /* as an input: one call gives the guided output */
    int n_temb;                      /* what the net needs of one row's timestep */
    int sample_height, sample_width; /* default size of its input, whose height and width are multiples of size_multiple */
    int size_multiple;
    /* What depends on the prompt, the guidance and the timesteps alone.   context [N,1,T,context_dim] or none   t: n_rows host floats
     * *temb receives [1,1,n_rows,n_temb], a row for each t. Views in the device's arena, the rest in `a`. */
    void *(*prepare)(struct device *dev, const void *net, struct arena *a, struct view context, double guidance, const float *t, int n_rows,
                     struct view *temb);
    /* x [N,H,W,in_channels]   temb [1,1,1,n_temb]   y [N,H,W,out_channels] */
    void (*forward)(struct device *dev, const void *net, const void *prepared, struct view y, struct view x, struct view temb);
};

#endif
