/* Timesteps of the distilled consistency models. Inside schedulers/ only. */
#ifndef SCHEDULERS_CONSISTENCY_H
#define SCHEDULERS_CONSISTENCY_H

#include "schedulers/plan.h"

/* n_steps of the original_inference_steps a model was distilled at, evenly from the noisiest on. */
int64_t *consistency_timesteps(const struct plan *p);

#endif
