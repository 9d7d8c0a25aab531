/* Euler's method in σ for EDM's models (Karras et al. 2022, algorithm 2 without its corrector): as euler.c, with their preconditioning. */
#include <math.h>
#include <string.h>

#include "schedulers/edm.h"

static void fill_row(const struct plan *p, struct sched_row *r, double t, double sigma, double next) {
    double gamma = churn_at(p, sigma), hat = (double)((float)sigma * (float)(gamma + 1));
    struct form x0 = edm_x0(p, hat);
    double churn = p->config->s_noise * sqrt(fmax(hat * hat - sigma * sigma, 0)), step = (next - hat) / hat;
    edm_row(p, r, t, sigma);
    r->noise = gamma > 0;
    r->cx = (float)(1 + step * (1 - x0.x)); /* x + (σ_next - σ̂) (x - x0) / σ̂ */
    r->ce = (float)(-step * x0.e);
    r->cz = gamma > 0 ? (float)(churn * (1 + step * (1 - x0.x))) : 0;
}

static void plan(struct plan *p) {
    struct levels l = edm_levels(p, false);
    const float *sigmas = plan_sigmas(p, &l, strcmp(p->config->final_sigmas_type, "zero") ? l.sigma[l.n - 1] : 0);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    for (int i = p->skip; i < l.n; i++) fill_row(p, &rows[i - p->skip], l.t[i], (double)sigmas[i], (double)sigmas[i + 1]);
}

static const char *const names[] = {"edm_euler", NULL};
static const char *const options[] = {
    "sigma_min=0.002",
    "sigma_max=80",
    "sigma_data=0.5",
    "sigma_schedule=karras|exponential",
    "num_train_timesteps=1000",
    "prediction_type=epsilon|v_prediction",
    "rho=7",
    "final_sigmas_type=zero|sigma_min",
    "s_churn=0",
    "s_tmin=0",
    "s_tmax=inf",
    "s_noise=1",
    NULL,
};
const struct scheduler edm_euler_scheduler = {
    .class_name = "EDMEulerScheduler",
    .sampler = "Euler",
    .names = names,
    .summary = "Euler's method for models of the EDM kind (playground v2.5)",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
