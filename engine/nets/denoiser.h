/* A net that tells the noise from the picture: all that the denoising loop knows of it, whichever net it is. */
#ifndef ENGINE_NETS_DENOISER_H
#define ENGINE_NETS_DENOISER_H

#include "engine/base/arena.h"
#include "engine/device.h"

/* What a picture is made of, beside its noise: N images of it, one for each copy of the latents. */
struct conditions {
    int pictures;         /* of these conditions in one call: x holds so many images for each of the N, one after the other */
    struct view context;  /* [N,1,T,context_dim], or none; … */
    const int *n_tokens;  /* … of each image, the first so many of the T, which the denoiser sees; NULL: all */
    struct view pooled;   /* [N,1,1,P], the whole prompt in one vector, or none … */
    const float *numbers; /* … and what stands beside it: [N,n_numbers], on the host */
    int n_numbers;
    double guidance; /* what a net is told that takes it as an input */
};

struct controls; /* nets that lead it (controlnet.h) */
struct unet;

struct denoiser {
    const void *net;
    const struct unet *led; /* the net as one that others can lead; NULL: they cannot */
    int in_channels, out_channels;
    int context_dim;     /* of a prompt's context; 0: it takes none */
    bool takes_guidance; /* as an input: one call gives the guided output */
    int added_dim;       /* P + n_numbers * number_dim; 0: it takes neither */
    int number_dim;
    int sample_height, sample_width; /* default size of its input, whose height and width are … */
    int size_multiple, size_least;   /* … multiples of the one, from the other on, itself one */
    /* What depends on the conditions and the timesteps alone.   t: n_rows host floats
     * *temb receives [1,1,n_rows,E], a row for each t, E the net's affair. Views in the device's arena, the rest in `a`. */
    void *(*prepare)(struct device *dev, const void *net, struct arena *a, const struct conditions *given, const float *t, int n_rows,
                     struct view *temb);
    /* x [N,H,W,in_channels]   temb [1,1,1,E]   y [N,H,W,out_channels]   controls: or NULL */
    void (*forward)(struct device *dev, const void *net, const void *prepared, struct view y, struct view x, struct view temb,
                    const struct controls *controls);
};

#endif
