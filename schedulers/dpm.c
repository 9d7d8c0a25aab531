#include "schedulers/dpm.h"

#include <math.h>
#include <string.h>

enum dpm_algorithm dpm_algorithm(const struct plan *p) {
    const char *name = p->config->algorithm_type;
    return !strcmp(name, "dpmsolver")       ? DPM_NOISE
           : !strcmp(name, "dpmsolver++")   ? DPM_DATA
           : !strcmp(name, "sde-dpmsolver") ? DPM_SDE_NOISE
                                            : DPM_SDE_DATA;
}

/* The root of what is above 0 but for the rounding of two levels that are one. */
static double noise_of(double variance) {
    return sqrt(variance < 0 && variance > -1e-6 ? 0 : variance);
}

/* Lu et al. 2022, DPM-Solver and DPM-Solver++. sigma_t 0 makes h infinite and e^-h 0. */
struct dpm_step dpm_step(enum dpm_algorithm a, enum dpm_space space, double sigma_s, double sigma_t) {
    double alpha_s = space == SPACE_VP ? 1 / sqrt(sigma_s * sigma_s + 1) : 1,
           alpha_t = space == SPACE_VP ? 1 / sqrt(sigma_t * sigma_t + 1) : 1;
    double s = sigma_s * alpha_s, t = sigma_t * alpha_t, h = log(sigma_s) - log(sigma_t);
    switch (a) {
    case DPM_NOISE:
        return (struct dpm_step){alpha_t / alpha_s, -t * expm1(h), -t * (expm1(h) / h - 1), -t * ((expm1(h) - h) / (h * h) - 0.5), 0};
    case DPM_DATA:
        return (struct dpm_step){t / s, -alpha_t * expm1(-h), alpha_t * (expm1(-h) / h + 1), -alpha_t * ((expm1(-h) + h) / (h * h) - 0.5),
                                 0};
    case DPM_SDE_NOISE: /* has no third order */
        return (struct dpm_step){alpha_t / alpha_s, -2 * t * expm1(h), -2 * t * (expm1(h) / h - 1), NAN, t * noise_of(expm1(2 * h))};
    default:
        return (struct dpm_step){t / s * exp(-h), -alpha_t * expm1(-2 * h), alpha_t * (expm1(-2 * h) / (2 * h) + 1),
                                 alpha_t * ((-expm1(-2 * h) - 2 * h) / (4 * h * h) - 0.5), t * noise_of(-expm1(-2 * h))};
    }
}

/* Training timesteps at the end with λ below lambda_min_clipped are not used. */
static int last_timestep(const struct plan *p) {
    int clipped = 0;
    while (clipped < p->T) {
        float a = p->alphas_cumprod[p->T - 1 - clipped];
        if ((double)(logf(sqrtf(a)) - logf(sqrtf(1 - a))) >= p->config->lambda_min_clipped) break;
        clipped++;
    }
    if (clipped == p->T) plan_refuse(p, "lambda_min_clipped %g leaves no timesteps", p->config->lambda_min_clipped);
    return p->T - clipped;
}

struct levels dpm_levels(struct plan *p, bool always_round) {
    bool round = always_round || strcmp(p->config->beta_schedule, "squaredcos_cap_v2");
    struct levels l = solver_levels(p, last_timestep(p), round);
    plan_sigmas(p, &l, final_sigma(p));
    return l;
}

void dpm_push(const struct plan *p, struct sched_row *r, enum dpm_algorithm a, double t, double sigma) {
    double alpha = 1 / (sigma * sigma + 1);
    enum prediction kind = plan_prediction(p);
    row_vp(r, t, alpha);
    r->push = true;
    if (dpm_is_data(a) && row_clip(r, p->config, form_x0(kind, alpha))) return;
    struct form v = dpm_is_data(a) ? form_x0(kind, alpha) : form_eps(kind, alpha);
    r->dx = (float)v.x;
    r->de = (float)v.e;
}

void dpm_check(const struct plan *p) {
    bool data = dpm_is_data(dpm_algorithm(p));
    if (!data && !strcmp(p->config->final_sigmas_type, "zero"))
        plan_refuse(p, "final_sigmas_type 'zero' does not go with algorithm_type '%s'; use sigma_min", p->config->algorithm_type);
    if (!data && p->config->thresholding)
        plan_refuse(p, "thresholding is not supported with algorithm_type '%s'", p->config->algorithm_type);
}
