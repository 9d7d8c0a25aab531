/* Depth, which stands beside the latents of depth to image: the checkpoint's own estimate of the picture's, or given (diffusers
 * pipelines/stable_diffusion/pipeline_stable_diffusion_depth2img.py). */
#ifndef ENGINE_PIPELINES_DEPTH_H
#define ENGINE_PIPELINES_DEPTH_H

#include "engine/images/image.h"

struct request;

struct depth {
    float *pixels; /* [side,side,3], what the estimator sees; NULL where the depth was given */
    int side;
    float *map; /* [latent_height,latent_width] in [-1,1], 1 nearest; estimated: once prepared */
};

/* picture: as it was given. Dies FAIL_USAGE, FAIL_INPUT, FAIL_DATA (a depth that is the same everywhere), FAIL_UNSUPPORTED. */
struct depth *depth_open(struct request *r, const struct image *picture);
/* Estimates it; planning calls it too. */
void depth_prepare(struct request *r);

/* map [h,w] in [0,1] = values [H,W], whatever their unit, resized; name: the picture's. Dies FAIL_INTERNAL, and FAIL_DATA where all are the
 * same. */
void depth_unit(float *map, int w, int h, const float *values, int W, int H, const char *name);

#endif
