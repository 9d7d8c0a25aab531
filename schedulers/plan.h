/* What the schedulers share: the noise schedule, spacings of timesteps and noise levels, and the algebra of a model's
 * output. Inside schedulers/ only. Numbers are double, except where diffusers' own f32 tables decide the result. */
#ifndef SCHEDULERS_PLAN_H
#define SCHEDULERS_PLAN_H

#include <math.h>
#include <stdint.h>
#include "schedulers/config.h"
#include "schedulers/scheduler.h"

struct plan {
    struct arena *arena;
    struct schedule *schedule;
    const struct sched_config *config;
    int n_steps;
    int skip_steps;        /* steps left out at the front */
    int skip;              /* … in rows, once plan_rows knows */
    int T;                 /* num_train_timesteps */
    float *alphas_cumprod; /* [T] ᾱ, falling */
    float *sigmas;         /* [T] sqrt((1-ᾱ)/ᾱ), rising */
    bool karras_unbounded; /* its Karras levels look at no sigma_min and sigma_max of the config */
};

/* Of the i-th of [T], in f32 as diffusers has it. */
static inline float log_sigma_at(const struct plan *p, int i) {
    return logf(p->sigmas[i]);
}

_Noreturn void plan_refuse(const struct plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- noise_schedule.c -------------------------------------------------------------------------------------------- */

/* Fills the tables. With rescale_betas_zero_snr the last ᾱ is 0; `floor` makes it 2^-24, as the schedulers that divide
 * by it do. */
void plan_noise(struct plan *p, bool floor);
/* ᾱ at timestep t; negative t count from the end as in Python. Dies where diffusers' look-up fails. */
double alpha_at(const struct plan *p, int64_t t);
/* 1 if set_alpha_to_one, else ᾱ[0]. */
double final_alpha(const struct plan *p);

/* ---- spacing.c --------------------------------------------------------------------------------------------------- */

enum spacing {
    SPACING_WHOLE,    /* n points, rounded: DDPM, DDIM, PNDM */
    SPACING_FRACTION, /* n points, linspace left fractional and rounded to f32: the σ-space schedulers */
    SPACING_INNER,    /* the upper n of n + 1 points, rounded: multistep solvers, which never reach timestep 0 */
};
/* Timesteps by config.timestep_spacing, falling; *n receives their number: numpy's arange makes one more than asked for
 * some n. last: the number of training timesteps to spread over. */
double *space_timesteps(const struct plan *p, enum spacing spacing, int last, int *n);

struct levels {
    int n;
    double *t, *sigma; /* [n] falling */
};
/* sigma[i] = the table at t[i], between its entries linear. */
void levels_interpolate(const struct plan *p, struct levels *l);
/* Replaces levels by the Karras, exponential or beta ones where the config asks for them; true if so. They lie between
 * sigma_max and sigma_min, or the config's, which any class obeys that finds them in the JSON. */
bool levels_convert(const struct plan *p, struct levels *l, double sigma_max, double sigma_min);
/* Even steps of log σ (Lu et al. 2022), where use_lu_lambdas is set; true if so. */
bool levels_lu(const struct plan *p, struct levels *l);
/* The levels of the σ-space schedulers: spacing, table, conversion over their own range. */
struct levels sigma_levels(const struct plan *p);
/* The levels of the multistep solvers: n of n + 1 points, or a conversion over the whole table, whose timesteps are
 * whole: rounded where `round` (Karras and lu levels only), else cut off. */
struct levels solver_levels(const struct plan *p, int last, bool round);
/* The fractional timestep whose σ is `sigma`. */
double sigma_to_t(const struct plan *p, double sigma);
/* final_sigmas_type: 0, or the σ of timestep 0. */
double final_sigma(const struct plan *p);
/* schedule->sigmas = l's n levels in f32 and `last`. */
float *plan_sigmas(const struct plan *p, const struct levels *l, double last);
/* Schedulers of two model calls a step list each level between first and last twice, and the last `last_times`. */
void plan_sigmas_twice(const struct plan *p, int last_times);

/* ---- scheduler.c ------------------------------------------------------------------------------------------------- */

/* rows[0 .. total - skip): returns schedule->rows after setting its size, each row x_next = 0, in_scale 1. */
struct sched_row *plan_rows(struct plan *p, int total, int order);
/* A linear form x*x + e*e of sample and model output. */
struct form {
    double x, e;
};
enum prediction { PREDICT_EPSILON, PREDICT_V, PREDICT_SAMPLE };
enum prediction plan_prediction(const struct plan *p);
/* Clean image and noise from x = sqrt(ᾱ) x0 + sqrt(1-ᾱ) eps. */
struct form form_x0(enum prediction kind, double alpha);
struct form form_eps(enum prediction kind, double alpha);
/* dx/dσ = (x - x0)/sigma_hat in x = x0 + σ eps, for x already at sigma_hat (σ where no noise was added). */
struct form form_derivative(enum prediction kind, double sigma, double sigma_hat);
/* t, display σ, add_noise of variance preserving rows. */
void row_vp(struct sched_row *r, double t, double alpha);
/* The same, and in_scale, of σ-space rows. */
void row_sigma(struct sched_row *r, double t, double sigma);
/* v = clip(form) as config's thresholding or clip_sample say; false, and nothing set, where neither does. */
bool row_clip(struct sched_row *r, const struct sched_config *c, struct form x0);
/* gamma of Euler's methods: the noise put back before a row at level sigma makes it σ (1 + gamma). */
double churn_at(const struct plan *p, double sigma);
/* Levels of an ancestral step, in the f32 arithmetic they have in diffusers: NaN where that is. */
struct ancestral {
    float up, down;
};
struct ancestral ancestral_levels(float sigma, float next);
/* x_0 = noise at the first level: σ_max where the spacing starts at the end, else sqrt(σ_max² + 1). */
float sigma_init_noise(const struct plan *p);

#endif
