/* The shapes make_checkpoint knows, and the tensors a component of each has. */
#ifndef BENCH_CHECKPOINT_TENSORS_H
#define BENCH_CHECKPOINT_TENSORS_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"

enum { VOCABULARY = 49408, POSITIONS = 77, TENSORS_MAX = 1024 };

struct shape {
    const char *name;
    int n_levels, channels[6];                                   /* of the UNet */
    int pixel_channels;                                          /* of what it denoises */
    int text_hidden, text_layers, text_intermediate, text_heads; /* text_layers 0: no text, no VAE */
    const char *text_act;
    const char *heads; /* attention_head_dim of unet/config.json */
    bool linear_projection;
    int sample_size;
    const char *prediction;
};

struct listed {
    char *name;
    int rank;
    int64_t shape[4];
};

struct listing {
    struct arena *arena;
    const char *component;
    int n;
    struct listed tensors[TENSORS_MAX];
};

void list_unet(struct listing *l, const struct shape *m);
void list_vae(struct listing *l, const struct shape *m);
void list_text_encoder(struct listing *l, const struct shape *m);

#endif
