/* Trajectory consistency distillation (Zheng et al. 2024): a call leads along the trajectory to y at timestep
 * s = (1-eta) t_next, from where noise leads back up to t_next; the last step ends with y:
 *     y = sqrt(ᾱ_s) x0 + sqrt(1-ᾱ_s) eps,    x_next = sqrt(ᾱ_next/ᾱ_s) y + sqrt(1 - ᾱ_next/ᾱ_s) z */
#include <math.h>

#include "schedulers/consistency.h"

static void fill_row(const struct plan *p, struct sched_row *r, int64_t t, int64_t next_t, bool last) {
    double eta = p->config->eta, alpha = alpha_at(p, t), next = alpha_at(p, next_t);
    double s = alpha_at(p, (int64_t)floorf((float)(1 - eta) * (float)next_t));
    struct form x0 = form_x0(plan_prediction(p), alpha), eps = form_eps(plan_prediction(p), alpha);
    bool noisy = eta > 0 && !last;
    double scale = noisy ? sqrt(next / s) : 1;
    row_vp(r, (double)t, alpha);
    r->cx = (float)(scale * (sqrt(s) * x0.x + sqrt(1 - s) * eps.x));
    r->ce = (float)(scale * (sqrt(s) * x0.e + sqrt(1 - s) * eps.e));
    r->noise = noisy;
    r->cz = noisy ? (float)sqrt(1 - next / s) : 0;
}

static void plan(struct plan *p) {
    plan_noise(p, false);
    int64_t *t = consistency_timesteps(p);
    struct sched_row *rows = plan_rows(p, p->n_steps, 1);
    for (int i = p->skip; i < p->n_steps; i++) {
        bool last = i == p->n_steps - 1;
        fill_row(p, &rows[i - p->skip], t[i], last ? 0 : t[i + 1], last);
    }
}

static const char *const names[] = {"tcd", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.00085",
    "beta_end=0.012",
    "beta_schedule=scaled_linear|linear|squaredcos_cap_v2",
    "trained_betas=none",
    "original_inference_steps=50",
    "clip_sample=false",
    "clip_sample_range=1",
    "set_alpha_to_one=true",
    "steps_offset=0",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "sample_max_value=1",
    "timestep_spacing=leading|trailing|linspace",
    "timestep_scaling=10",
    "rescale_betas_zero_snr=false",
    "eta=0.3",
    NULL,
};
const struct scheduler tcd_scheduler = {
    .class_name = "TCDScheduler",
    .sampler = "TCD",
    .names = names,
    .summary = "for trajectory consistency distilled models: few steps, noise by eta",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
