/* DPM-Solver and DPM-Solver++, singlestep: blocks of one, two or three model calls; each call of a block starts again
 * from the block's first sample, by the order of its place in the block. */
#include <math.h>
#include <string.h>

#include "schedulers/dpm.h"

/* The order of call i of n: 1 2 1 2 … or 1 2 3 1 2 3 …, with lower orders at the end where lower_order_final, which
 * diffusers sets itself for an uneven rest and for a final sigma of 0. */
static int order_at(const struct sched_config *c, int i, int n) {
    int block = c->solver_order, rest = n % block;
    bool zero = !strcmp(c->final_sigmas_type, "zero"), lower = c->lower_order_final || rest || zero;
    int order = i % block + 1;
    if (block == 3 && lower && rest == 0 && i >= n - 3) order = i == n - 2 ? 2 : 1; /* … 1 2 1 */
    if (block == 2 && lower && rest == 0 && i == n - 1) order = 1;                  /* … 1 1 */
    return zero && i == n - 1 ? 1 : order;
}

static double lambda_between(const float *sigmas, int i, int j) {
    return log((double)sigmas[i]) - log((double)sigmas[j]);
}

/* Step i from the block's sample at level i - order + 1; values of the block: d[order-1] first. */
static void fill_row(const struct plan *p, struct sched_row *r, enum dpm_algorithm a, int i, int order) {
    const float *sigmas = p->schedule->sigmas;
    int start = i - order + 1;
    bool heun = !strcmp(p->config->solver_type, "heun");
    struct dpm_step s = dpm_step(a, SPACE_VP, (double)sigmas[start], (double)sigmas[i + 1]);
    double first = s.value, middle = 0, last = 0, h = order > 1 ? lambda_between(sigmas, start, i + 1) : 1;
    if (order == 2) {
        last = (heun ? s.slope : s.value / 2) / (lambda_between(sigmas, start, i) / h);
    } else if (order == 3) {
        double r0 = lambda_between(sigmas, start, i) / h, r1 = lambda_between(sigmas, start, i - 1) / h;
        middle = heun ? (s.slope * r0 - 2 * s.curve) / (r0 - r1) / r1 : 0;
        last = (heun ? (2 * s.curve - s.slope * r1) / (r0 - r1) : s.slope) / r0;
    }
    if (order == 1) r->cd[0] = (float)first;
    else r->cd[order == 2 ? 1 : 2] = (float)(first - middle - last), r->cd[0] = (float)last;
    if (order == 3) r->cd[1] = (float)middle;
    r->save = order == 1;
    r->ax = order == 1 ? 1 : 0;
    r->cs = (float)s.x;
    r->cz = (float)s.z;
    r->noise = dpm_is_sde(a);
}

static void plan(struct plan *p) {
    enum dpm_algorithm a = dpm_algorithm(p);
    dpm_check(p);
    plan_noise(p, false);
    struct levels l = dpm_levels(p, true);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    p->schedule->history = 3;
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        int order = order_at(p->config, i, l.n), stored = i - p->skip + 1;
        dpm_push(p, r, a, l.t[i], (double)p->schedule->sigmas[i]);
        fill_row(p, r, a, i, order < stored ? order : stored);
    }
}

static const char *const names[] = {"dpm++2s", "dpmpp_2s", "dpm++ singlestep", "dpm_solver_singlestep", NULL};
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
    "algorithm_type=dpmsolver++|dpmsolver|sde-dpmsolver++",
    "solver_type=midpoint|heun",
    "lower_order_final=false",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "final_sigmas_type=zero|sigma_min",
    "lambda_min_clipped=-inf",
    "variance_type=none|fixed_small|fixed_small_log|fixed_large|fixed_large_log",
    NULL,
};
const struct scheduler dpm_singlestep_scheduler = {
    .class_name = "DPMSolverSinglestepScheduler",
    .sampler = "DPM++ 2S",
    .sampler_sde = {"DPM++ SDE"},
    .names = names,
    .summary = "high order within blocks of calls instead of over past ones",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
