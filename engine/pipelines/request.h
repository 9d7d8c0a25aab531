/* One job: what is asked for, checked against the model and ready to be drawn. Pictures of one request differ in their seed alone. */
#ifndef ENGINE_PIPELINES_REQUEST_H
#define ENGINE_PIPELINES_REQUEST_H

#include "engine/ops.h"
#include "engine/pipelines/model.h"
#include "engine/pipelines/settings.h"

struct request {
    struct model *model;
    struct arena *arena;
    struct settings settings; /* defaults filled in */
    const struct scheduler *scheduler;
    struct sched_config *sched_config;
    struct schedule *schedule;
    int latent_height, latent_width;
    int width, height; /* of the finished picture: the settings', but for --mask-crop */
    /* Of the latents in one call of the denoiser: 2, [unconditional, conditional], where guidance > 1; 3 where it leads by way of a
     * picture, [unconditional, the picture alone, conditional]. */
    int copies;
    int pictures;                                 /* drawn at once; 1 as long as request_set_pictures has not said otherwise */
    struct prompt prompts[3];                     /* one for each copy, in that order … */
    int n_tokens[3];                              /* … and how long what is made of it is */
    const float *given_noise;                     /* --latents, [C,H,W], or NULL */
    struct request *then;                         /* the refiner's, which goes on where this one ends, or NULL */
    double from, to;                              /* of base and refiner: where in the noise schedule it begins or ends; 0: with it */
    const struct clip_bpe *tokenizers[TEXTS_MAX]; /* of each text encoder: the model's, or with the words of … */
    const struct embedding **embeddings;          /* … the settings' list */
    int n_loras;
    struct lora_use *loras;
    int n_controls;
    struct control_use *controls; /* ControlNets that lead it */
    int n_calls;                  /* of the denoiser by the schedule, before the refiner takes over */
    struct init *init;            /* the picture to begin from (init.h), or NULL */
    struct input_hashes {
        const char *image, *mask, *depth, *latents, *controls[CONTROLS_MAX];
    } inputs;       /* SHA-256 of the files it begins from or is led by; NULL: none, or standard input */
    bool snapshots; /* picture_snapshot will be called: set before request_plan */

    /* Device memory, of the request that model->prepared names. */
    uint64_t number;
    struct conditions given; /* of each copy */
    struct view input;  /* [copies*pictures,H,W,denoiser.in_channels], the pictures of a copy together: the latents' channels first, then
                           what the class put there */
    struct view temb;   /* a row for each of the schedule's: the denoiser's, then each ControlNet's */
    int denoiser_temb;  /* columns of the former */
    void *denoiser_run; /* the denoiser's own */
    size_t mark;        /* of the device's arena, behind all that */
};

/* *settings is copied, what it points to is not. */
struct request *request_open(struct arena *a, struct model *m, const struct settings *settings);
/* The refiner's rows too. */
static inline int request_rows(const struct request *r) {
    return r->schedule->n_rows + (r->then ? r->then->schedule->n_rows : 0);
}
/* Who makes pixels of the latents. */
static inline const struct request *request_decoder(const struct request *r) {
    return r->then ? r->then : r;
}

/* How many pictures drawing_open is given; request_plan and model_load come next. */
void request_set_pictures(struct request *r, int n);
/* Has the device been planned for such a request, and for nothing else since? */
bool request_is_planned(const struct request *r);
/* Plans its pictures on the model's device, unless the pictures before had its shape. */
void request_plan(struct request *r);
/* The same in the way that is said, for who wants to know what it would take; what it was planned for is lost. */
void request_plan_as(struct request *r, bool staged, bool tiled);
/* Computes what all pictures share, unless it is there; false if it was. */
bool request_prepare(struct request *r);
/* For a class's prepare: what the text encoders make of each copy's prompt, into r->given. */
void request_encode(struct request *r);
/* The i-th copy's part of that: [1,1,n_tokens[i],C], and [1,1,1,P] or none. */
static inline struct view request_context(const struct request *r, int i) {
    return view_tokens(view_images(r->given.context, i, 1), 0, r->n_tokens[i]);
}
static inline struct view request_pooled(const struct request *r, int i) {
    return r->given.pooled.p ? view_images(r->given.pooled, i, 1) : no_view;
}
/* Where --dump puts image k. */
const char *request_dump_dir(const struct request *r, struct arena *a, int k);

static inline size_t request_latent_count(const struct request *r) {
    return (size_t)r->model->channels * (size_t)r->latent_height * (size_t)r->latent_width;
}

/* Of the finished picture, in bytes or values. */
static inline size_t request_pixel_count(const struct request *r) {
    return (size_t)r->model->picture_channels * (size_t)r->width * (size_t)r->height;
}
/* Of what is decoded. */
static inline size_t request_drawn_count(const struct request *r) {
    return (size_t)r->model->picture_channels * (size_t)r->settings.width * (size_t)r->settings.height;
}

/* The rows of settings' scheduler and steps, from model_index.json and scheduler_config.json alone: for --show-schedule. *then: the
 * refiner's, which follow, or NULL. */
struct schedule *request_schedule(struct arena *a, const struct settings *settings, struct schedule **then);

#endif
