/* DPM-Solver++, multistep, for EDM's models: as dpm_multistep.c in x = x0 + σ eps, with their preconditioning. */
#include <string.h>

#include "schedulers/dpm.h"
#include "schedulers/edm.h"

static void plan(struct plan *p) {
    enum dpm_algorithm a = dpm_algorithm(p);
    struct levels l = edm_levels(p, true);
    plan_sigmas(p, &l, strcmp(p->config->final_sigmas_type, "zero") ? p->config->sigma_min : 0);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    p->schedule->history = 3;
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        double sigma = (double)p->schedule->sigmas[i];
        struct form x0 = edm_x0(p, sigma);
        int order = dpm_multistep_order(p, i, l.n, i - p->skip + 1);
        if (order == 3 && a == DPM_SDE_DATA) plan_refuse(p, "sde-dpmsolver++ has no third order here");
        edm_row(p, r, l.t[i], sigma);
        r->push = true;
        if (!row_clip(r, p->config, x0)) {
            r->dx = (float)x0.x;
            r->de = (float)x0.e;
        }
        dpm_multistep_row(p, r, a, SPACE_SIGMA, i, order);
    }
}

static const char *const names[] = {"edm_dpm++2m", "edm_dpmpp_2m", "edm_dpm_solver_multistep", NULL};
static const char *const options[] = {
    "sigma_min=0.002",
    "sigma_max=80",
    "sigma_data=0.5",
    "sigma_schedule=karras|exponential",
    "num_train_timesteps=1000",
    "prediction_type=epsilon|v_prediction",
    "rho=7",
    "solver_order=2",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "sample_max_value=1",
    "algorithm_type=dpmsolver++|sde-dpmsolver++",
    "solver_type=midpoint|heun",
    "lower_order_final=true",
    "euler_at_final=false",
    "final_sigmas_type=zero|sigma_min",
    NULL,
};
const struct scheduler edm_dpm_multistep_scheduler = {
    .class_name = "EDMDPMSolverMultistepScheduler",
    .sampler = "DPM++ 2M",
    .sampler_sde = {"DPM++ 2M SDE", "DPM++ 3M SDE"},
    .names = names,
    .summary = "high order over past steps for models of the EDM kind (playground v2.5)",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
