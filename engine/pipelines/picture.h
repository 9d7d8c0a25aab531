/* One picture of a request: image k, of seed + k, from noise to pixels. */
#ifndef ENGINE_PIPELINES_PICTURE_H
#define ENGINE_PIPELINES_PICTURE_H

#include "engine/base/rng.h"
#include "engine/pipelines/request.h"

/* Milliseconds of each stage. */
struct timings {
    double text_ms, vae_ms; /* text_ms 0: done for an earlier picture */
    double safety_ms;       /* 0: no checker */
    double *step_ms;        /* request_rows */
};

/* What the safety checker says of a picture. */
enum verdict { VERDICT_NONE /* it was not asked */, VERDICT_HARMLESS, VERDICT_FLAGGED };

struct picture {
    struct request *request; /* while the refiner draws: its own */
    int first_row;           /* … and how many came before its rows */
    int k;
    struct arena *arena;
    struct rng rng;
    float *noise;            /* host memory [C,H,W] */
    struct image drawn;      /* host memory, where what is drawn is laid … */
    const struct init *into; /* … into a picture; else NULL */
    struct latents latents;  /* in the device's arena */
    struct timings timings;
    enum verdict verdict; /* of what was made last */

    void (*on_step)(void *data, struct picture *p, int row); /* after each row, when set */
    void *on_step_data;
};

/* Makes room on the device; the picture before must not be touched any more. Weights are loaded or on their way. */
struct picture *picture_open(struct arena *a, struct request *r, int k);
/* rgb: host bytes [height,width,3], black where the safety checker flags it. Dies FAIL_INTERNAL if latents or image are not finite, naming
 * the step, and the tensor of the checkpoint that is not finite either. */
void picture_draw(struct picture *p, uint8_t *rgb);
/* The picture as it stands, from on_step, checked too.   rgb: host bytes [height,width,3]. Dies as picture_draw does. */
void picture_snapshot(struct picture *p, uint8_t *rgb);

/* The loop's and the decoder's part of request_plan. */
void picture_plan(struct request *r);

#endif
