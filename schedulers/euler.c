/* Euler's method in σ (Karras et al. 2022, algorithm 2 without its correction):
 *     x̂ = x + s_noise sqrt(σ̂² - σ²) z,    x_next = x̂ + (σ_next - σ̂) dx/dσ,    σ̂ = σ (1 + gamma) */
#include <math.h>
#include <string.h>

#include "schedulers/plan.h"

static void fill_row(const struct plan *p, struct sched_row *r, double t, double sigma, double next) {
    double gamma = churn_at(p, sigma), hat = (double)((float)sigma * (float)(gamma + 1));
    struct form d = form_derivative(plan_prediction(p), sigma, hat);
    double churn = p->config->s_noise * sqrt(fmax(hat * hat - sigma * sigma, 0)), step = next - hat;
    row_sigma(r, t, sigma);
    r->noise = gamma > 0;
    r->cx = (float)(1 + step * d.x);
    r->ce = (float)(step * d.e);
    r->cz = gamma > 0 ? (float)(churn * (1 + step * d.x)) : 0;
}

/* interpolation_type log_linear: n + 1 levels, even in log σ, over the whole table. The timesteps stay as spaced. */
static void interpolate_log(const struct plan *p, struct levels *l) {
    int n = p->n_steps + 1;
    float from = log_sigma_at(p, p->T - 1), to = log_sigma_at(p, 0), step = (to - from) / (float)(n - 1);
    double *t = arena_array(p->arena, (size_t)n, sizeof *t);
    memcpy(t, l->t, sizeof *t * (size_t)(l->n < n ? l->n : n));
    *l = (struct levels){n, t, arena_array(p->arena, (size_t)n, sizeof(double))};
    for (int i = 0; i < n; i++) l->sigma[i] = (double)expf(i < n / 2 ? fmaf(step, (float)i, from) : fmaf(-step, (float)(n - 1 - i), to));
}

static void plan(struct plan *p) {
    const struct sched_config *c = p->config;
    plan_noise(p, true);
    struct levels l;
    l.t = space_timesteps(p, SPACING_FRACTION, p->T, &l.n);
    int n = l.n;
    if (strcmp(c->interpolation_type, "linear")) interpolate_log(p, &l);
    else levels_interpolate(p, &l);
    if (levels_convert(p, &l, l.sigma[0], l.sigma[l.n - 1])) n = l.n;
    const float *sigmas = plan_sigmas(p, &l, final_sigma(p));
    p->schedule->init_noise_sigma = sigma_init_noise(p);
    bool continuous = !strcmp(c->timestep_type, "continuous") && plan_prediction(p) == PREDICT_V;
    struct sched_row *rows = plan_rows(p, n, 1);
    for (int i = p->skip; i < n; i++) {
        double sigma = (double)sigmas[i];
        fill_row(p, &rows[i - p->skip], continuous ? 0.25 * log(sigma) : l.t[i], sigma, (double)sigmas[i + 1]);
    }
}

static const char *const names[] = {"euler", "k_euler", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "prediction_type=epsilon|v_prediction|sample|original_sample",
    "interpolation_type=linear|log_linear",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "sigma_min=none",
    "sigma_max=none",
    "timestep_spacing=linspace|leading|trailing",
    "timestep_type=discrete|continuous",
    "steps_offset=0",
    "rescale_betas_zero_snr=false",
    "final_sigmas_type=zero|sigma_min",
    "s_churn=0",
    "s_tmin=0",
    "s_tmax=inf",
    "s_noise=1",
    NULL,
};
const struct scheduler euler_scheduler = {
    .class_name = "EulerDiscreteScheduler",
    .sampler = "Euler",
    .names = names,
    .summary = "one Euler step of the probability flow each; with s_churn some noise is put back",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
