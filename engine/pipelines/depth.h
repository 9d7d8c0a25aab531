/* Depth, which stands beside the latents of depth to image: the checkpoint's own estimate of the picture's, or given (diffusers
 * pipelines/stable_diffusion/pipeline_stable_diffusion_depth2img.py). */
#ifndef ENGINE_PIPELINES_DEPTH_H
#define ENGINE_PIPELINES_DEPTH_H

#include <stdbool.h>
#include "engine/images/image.h"

struct arena;
struct device;
struct dpt;
struct extractor;
struct request;

/* What a depth estimator sees of a picture. */
struct depth_input {
    float *pixels; /* [H,W,3]; NULL: nothing */
    int W, H;
};

struct depth {
    struct depth_input seen; /* no pixels where the depth was given */
    float *map;              /* [latent_height,latent_width] in [-1,1], 1 nearest; estimated: once prepared */
};

/* picture: as it was given. Dies FAIL_USAGE, FAIL_INPUT, FAIL_DATA (a depth that is the same everywhere), FAIL_UNSUPPORTED. */
struct depth *depth_open(struct request *r, const struct image *picture);
/* Estimates it; planning calls it too. */
void depth_prepare(struct request *r);

/* The picture as the extractor makes it for the net; false where the net does not take that size, which *d has without pixels. */
bool depth_see(struct arena *a, const struct dpt *m, const struct extractor *e, const struct image *picture, struct depth_input *d);
/* The net's estimate, values [*size,*size]; while the device plans there is none. In f32 whatever else is not: its values have no bound,
 * and it is run once. */
float *depth_estimate(struct arena *a, struct device *dev, const struct dpt *m, const struct depth_input *d, int *size);
/* map [h,w] in [0,1] = values [H,W], whatever their unit, resized; name: the picture's. Dies FAIL_INTERNAL, and FAIL_DATA where all are the
 * same. */
void depth_unit(float *map, int w, int h, const float *values, int W, int H, const char *name);

#endif
