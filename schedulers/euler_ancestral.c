/* Euler's method down to σ_down and fresh noise up to the next level again (k-diffusion's ancestral sampling):
 *     x_next = x + (σ_down - σ) dx/dσ + σ_up z,    σ_up² = σ_next² (σ² - σ_next²) / σ²,    σ_down² = σ_next² - σ_up² */
#include <math.h>

#include "schedulers/plan.h"

static void plan(struct plan *p) {
    plan_noise(p, true);
    struct levels l = sigma_levels(p);
    const float *sigmas = plan_sigmas(p, &l, 0);
    p->schedule->init_noise_sigma = sigma_init_noise(p);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        double sigma = (double)sigmas[i];
        struct form d = form_derivative(plan_prediction(p), sigma, sigma);
        struct ancestral a = ancestral_levels(sigmas[i], sigmas[i + 1]);
        double step = (double)a.down - sigma;
        row_sigma(r, l.t[i], sigma);
        r->cx = (float)(1 + step * d.x);
        r->ce = (float)(step * d.e);
        r->cz = a.up;
        r->noise = true; /* in the last row too, where it counts for nothing */
    }
}

static const char *const names[] = {"euler_a", "euler ancestral", "k_euler_a", "k_euler_ancestral", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "prediction_type=epsilon|v_prediction",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    "rescale_betas_zero_snr=false",
    NULL,
};
const struct scheduler euler_ancestral_scheduler = {
    .class_name = "EulerAncestralDiscreteScheduler",
    .sampler = "Euler a",
    .names = names,
    .summary = "Euler with fresh noise in every step: varied, and never settling as steps grow",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
