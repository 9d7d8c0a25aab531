/* The shapes make_checkpoint knows, and the tensors a component of each has. */
#ifndef BENCH_CHECKPOINT_TENSORS_H
#define BENCH_CHECKPOINT_TENSORS_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"

enum { VOCABULARY = 49408, POSITIONS = 77, TENSORS_MAX = 2048 };

struct text_shape {
    int hidden, layers, intermediate, heads;
    const char *act;
    int projection; /* 0: none */
};

struct shape {
    const char *name;
    int n_levels, channels[6];  /* of the UNet */
    int pixel_channels;         /* of what it denoises */
    int depths[6];              /* transformer blocks of each level; 0: it has no attention */
    struct text_shape texts[2]; /* of the text encoders; layers 0: there is none, without any there is no VAE either */
    int added;                  /* SDXL: of what is added to the time embedding; else 0 */
    const char *heads;          /* attention_head_dim of unet/config.json */
    bool linear_projection;
    int sample_size;
    const char *prediction;
    bool sees_depth;       /* one more channel of the UNet's input, and the estimator it comes from */
    const char *scheduler; /* NULL: PNDMScheduler, of SDXL EulerDiscreteScheduler; else it is spaced "trailing" */
    int layers;            /* resnets of a level, those behind the first half have one more; 0: two */
    bool uneven;           /* SSD-1B's: the transformers of a level on the way up are of different depths */
    enum { MID_ATTENTION, MID_PLAIN /* one resnet */, MID_NONE } mid;
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

/* Of the UNet's context. */
static inline int context_dim(const struct shape *m) {
    return m->texts[0].hidden + m->texts[1].hidden;
}

/* Dies where the name is not known. */
const struct shape *find_shape(const char *name);
static inline int layers_of(const struct shape *m) {
    return m->layers ? m->layers : 2;
}

void list_unet(struct listing *l, const struct shape *m);
void list_vae(struct listing *l, const struct shape *m);
void list_text_encoder(struct listing *l, const struct text_shape *t);
/* DPT-hybrid (Intel/dpt-hybrid-midas). */
void list_depth_estimator(struct listing *l);

#endif
