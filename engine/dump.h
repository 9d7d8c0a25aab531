/* --dump DIR: what each stage saw and made, as safetensors with the axes torch would have, for comparing with diffusers.
 *
 *   text.safetensors       ids, negative_ids [1,T] I64; embeddings, negative_embeddings [1,T,C] (where there is a prompt)
 *   noise.safetensors      noise [1,C,H,W], before init_noise_sigma
 *   step-0000.safetensors  per scheduler row: timestep [1], model_input [B,C,H,W], guided [1,C,H,W], latents [1,C,H,W] after the row
 *   image.safetensors      decoded [1,3,H,W] F32, image [H,W,3] U8
 * Several images: each in DIR/seed-SEED/. */
#ifndef ENGINE_DUMP_H
#define ENGINE_DUMP_H

#include "engine/ops.h"

struct pipeline;
struct dump;

/* Image k: creates the directory and writes text and noise (NCHW). Lives in the pipeline's image arena. */
struct dump *dump_open(struct pipeline *p, int k, const float *noise);
void dump_step(struct dump *d, struct device *dev, int row, float t, struct view model_input, const struct latents *l);
/* decoded [height,width,3] as downloaded, rgb [height,width,3] */
void dump_image(struct dump *d, const float *decoded, const uint8_t *rgb, int height, int width);

#endif
