/* Latent consistency models (Luo et al. 2023): each call gives a clean image c, to which noise of the next level is
 * added; the last step ends with c:
 *     x_next = sqrt(ᾱ_next) c + sqrt(1-ᾱ_next) z,    c = c_out x0 + c_skip x */
#include <math.h>

#include "engine/base/error.h"
#include "schedulers/consistency.h"

int64_t *consistency_timesteps(const struct plan *p) {
    int n = p->n_steps, original = p->config->original_inference_steps;
    if (original > p->T) plan_refuse(p, "original_inference_steps: expected at most num_train_timesteps = %d, found %d", p->T, original);
    int kept = p->config->strength > 0 ? (int)(original * p->config->strength) : original;
    if (n > kept)
        die(FAIL_USAGE, "--steps: expected %s%d for this scheduler (original_inference_steps%s), found %d", kept > 1 ? "1 to " : "", kept,
            kept < original ? " x strength" : "", n);
    int64_t *t = arena_array(p->arena, (size_t)n, sizeof *t), spacing = p->T / original;
    for (int i = 0; i < n; i++) t[i] = (kept - (int64_t)floor(i * ((double)kept / n))) * spacing - 1;
    return t;
}

static void fill_row(const struct plan *p, struct sched_row *r, int64_t t, double next, bool last) {
    const double sigma_data = 0.5;
    double alpha = alpha_at(p, t), scaled = (double)t * p->config->timestep_scaling, sum = scaled * scaled + sigma_data * sigma_data;
    double c_skip = sigma_data * sigma_data / sum, c_out = scaled / sqrt(sum), scale = last ? 1 : sqrt(next);
    struct form x0 = form_x0(plan_prediction(p), alpha);
    row_vp(r, (double)t, alpha);
    if (row_clip(r, p->config, x0)) {
        r->cd[0] = (float)(scale * c_out);
        x0 = (struct form){0, 0};
    }
    r->cx = (float)(scale * (c_out * x0.x + c_skip));
    r->ce = (float)(scale * c_out * x0.e);
    r->noise = !last;
    r->cz = last ? 0 : (float)sqrt(1 - next);
}

static void plan(struct plan *p) {
    plan_noise(p, false);
    int64_t *t = consistency_timesteps(p);
    struct sched_row *rows = plan_rows(p, p->n_steps, 1);
    p->schedule->history = p->config->thresholding || p->config->clip_sample;
    for (int i = p->skip; i < p->n_steps; i++) {
        bool last = i == p->n_steps - 1;
        fill_row(p, &rows[i - p->skip], t[i], last ? 1 : alpha_at(p, t[i + 1]), last);
    }
}

static const char *const names[] = {"lcm", NULL};
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
    NULL,
};
const struct scheduler lcm_scheduler = {
    .class_name = "LCMScheduler",
    .sampler = "LCM",
    .names = names,
    .summary = "for latent consistency models: 1 to 8 steps",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
