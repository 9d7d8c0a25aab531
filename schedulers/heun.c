/* Heun's method in σ (Karras et al. 2022, algorithm 1): an Euler step, the derivative where it leads, and the mean of
 * both; the last step, to σ = 0, is Euler's alone. The ring keeps the first stage's derivative or, where the clean
 * image is clipped, that image. */
#include <math.h>

#include "schedulers/plan.h"

/* x0 = x - σ dx/dσ */
static struct form x0_at(const struct plan *p, double sigma) {
    struct form d = form_derivative(plan_prediction(p), sigma, sigma);
    return (struct form){1 - sigma * d.x, -sigma * d.e};
}

static void fill_first(struct sched_row *r, bool clipped, double sigma, double step) {
    r->save = true;
    r->ax = 1;
    r->cx = (float)(clipped ? 1 + step / sigma : 1);
    r->cd[0] = (float)(clipped ? -step / sigma : step);
}

/* s is the first stage's x, d[1] its value; this stage is at level `next`. */
static void fill_second(struct sched_row *r, bool clipped, double sigma, double next, double step) {
    r->cs = (float)(clipped ? 1 + step / 2 / sigma : 1);
    r->cx = (float)(clipped ? step / 2 / next : 0);
    r->cd[0] = (float)(clipped ? -step / 2 / next : step / 2);
    r->cd[1] = (float)(clipped ? -step / 2 / sigma : step / 2);
    r->drop = 2;
}

static void plan(struct plan *p) {
    plan_noise(p, false);
    struct levels l = sigma_levels(p);
    const float *sigmas = plan_sigmas(p, &l, 0);
    p->schedule->init_noise_sigma = sigma_init_noise(p);
    p->schedule->history = 2;
    int total = 2 * l.n - 1;
    struct sched_row *rows = plan_rows(p, total, 2);
    for (int j = p->skip; j < total; j++) {
        struct sched_row *r = &rows[j - p->skip];
        double sigma = (double)sigmas[j / 2], next = (double)sigmas[j / 2 + 1], here = j % 2 ? next : sigma;
        row_sigma(r, l.t[(j + 1) / 2], here);
        r->push = true;
        bool clipped = row_clip(r, p->config, x0_at(p, here));
        if (!clipped) {
            struct form d = form_derivative(plan_prediction(p), here, here);
            r->dx = (float)d.x;
            r->de = (float)d.e;
        }
        if (j % 2) fill_second(r, clipped, sigma, next, next - sigma);
        else fill_first(r, clipped, sigma, next - sigma);
    }
    plan_sigmas_twice(p, 1);
}

static const char *const names[] = {"heun", "k_heun", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000", "beta_start=0.00085",
    "beta_end=0.012",           "beta_schedule=linear|scaled_linear|squaredcos_cap_v2|exp",
    "trained_betas=none",       "prediction_type=epsilon|v_prediction|sample",
    "use_karras_sigmas=false",  "use_exponential_sigmas=false",
    "use_beta_sigmas=false",    "clip_sample=false",
    "clip_sample_range=1",      "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",           NULL,
};
const struct scheduler heun_scheduler = {
    .class_name = "HeunDiscreteScheduler",
    .sampler = "Heun",
    .names = names,
    .summary = "second order by two model calls a step",
    .model_calls = "2n - 1",
    .options = options,
    .plan = plan,
};
