/* A model's parts one after the other in memory, where they do not fit there together (--offload): each stage of a picture has its own
 * weights and its own arena, and what goes from one to the next goes by way of the host. What is drawn is the same, byte for byte. */
#ifndef ENGINE_PIPELINES_STAGES_H
#define ENGINE_PIPELINES_STAGES_H

#include <stdbool.h>
#include <stdint.h>

struct device;
struct model;

enum offload { OFFLOAD_AUTO /* where all do not fit together */, OFFLOAD_NONE, OFFLOAD_STAGE };

enum stage {
    STAGE_TEXT,
    STAGE_IMAGE, /* what is begun from becomes latents, its depth a map */
    STAGE_DENOISE,
    STAGE_DECODE,
    STAGE_CHECK, /* by the safety checker */
    N_STAGES
};
extern const char *const stage_names[N_STAGES];

/* Shared by a model and its refiner. */
struct stages {
    bool on;                     /* else all parts are there, and stages are but names */
    bool joined;                 /* decoding and checking belong to STAGE_DENOISE: pictures on their way are asked for */
    const struct model *model;   /* whose stage is under way, NULL: none, … */
    enum stage stage;            /* … this one */
    uint64_t arena[2][N_STAGES]; /* bytes planned, of the model's and of the refiner's; 0: it has no such stage */
};

/* Planning begins, all of it once. */
void stages_plan_begin(struct model *m, bool on, bool joined);
void stages_plan_end(struct model *m);
/* What the stage needs is in memory, all else is not. True where the device's arena is empty now, whatever was there; false where it is as
 * it was. Dies as weights_load does, and FAIL_MEMORY. */
bool stage_begin(struct model *m, enum stage stage);

/* Bytes of weights that a stage keeps in device memory. */
uint64_t stage_weights(const struct model *m, enum stage stage);
/* Bytes of weights and arena that m and its refiner hold now. */
uint64_t stages_held(const struct model *m);

#endif
