/* Denoising diffusion probabilistic models (Ho et al. 2020), (6) and (7), over the timesteps visited:
 *     x_next = sqrt(ᾱ_prev) β/(1-ᾱ) x0 + sqrt(α) (1-ᾱ_prev)/(1-ᾱ) x + s z,    α = ᾱ/ᾱ_prev, β = 1-α; no noise at t = 0
 * β is small and comes from f32 in diffusers: so it does here. s is planned, or learned: then the model predicts it. */
#include <math.h>
#include <string.h>

#include "schedulers/plan.h"

/* s; NaN for fixed_large_log, of whose logarithm diffusers takes the root. */
static double deviation(const char *variance_type, double small, double beta) {
    if (!strcmp(variance_type, "fixed_large")) return sqrt(beta);
    if (!strcmp(variance_type, "fixed_large_log")) return sqrt(log(beta));
    return sqrt(fmax(small, 1e-20));
}

/* Between the variances of fixed_small and fixed_large, for learned_range. */
static void plan_variance(struct sched_row *r, const char *variance_type, double small, double beta) {
    if (!strcmp(variance_type, "learned")) r->variance = VARIANCE_LEARNED;
    if (strcmp(variance_type, "learned_range")) return;
    r->variance = VARIANCE_RANGE;
    r->min_log = (float)log(fmax(small, 1e-20));
    r->max_log = (float)log(beta);
}

static void fill_row(const struct plan *p, struct sched_row *r, int64_t t, double alpha, double next) {
    double beta = (double)(1 - (float)alpha / (float)next), to_x0 = sqrt(next) * beta / (1 - alpha);
    double to_x = sqrt(1 - beta) * (1 - next) / (1 - alpha);
    struct form x0 = form_x0(plan_prediction(p), alpha);
    row_vp(r, (double)t, alpha);
    if (row_clip(r, p->config, x0)) {
        r->cd[0] = (float)to_x0;
        x0 = (struct form){0, 0};
    }
    r->cx = (float)(to_x0 * x0.x + to_x);
    r->ce = (float)(to_x0 * x0.e);
    r->noise = t > 0;
    double small = (1 - next) / (1 - alpha) * beta;
    plan_variance(r, p->config->variance_type, small, beta);
    if (r->noise) r->cz = r->variance ? 1 : (float)deviation(p->config->variance_type, small, beta);
}

static void plan(struct plan *p) {
    int n;
    plan_noise(p, false);
    double *t = space_timesteps(p, SPACING_WHOLE, p->T, &n);
    struct sched_row *rows = plan_rows(p, n, 1);
    p->schedule->history = p->config->thresholding || p->config->clip_sample;
    for (int i = p->skip; i < n; i++) {
        double next = i + 1 < n && t[i + 1] >= 0 ? alpha_at(p, (int64_t)t[i + 1]) : 1;
        fill_row(p, &rows[i - p->skip], (int64_t)t[i], alpha_at(p, (int64_t)t[i]), next);
    }
}

static const char *const names[] = {"ddpm", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2|sigmoid|laplace",
    "trained_betas=none",
    "variance_type=fixed_small|fixed_small_log|fixed_large|fixed_large_log|learned|learned_range",
    "clip_sample=true",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "clip_sample_range=1",
    "sample_max_value=1",
    "timestep_spacing=leading|linspace|trailing",
    "steps_offset=0",
    "rescale_betas_zero_snr=false",
    NULL,
};
const struct scheduler ddpm_scheduler = {
    .class_name = "DDPMScheduler",
    .sampler = "DDPM",
    .names = names,
    .summary = "the training process run backwards: fresh noise in every step, best with many",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
