/* One picture of a request: image k, of seed + k, from noise to pixels. Several are drawn at once, in the same calls of the denoiser, where
 * the request says so; on a device whose images_alone is set each of them is, byte for byte, what it is by itself.
 *
 *     struct drawing *d = drawing_open(&arena, r, ks, r->pictures);    picture_open(&arena, r, k)
 *     drawing_run(d);                                                  picture_draw(p, rgb)
 *     for each of them: picture_finish(&d->pictures[i], rgb) */
#ifndef ENGINE_PIPELINES_PICTURE_H
#define ENGINE_PIPELINES_PICTURE_H

#include "engine/base/rng.h"
#include "engine/pipelines/request.h"

/* Milliseconds of each stage. */
struct timings {
    double text_ms, vae_ms; /* text_ms 0: done for an earlier picture */
    double safety_ms;       /* 0: no checker */
    double *step_ms;        /* request_rows; of pictures drawn at once each has an equal share */
};

/* What the safety checker says of a picture. */
enum verdict { VERDICT_NONE /* it was not asked */, VERDICT_HARMLESS, VERDICT_FLAGGED };

struct picture {
    struct drawing *drawing;
    int i, k; /* it is drawing->pictures[i] */
    struct rng rng;
    float *noise;       /* host memory [C,H,W] */
    struct image drawn; /* host memory, where what is drawn is laid, where it is to be laid into another picture */
    /* The latents' first value that is not finite, after how many rows, in whose loop; NULL: there is none. The others go on. */
    const struct model *flawed;
    size_t flaw;
    int flaw_step;
    struct timings timings;
    enum verdict verdict; /* of what was made last */
};

struct drawing {
    struct request *request; /* while the refiner draws: its own */
    int first_row;           /* … and how many came before its rows */
    struct arena *arena;
    const struct init *into; /* what is drawn is laid into its picture; else NULL */
    int n;
    struct picture *pictures; /* [n] */
    struct latents latents;   /* of all n, in the device's arena … */
    size_t mark;              /* … which is free from here on, once they are done */
    struct dump *dump;        /* of one drawn alone, or NULL */

    void (*on_step)(void *data, struct picture *p, int row); /* after each row of each picture, when set */
    void *on_step_data;
};

/* Makes room on the device for the n == r->pictures images ks; what was drawn before must not be touched any more. Weights are loaded or on
 * their way. */
struct drawing *drawing_open(struct arena *a, struct request *r, const int ks[], int n);
/* All rows. */
void drawing_run(struct drawing *d);
/* rgb: host bytes [height,width,3], black where the safety checker flags it. Dies FAIL_INTERNAL if latents or image are not finite, naming
 * the step, and the tensor of the checkpoint that is not finite either. */
void picture_finish(struct picture *p, uint8_t *rgb);
/* The picture as it stands, from on_step, checked too.   rgb: host bytes [height,width,3]. Dies as picture_finish does. */
void picture_snapshot(struct picture *p, uint8_t *rgb);
/* The latents as they stand, decoded and nothing else; the same way.   rgb: host bytes [latent_height,latent_width]*factor *
 * picture_channels */
void picture_decode(struct picture *p, uint8_t *rgb);

/* One alone. */
static inline struct picture *picture_open(struct arena *a, struct request *r, int k) {
    return drawing_open(a, r, &k, 1)->pictures;
}
static inline void picture_draw(struct picture *p, uint8_t *rgb) {
    drawing_run(p->drawing);
    picture_finish(p, rgb);
}

/* Its part of the drawing's latents. */
struct latents picture_latents(const struct picture *p);
/* Its next normal values, into p->noise. */
void picture_noise(struct picture *p);

/* The loop's and the decoder's part of request_plan. */
void picture_plan(struct request *r);

#endif
