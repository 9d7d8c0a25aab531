/* DPM-Solver and DPM-Solver++, multistep: orders 1 to 3 over past values, deterministic or with fresh noise in every
 * step. */
#include <math.h>
#include <string.h>

#include "schedulers/dpm.h"

static double lambda_gap(const float *sigmas, int i, int j) { /* λ_j - λ_i */
    return log((double)sigmas[i]) - log((double)sigmas[j]);
}

int dpm_multistep_order(const struct plan *p, int i, int n, int stored) {
    const struct sched_config *c = p->config;
    bool few = c->lower_order_final && n < 15;
    bool first_order_last = c->euler_at_final || few || !strcmp(c->final_sigmas_type, "zero");
    int most = i == n - 1 && first_order_last ? 1 : i == n - 2 && few ? 2 : 3, order = c->solver_order;
    order = order < most ? order : most;
    return order < stored ? order : stored;
}

void dpm_multistep_row(const struct plan *p, struct sched_row *r, enum dpm_algorithm a, enum dpm_space space, int i, int order) {
    const float *sigmas = p->schedule->sigmas;
    struct dpm_step s = dpm_step(a, space, (double)sigmas[i], (double)sigmas[i + 1]);
    double m0 = s.value, m1 = 0, m2 = 0, h = order > 1 ? lambda_gap(sigmas, i, i + 1) : 1;
    if (order == 2) { /* D1 = (m0 - m1) / r0 */
        double r0 = lambda_gap(sigmas, i - 1, i) / h;
        double d1 = (strcmp(p->config->solver_type, "heun") ? s.value / 2 : s.slope) / r0;
        m0 += d1;
        m1 -= d1;
    } else if (order == 3) { /* D1 = g0 + r0 D2, D2 = (g0 - g1) / (r0 + r1), g_k the divided differences */
        double r0 = lambda_gap(sigmas, i - 1, i) / h, r1 = lambda_gap(sigmas, i - 2, i - 1) / h;
        double d2 = (s.slope * r0 + s.curve) / (r0 + r1), g0 = (s.slope + d2) / r0, g1 = -d2 / r1;
        m0 += g0;
        m1 += g1 - g0;
        m2 -= g1;
    }
    r->cx = (float)s.x;
    r->cd[0] = (float)m0;
    r->cd[1] = (float)m1;
    r->cd[2] = (float)m2;
    r->cz = (float)s.z;
    r->noise = dpm_is_sde(a);
}

static void plan(struct plan *p) {
    enum dpm_algorithm a = dpm_algorithm(p);
    dpm_check(p);
    plan_noise(p, true);
    struct levels l = dpm_levels(p, false);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    p->schedule->history = 3;
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        int order = dpm_multistep_order(p, i, l.n, i - p->skip + 1);
        if (order == 3 && a == DPM_SDE_NOISE) plan_refuse(p, "sde-dpmsolver has no third order");
        dpm_push(p, r, a, l.t[i], (double)p->schedule->sigmas[i]);
        dpm_multistep_row(p, r, a, SPACE_VP, i, order);
    }
}

static const char *const names[] = {"dpm++2m", "dpm++", "dpmpp_2m", "dpm_solver_multistep", "dpmsolver++", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "solver_order=2",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "sample_max_value=1",
    "algorithm_type=dpmsolver++|dpmsolver|sde-dpmsolver|sde-dpmsolver++",
    "solver_type=midpoint|heun",
    "lower_order_final=true",
    "euler_at_final=false",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "use_lu_lambdas=false",
    "final_sigmas_type=zero|sigma_min",
    "lambda_min_clipped=-inf",
    "variance_type=none|fixed_small|fixed_small_log|fixed_large|fixed_large_log",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    "rescale_betas_zero_snr=false",
    NULL,
};
const struct scheduler dpm_multistep_scheduler = {
    .class_name = "DPMSolverMultistepScheduler",
    .sampler = "DPM++ 2M",
    .sampler_sde = {"DPM++ 2M SDE", "DPM++ 3M SDE"},
    .names = names,
    .summary = "high order over past steps: good pictures in 20 steps",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
