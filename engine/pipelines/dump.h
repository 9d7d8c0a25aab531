/* --dump DIR: what each stage saw and made, as safetensors with the axes torch would have, for comparing with diffusers.
 *
 *   text.safetensors       ids, negative_ids [1,T] I64, of all chunks; embeddings, negative_embeddings [1,T,C] (where there is a prompt);
 * of SDXL also ids_2, pooled [1,P] and numbers [1,n], of what the UNet adds to the time embedding, and negative ones noise.safetensors
 * noise [1,C,H,W], before init_noise_sigma step-0000.safetensors  per scheduler row: timestep [1], model_input [B,C,H,W], guided [1,C,H,W],
 * latents [1,C,H,W] after the row image.safetensors      decoded [1,3,H,W] F32, image [H,W,3] U8, before --mask-crop lays it into its
 * surroundings Several images: each in DIR/seed-SEED/. */
#ifndef ENGINE_PIPELINES_DUMP_H
#define ENGINE_PIPELINES_DUMP_H

#include "engine/ops.h"
#include "engine/pipelines/prompt.h"

struct dump;

/* Creates the directory. Everything lives in arena a, one image's. */
struct dump *dump_open(struct arena *a, const char *dir);
struct dump_prompt {
    const char *prefix; /* "", "negative_" */
    const struct prompt *prompt;
    struct view embeddings; /* [1,1,T,C] */
    struct view pooled;     /* [1,1,1,P], or none: then no numbers either */
    const float *numbers;
    int n_numbers;
};
void dump_text(struct dump *d, struct device *dev, const struct dump_prompt *prompts, int n_prompts);
/* noise [C,H,W] */
void dump_noise(struct dump *d, const float *noise, int C, int H, int W);
void dump_step(struct dump *d, struct device *dev, int row, float t, struct view model_input, const struct latents *l);
/* decoded [height,width,3] as downloaded, rgb [height,width,3] */
void dump_image(struct dump *d, const float *decoded, const uint8_t *rgb, int height, int width, int channels);

#endif
