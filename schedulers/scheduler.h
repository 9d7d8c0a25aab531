/* A scheduler is a table of numbers: it plans all rows before the loop and never sees a tensor.
 *
 * With x the latents, e the guided model output at (in_scale * x, t), z fresh noise, d[] past values (newest first) and
 * s one saved sample, a row does
 *
 *     v      = clip(dx*x + de*e)
 *     if push: v becomes d[0], older values move up           (otherwise v is d[0] for this row only, nothing moves)
 *     s      = ax*x + as*s + sum ad[k]*d[k]                   if save
 *     x_next = cx*x + ce*e + cs*s + sum cd[k]*d[k] + cz*z     with the new s; cz*u*z where the model predicts u
 *     then the newest `drop` values of d are forgotten
 *
 * A row that reads stored values pushes, and drops again where v is not to stay. Coefficients are computed in double
 * and applied in f32. The one number not planned is u, elementwise: the deviation DDPM's models of a learned variance
 * predict. */
#ifndef SCHEDULERS_SCHEDULER_H
#define SCHEDULERS_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/base/arena.h"

enum { SCHED_HISTORY = 5 };

/* FIXED: to [-clip_value, clip_value]; QUANTILE: dynamic thresholding (Saharia et al. 2022). */
enum sched_clip { CLIP_NONE, CLIP_FIXED, CLIP_QUANTILE };

/* u from the p that the model gives in its second C channels (Nichol & Dhariwal 2021, 3.1). LEARNED: sqrt(p);
 * RANGE: exp of half the mix of min_log and max_log, of which p from -1 to 1 says how much is max_log. */
enum sched_variance { VARIANCE_PLANNED, VARIANCE_LEARNED, VARIANCE_RANGE };

struct sched_row {
    float t;        /* what the time embedding receives; may be fractional */
    float sigma;    /* noise level of x before the row, for display: sqrt((1-ᾱ)/ᾱ) */
    float in_scale; /* model input = in_scale * x */
    bool noise;     /* z is drawn for this row, even where cz is 0: the generator moves on as diffusers' does */
    bool push, save;
    int drop;
    enum sched_clip clip;
    float clip_value;             /* FIXED: the range; QUANTILE: the largest threshold (sample_max_value) */
    float clip_quantile;          /* QUANTILE: dynamic_thresholding_ratio */
    enum sched_variance variance; /* the same in every row */
    float min_log, max_log;       /* RANGE */
    float dx, de;
    float ax, as, ad[SCHED_HISTORY];
    float cx, ce, cs, cd[SCHED_HISTORY], cz;
    float add_x, add_z;   /* add_noise at this row's t: noised = add_x * clean + add_z * noise (image to image) */
    float keep_x, keep_z; /* what inpainting keeps after this row: the next row's add_x and add_z, after the last the clean picture */
};

struct json;

struct schedule {
    const struct scheduler *scheduler;
    int n_steps;            /* as asked */
    int n_rows;             /* model calls; PNDM and second-order methods make more than n_steps */
    struct sched_row *rows; /* in the caller's arena */
    float init_noise_sigma; /* x_0 = init_noise_sigma * noise */
    int history;            /* depth of d[] the rows use, 0..SCHED_HISTORY; at least 1 where v is used */
    bool saves;             /* any row keeps s */
    int order;              /* model calls per full step, as diffusers' .order: image to image skips t_start*order rows */
    float *sigmas;          /* diffusers' .sigmas: n_sigmas noise levels, the final one included; NULL for schedulers without */
    int n_sigmas;
};

/* Everything diffusers' schedulers read, after class defaults, the checkpoint's JSON and the user's overrides. One
 * struct for all: a scheduler reads the fields its class has. */
struct sched_config;
struct plan;

struct scheduler {
    const char *class_name;     /* "PNDMScheduler" */
    const char *sampler;        /* A1111's name for it, or the one its forks gave what it lacks: "DPM++ 2M" */
    const char *sampler_sde[2]; /* the same with the SDE of DPM-Solver++, of order 2 and 3; NULL where there is no such option */
    const char *const *names;   /* NULL-terminated: short name first, then the names people type in A1111 and ComfyUI */
    const char *summary;        /* one line for --list schedulers */
    const char *model_calls;    /* for n steps: "n", "n + 1", "2n - 1" */
    /* NULL-terminated: what its constructor and step() take, "key=default" or "key=default|other|other" where only
     * these are allowed */
    const char *const *options;
    void (*plan)(struct plan *p); /* schedulers/plan.h; dies FAIL_UNSUPPORTED for combinations diffusers rejects */
};

extern const struct scheduler *const schedulers[]; /* NULL-terminated */

/* By class name, short name or alias, case-insensitive, "-", "_", "+" and blanks counting alike; NULL if unknown. */
const struct scheduler *scheduler_find(const char *name);
/* The nearest known name to `name` for "did you mean", or NULL. */
const char *scheduler_suggest(const char *name);

/* The class that `path`, a checkpoint's file, names; NULL for one of diffusers' that we do not run, where it is only there to be swapped.
 * Dies FAIL_DATA (name NULL), FAIL_UNSUPPORTED. */
const struct scheduler *scheduler_of_class(const char *name, const char *path, bool swapped);

/* "NAME[,key=value…]" as people write it who come from A1111, ComfyUI, sd-cli or diffusers: "DPM++ 2M Karras", "dpmpp_2m_sde_gpu",
 * "EulerDiscrete". text: the same as -x takes it (",karras" where it names noise levels alone); NULL where there is none: then hint, or
 * NULL, says what is near. known: somebody's name; false: a misspelling. */
struct scheduler_words {
    bool known;
    const char *text, *hint;
};
struct scheduler_words scheduler_translate(struct arena *a, const char *words);
/* Whether the scheduler that text names, "NAME[,key=value…]", has the option: "key=value", or a bare "karras". */
bool scheduler_has_option(struct arena *a, const char *text, const char *option);

/* The scheduler somebody chose, as -x takes it: "NAME,key=value…", or ':' for ','; the name may be empty for the checkpoint's own. */
enum { SCHED_OVERRIDES_MAX = 32 };
struct sched_choice {
    const struct scheduler *target; /* NULL: the checkpoint's own */
    const char *overrides[SCHED_OVERRIDES_MAX + 1];
};
/* text NULL: nothing was chosen. Dies FAIL_USAGE. */
struct sched_choice sched_choice_parse(struct arena *a, const char *text);

/* What the pipeline's constructor does to a stored scheduler config before any swap (diffusers mutates it). */
enum sched_fixup {
    FIXUP_NONE,
    FIXUP_STABLE_DIFFUSION, /* steps_offset 1, clip_sample false; image to image, too */
    FIXUP_INPAINT,          /* steps_offset 1, skip_prk_steps true; clip_sample stays */
};

/* Reads a scheduler_config.json (object `stored`, from file `path` for messages) as diffusers would build it:
 *   class_name:  the class model_index.json names, whichever wrote the file; NULL: the file's own _class_name;
 *   target NULL: that class, with class defaults for absent keys and the pipeline's fix-ups;
 *   target set:  target.from_config(pipe.scheduler.config): keys absent from the JSON take the new class's defaults.
 * overrides: NULL-terminated "key=value" strings applied last; a bare "karras", "exponential", "beta" or "lu" asks for
 * those sigmas. May be NULL. All values are range-checked (FAIL_DATA / FAIL_UNSUPPORTED / FAIL_USAGE). *scheduler
 * receives the class to plan with. */
struct sched_config *sched_config_load(struct arena *a, const struct json *stored, const char *path, const char *class_name,
                                       const struct scheduler *target, enum sched_fixup fixup, const char *const *overrides,
                                       const struct scheduler **scheduler);

/* What a pipeline passes to step(): eta, for the classes that take it. An override "eta=" stays. */
void sched_config_set_eta(struct sched_config *config, double eta);
/* What a consistency model's pipeline passes to set_timesteps(): of a picture to begin from, strength cuts the steps the model was
 * distilled at, not those asked for. False: the class knows no such thing. */
bool sched_config_set_strength(struct sched_config *config, double strength);
int sched_config_train_timesteps(const struct sched_config *config);
const char *sched_config_prediction_type(const struct sched_config *config);
/* What A1111 calls the sampler with these options (the class's own name where it has no word for them), and its schedule type: "Karras",
 * "Exponential", "Beta", or NULL for its default. */
const char *sched_config_sampler(const struct sched_config *config, const struct scheduler *scheduler);
const char *sched_config_schedule_type(const struct sched_config *config);
/* Where each option of the class came from, for -v: "inherited", "default", "option"; NULL where the class has no such
 * option. */
const char *sched_config_origin(const struct sched_config *config, const char *key);

/* Plans n_steps (1..num_train_timesteps, else FAIL_USAGE). Every coefficient is finite, or it dies FAIL_UNSUPPORTED. */
struct schedule *schedule_plan(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, int n_steps);
/* The same without the first skip_steps steps (skip_steps * order rows), for image to image: multistep methods start
 * without a history there, though some go on counting steps from the true beginning. rows[0].add_x, .add_z noise the
 * clean image. */
struct schedule *schedule_plan_from(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, int n_steps,
                                    int skip_steps);

#endif
