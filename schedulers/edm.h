/* What the schedulers of EDM's models share (Karras et al. 2022; playground v2.5, CosXL): noise levels of a formula, and the network's
 * output as they read it. Inside schedulers/ only. */
#ifndef SCHEDULERS_EDM_H
#define SCHEDULERS_EDM_H

#include "schedulers/plan.h"

/* n_steps levels from sigma_max to sigma_min by sigma_schedule, t = log(σ) / 4; sets init_noise_sigma. in_f32: Karras' formula is
 * computed in f32, as one of the classes does. */
struct levels edm_levels(struct plan *p, bool in_f32);
/* x0 = c_skip x + c_out e at level sigma (ibid., table 1). */
struct form edm_x0(const struct plan *p, double sigma);
/* t, display σ, add_noise and c_in. */
void edm_row(const struct plan *p, struct sched_row *r, double t, double sigma);

#endif
