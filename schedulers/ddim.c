/* Denoising diffusion implicit models (Song et al. 2020), (12) and (16):
 *     x_next = sqrt(ᾱ_prev) x0 + sqrt(1 - ᾱ_prev - s²) eps + s z,    s = eta sqrt((1 - ᾱ_prev)/(1 - ᾱ) (1 - ᾱ/ᾱ_prev))
 * x0 may be clipped; eps is then still the unclipped one unless use_clipped_model_output. */
#include <math.h>

#include "schedulers/plan.h"

static void fill_row(const struct plan *p, struct sched_row *r, int64_t t) {
    const struct sched_config *c = p->config;
    int64_t previous = t - p->T / p->n_steps; /* whatever the spacing */
    double alpha = alpha_at(p, t), next = previous >= 0 ? alpha_at(p, previous) : final_alpha(p);
    double beta = (double)(1 - (float)alpha / (float)next); /* cancels, and so has diffusers' f32 error */
    double s = c->eta * sqrt((1 - next) / (1 - alpha) * beta);
    double rest = 1 - next - s * s; /* with eta <= 1 below 0 by rounding alone */
    double to_x0 = sqrt(next), to_eps = sqrt(c->eta <= 1 ? fmax(rest, 0) : rest);
    struct form x0 = form_x0(plan_prediction(p), alpha), eps = form_eps(plan_prediction(p), alpha);

    row_vp(r, (double)t, alpha);
    if (row_clip(r, c, x0)) {
        if (c->use_clipped_model_output) { /* eps = (x - sqrt(ᾱ) x0) / sqrt(1 - ᾱ) of the clipped x0 */
            eps = (struct form){1 / sqrt(1 - alpha), 0};
            to_x0 -= to_eps * sqrt(alpha) / sqrt(1 - alpha);
        }
        r->cd[0] = (float)to_x0;
        x0 = (struct form){0, 0};
    }
    r->cx = (float)(to_x0 * x0.x + to_eps * eps.x);
    r->ce = (float)(to_x0 * x0.e + to_eps * eps.e);
    r->noise = c->eta > 0;
    r->cz = (float)s;
}

static void plan(struct plan *p) {
    int n;
    plan_noise(p, false);
    double *t = space_timesteps(p, SPACING_WHOLE, p->T, &n);
    struct sched_row *rows = plan_rows(p, n, 1);
    p->schedule->history = p->config->thresholding || p->config->clip_sample;
    for (int i = p->skip; i < n; i++) fill_row(p, &rows[i - p->skip], (int64_t)t[i]);
}

static const char *const names[] = {"ddim", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "clip_sample=true",
    "set_alpha_to_one=true",
    "steps_offset=0",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "clip_sample_range=1",
    "sample_max_value=1",
    "timestep_spacing=leading|trailing|linspace",
    "rescale_betas_zero_snr=false",
    "eta=0",
    "use_clipped_model_output=false",
    NULL,
};
const struct scheduler ddim_scheduler = {
    .class_name = "DDIMScheduler",
    .sampler = "DDIM",
    .names = names,
    .summary = "implicit sampler, deterministic at eta 0 and as noisy as DDPM at eta 1",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
