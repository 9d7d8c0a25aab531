/* The order of stages.
 *
 *   StableDiffusionPipeline      prompt -> ids -> context; noise -> UNet and scheduler row, n times -> VAE -> pixels
 *   DDPMPipeline, DDIMPipeline   noise -> UNet and scheduler row, n times -> pixels: text, vae and tokenizer are NULL
 *
 *     struct pipeline *p = pipeline_open(&arena, &settings);   every file of the checkpoint checked, no weight read
 *     pipeline_read_ahead(p);                                  optional
 *     pipeline_plan(p, device);                                shapes, algorithms, peak memory
 *     pipeline_load(p);                                        weights
 *     for each k: pipeline_generate(p, k, pixels);             image k, seed + k
 *     pipeline_close(p);
 *
 * All of it dies as engine/base/error.h says. */
#ifndef ENGINE_PIPELINES_PIPELINE_H
#define ENGINE_PIPELINES_PIPELINE_H

#include "engine/files/checkpoint.h"
#include "engine/nets/clip.h"
#include "engine/nets/unet.h"
#include "engine/nets/vae.h"
#include "engine/pipelines/settings.h"
#include "schedulers/scheduler.h"
#include "tokenizer/clip_bpe.h"

/* Milliseconds of each stage of the last picture, and of reading bytes_read of weights. */
struct timings {
    double load_ms, text_ms, vae_ms; /* text_ms 0: done for an earlier picture */
    double *step_ms;                 /* n_rows */
    uint64_t bytes_read;
};

struct pipeline {
    struct arena *arena;
    struct settings settings; /* defaults filled in */
    struct checkpoint *checkpoint;
    struct clip_bpe *tokenizer;
    struct clip_text *text;
    struct unet *unet;
    struct vae *vae;
    const struct scheduler *scheduler;
    struct sched_config *sched_config;
    struct schedule *schedule;
    int n_tokens;                              /* length ids are padded to: 77 */
    int32_t *ids, *negative_ids;               /* n_tokens each */
    const float *given_noise;                  /* --latents, [C,H,W], or NULL */
    bool guided;                               /* guidance > 1: the UNet runs on two images, [unconditional, conditional] */
    int factor;                                /* pixels per latent: the VAE's, or 1 */
    int size_multiple;                         /* width and height are multiples of it */
    int channels, latent_height, latent_width; /* of what is denoised */

    struct device *device;
    enum dtype dtype;    /* of all but the VAE: the device's own, outside decoding */
    struct view context; /* [1|2,1,n_tokens,cross_dim], or none */
    struct unet_run *unet_run;
    struct recording *recording; /* of a step of the loop */
    bool loaded;                 /* timings.load_ms is known; else after the first picture */
    bool prepared;               /* context and unet_run are computed; the next picture does so where false */
    size_t image_mark;           /* of the device's arena, behind them */
    struct arena image_arena;    /* host memory of one image */
    struct timings timings;
    const struct latents *latents; /* of the image under way */

    void (*on_step)(void *data, int row, int n_rows); /* after each row, when set */
    void *on_step_data;
    bool snapshots; /* on_step may call pipeline_snapshot: no row is begun before the last one is done */
};

/* Opens and checks every file of the checkpoint and plans the schedule. *settings is copied. */
struct pipeline *pipeline_open(struct arena *a, const struct settings *settings);
/* Asks the system to begin reading the weights into its cache: while a device comes up, and before the first of them is wanted. */
void pipeline_read_ahead(const struct pipeline *p);
/* Plans one image on the device, which the pipeline owns from here on (pipeline_close). Allocates next to nothing. */
void pipeline_plan(struct pipeline *p, struct device *device);
/* Bytes the run will hold, known after planning. */
struct memory_plan {
    uint64_t weights, activations, scratch;
};
struct memory_plan pipeline_memory(const struct pipeline *p);
/* Allocates what was planned, then reads and packs the weights. */
void pipeline_load(struct pipeline *p);
/* rgb: host bytes [height,width,3]. Dies FAIL_INTERNAL if latents or image are not finite, naming the stage. */
void pipeline_generate(struct pipeline *p, int k, uint8_t *rgb);
/* The picture as it stands, from on_step.   rgb: host bytes [height,width,3] */
void pipeline_snapshot(struct pipeline *p, uint8_t *rgb);
void pipeline_close(struct pipeline *p);
/* Where --dump puts image k. */
const char *pipeline_dump_dir(const struct pipeline *p, struct arena *a, int k);

/* The rows of settings' scheduler and steps, from model_index.json and scheduler_config.json alone: for --show-schedule. */
struct schedule *pipeline_schedule(struct arena *a, const struct settings *settings);

#endif
