/* What a picture begins from where one is given: image to image and inpainting (diffusers pipelines/stable_diffusion/
 * pipeline_stable_diffusion_img2img.py, …_inpaint.py). The pixels are the request's; latents are sampled anew for each picture. */
#ifndef ENGINE_PIPELINES_INIT_H
#define ENGINE_PIPELINES_INIT_H

#include "engine/base/rng.h"
#include "engine/images/image.h"
#include "engine/ops.h"

struct model;
struct request;
struct settings;

struct init {
    float *pixels;  /* [height,width,3] in [-1,1] */
    float *masked;  /* the same with the hole at 0, where the denoiser is given that (9 channels); else NULL */
    float *mask;    /* [latent_height,latent_width]: 1 is painted anew; NULL: image to image */
    float *moments; /* [latent_height,latent_width,2Z] of pixels, once prepared */
    float *masked_moments;
    bool prepared;       /* in a stage of its own: it is not done again */
    struct depth *depth; /* beside the latents, or NULL */
    /* Where only the surroundings of the mask are drawn (padding_mask_crop): what they are laid into. */
    bool cropped;
    struct image original, original_mask; /* RGB, grey; of one size */
    struct image_box box;                 /* in that */
};

/* --latents: the file's tensor "latents", or its only one, [1,C,H,W] or [C,H,W]. */
const float *init_read_latents(const struct request *r);
/* Of the files the settings name. */
struct input_hashes init_hash_inputs(struct arena *a, const struct settings *s);
/* The picture the settings name, none: no pixels. What they leave open follows from it: the size is the picture's, cut to what the model
 * makes, strength is the task's. Dies FAIL_USAGE for what does not go together or with the model, FAIL_INPUT, FAIL_DATA for a bad file. */
struct image init_read(struct request *r);
/* The sides that the settings leave open are the picture's, cut to what the model makes. Dies FAIL_USAGE where that is none.   path: for
 * messages */
void init_fill_size(struct request *r, const char *path, const struct image *image);
/* A picture beside the one it begins from, brought to the request's size as that is. */
struct image init_at_size(struct request *r, const struct image *in);
/* Image and mask at the request's size; sets the size of the finished picture. Dies FAIL_DATA for a mask that does not fit. */
struct init *init_open(struct request *r, const struct image *image);
/* rgb = drawn, laid into the original where the mask is white        rgb: [H,W,3] of the original's size; init->cropped */
void init_overlay(const struct init *init, struct arena *a, uint8_t *rgb, const struct image *drawn);
/* The steps left out at the front: n - int(n * strength); none where the task has no strength. */
int init_skip(const struct request *r, int n_steps);
/* Encodes the pictures; planning calls it too. */
void init_prepare(struct request *r);

/* latents [Z,H,W] = a sample of the encoder's distribution, scaled; its Z*H*W normal values are drawn here. */
void init_sample(const struct request *r, const float *moments, struct rng *rng, float *latents);

#endif
