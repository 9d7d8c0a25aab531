/* DPM-Solver's exact integrals of one step, for its multistep and singlestep forms. Inside schedulers/ only. */
#ifndef SCHEDULERS_DPM_H
#define SCHEDULERS_DPM_H

#include "schedulers/plan.h"

enum dpm_algorithm { DPM_NOISE /* dpmsolver */, DPM_DATA /* dpmsolver++ */, DPM_SDE_NOISE, DPM_SDE_DATA };
enum dpm_algorithm dpm_algorithm(const struct plan *p);
/* Values kept are x0 (clipped where the config says) for the data forms, eps for the noise forms. */
static inline bool dpm_is_data(enum dpm_algorithm a) {
    return a == DPM_DATA || a == DPM_SDE_DATA;
}
static inline bool dpm_is_sde(enum dpm_algorithm a) {
    return a == DPM_SDE_NOISE || a == DPM_SDE_DATA;
}

/* x_t = x * x_s + value * D0 + slope * D1 + curve * D2 + z * noise, D1 and D2 being derivatives of the values by λ
 * times h and h², λ = log(α/σ) = -log of our σ. The midpoint rule has value/2 in place of slope. */
struct dpm_step {
    double x, value, slope, curve, z;
};
/* SPACE_VP: x = α (x0 + σ eps) with α² (1 + σ²) = 1, as the models of this program's usual kind; SPACE_SIGMA: x = x0 + σ eps. */
enum dpm_space { SPACE_VP, SPACE_SIGMA };
struct dpm_step dpm_step(enum dpm_algorithm a, enum dpm_space space, double sigma_s, double sigma_t);

/* Timesteps and sigmas of the config (schedule->sigmas); the last training timestep respects lambda_min_clipped. */
struct levels dpm_levels(struct plan *p, bool always_round);
/* Pushes the row's value: d[0] = x0 or eps at level sigma. */
void dpm_push(const struct plan *p, struct sched_row *r, enum dpm_algorithm a, double t, double sigma);
/* Dies for what diffusers' constructors reject, and for thresholding of the noise forms, which no row expresses. */
void dpm_check(const struct plan *p);

/* ---- dpm_multistep.c --------------------------------------------------------------------------------------------- */

/* The order of row i of n, `stored` values being at hand, its own included. */
int dpm_multistep_order(const struct plan *p, int i, int n, int stored);
/* x_next of row i from the newest `order` values. */
void dpm_multistep_row(const struct plan *p, struct sched_row *r, enum dpm_algorithm a, enum dpm_space space, int i, int order);

#endif
