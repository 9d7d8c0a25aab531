/* DPM-Solver-2 in σ as k-diffusion has it: the derivative at the start leads to a middle level, the derivative there
 * over the whole step; the last step, to σ = 0, is Euler's. The ancestral form steps to σ_down and adds noise up to the
 * next level again. */
#include <math.h>

#include "schedulers/plan.h"

struct stage {
    double middle, end, up;
};

/* The middle is the geometric mean of start and end; 0 in the last step. */
static struct stage stage_at(const float *sigmas, int i, int n, bool ancestral) {
    float end = sigmas[i + 1], up = 0;
    if (ancestral) {
        struct ancestral a = ancestral_levels(sigmas[i], end);
        end = a.down;
        up = a.up;
    }
    if (i == n - 1) return (struct stage){0, 0, 0};
    return (struct stage){(double)expf((logf(sigmas[i]) + logf(end)) / 2), (double)end, (double)up};
}

static void plan_stages(struct plan *p, bool ancestral) {
    plan_noise(p, false);
    struct levels l = sigma_levels(p);
    for (int i = 0; p->config->use_karras_sigmas && i < l.n; i++) l.t[i] = nearbyint(l.t[i]);
    const float *sigmas = plan_sigmas(p, &l, 0);
    p->schedule->init_noise_sigma = sigma_init_noise(p);
    int total = 2 * l.n - 1;
    struct sched_row *rows = plan_rows(p, total, 2);
    for (int j = p->skip; j < total; j++) {
        struct sched_row *r = &rows[j - p->skip];
        int i = j / 2;
        struct stage s = stage_at(sigmas, i, l.n, ancestral);
        double sigma = (double)sigmas[i], here = j % 2 ? s.middle : sigma, step = (j % 2 ? s.end : s.middle) - sigma;
        if (here == 0) plan_refuse(p, "%d steps lead to a level of 0 amid a step, where diffusers divides by it", p->n_steps);
        struct form d = form_derivative(plan_prediction(p), here, here);
        row_sigma(r, j % 2 ? sigma_to_t(p, s.middle) : l.t[i], here);
        if (j % 2) r->add_z = sigmas[i + 1]; /* diffusers' add_noise looks at the listed level, not at the middle one x is at */
        r->save = j % 2 == 0;
        r->ax = j % 2 ? 0 : 1;
        r->cs = j % 2 ? 1 : 0;
        r->cx = (float)((j % 2 ? 0 : 1) + step * d.x);
        r->ce = (float)(step * d.e);
        r->noise = ancestral && j % 2;
        r->cz = r->noise ? (float)s.up : 0;
    }
    plan_sigmas_twice(p, 3);
}

static void plan(struct plan *p) {
    plan_stages(p, false);
}
static void plan_ancestral(struct plan *p) {
    plan_stages(p, true);
}

static const char *const names[] = {"kdpm2", "dpm2", "k_dpm_2", NULL};
static const char *const ancestral_names[] = {"kdpm2_a", "dpm2 a", "k_dpm_2_a", "k_dpm_2_ancestral", "dpm_2_ancestral", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.00085",
    "beta_end=0.012",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "prediction_type=epsilon|v_prediction",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    NULL,
};
const struct scheduler kdpm2_scheduler = {
    .class_name = "KDPM2DiscreteScheduler",
    .sampler = "DPM2",
    .names = names,
    .summary = "second order by a model call in the middle of each step",
    .model_calls = "2n - 1",
    .options = options,
    .plan = plan,
};
const struct scheduler kdpm2_ancestral_scheduler = {
    .class_name = "KDPM2AncestralDiscreteScheduler",
    .sampler = "DPM2 a",
    .names = ancestral_names,
    .summary = "the same with fresh noise in every step",
    .model_calls = "2n - 1",
    .options = options,
    .plan = plan_ancestral,
};
