/* DEIS (Zhang and Chen 2023) with polynomials in log rho, rho = σ: x_t/α_t = x_s/α_s + sum_k C_k eps_k,
 * C_k the integral over rho from s to t of the Lagrange basis through the last levels' log rho. */
#include <math.h>

#include "schedulers/plan.h"

/* With u = log rho: antiderivatives of rho's power basis against 1, u, u², as  rho, rho (u - 1), rho (u² - 2u + 2). */
static double moment(double rho, int power) {
    double u = log(rho);
    return rho * (power == 0 ? 1 : power == 1 ? u - 1 : u * u - 2 * u + 2);
}

/* Integral of the basis that is 1 at u[k] and 0 at the other `order` - 1 levels. */
static double basis_integral(const double *u, int k, int order, double from, double to) {
    double b = u[(k + 1) % order], c = u[(k + 2) % order], m[3];
    for (int i = 0; i < 3; i++) m[i] = moment(to, i) - moment(from, i);
    if (order == 1) return m[0];
    if (order == 2) return (m[1] - b * m[0]) / (u[k] - b);
    return (m[2] - (b + c) * m[1] + b * c * m[0]) / ((u[k] - b) * (u[k] - c));
}

static void fill_row(const struct plan *p, struct sched_row *r, int i, int order) {
    const float *sigmas = p->schedule->sigmas;
    double from = (double)sigmas[i], to = (double)sigmas[i + 1], u[3];
    double alpha_s = 1 / sqrt(from * from + 1), alpha_t = 1 / sqrt(to * to + 1);
    for (int k = 0; k < order; k++) u[k] = log((double)sigmas[i - k]);
    for (int k = 0; k < order; k++) r->cd[k] = (float)(alpha_t * basis_integral(u, k, order, from, to));
    r->cx = (float)(alpha_t / alpha_s);
}

static int order_at(const struct plan *p, int i, int n, int stored) {
    bool few = p->config->lower_order_final && n < 15;
    int order = p->config->solver_order, most = few && i == n - 1 ? 1 : few && i == n - 2 ? 2 : 3;
    order = order < most ? order : most;
    return order < stored ? order : stored;
}

static void plan(struct plan *p) {
    const struct sched_config *c = p->config;
    if (c->thresholding) plan_refuse(p, "thresholding is not supported by this scheduler");
    plan_noise(p, false);
    struct levels l = solver_levels(p, p->T, true);
    bool converted = c->use_karras_sigmas || c->use_exponential_sigmas || c->use_beta_sigmas;
    const float *sigmas = plan_sigmas(p, &l, converted ? l.sigma[l.n - 1] : (double)p->sigmas[0]);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    p->schedule->history = 3;
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        double sigma = (double)sigmas[i], alpha = 1 / (sigma * sigma + 1);
        struct form eps = form_eps(plan_prediction(p), alpha);
        row_vp(r, l.t[i], alpha);
        r->push = true;
        r->dx = (float)eps.x;
        r->de = (float)eps.e;
        fill_row(p, r, i, order_at(p, i, l.n, i - p->skip + 1));
    }
}

static const char *const names[] = {"deis", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "solver_order=2",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "algorithm_type=deis",
    "solver_type=logrho",
    "lower_order_final=true",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    NULL,
};
const struct scheduler deis_scheduler = {
    .class_name = "DEISMultistepScheduler",
    .sampler = "DEIS",
    .names = names,
    .summary = "exponential integrator over past noise predictions",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
