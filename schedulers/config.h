/* Every option of diffusers' schedulers, effective values. Inside schedulers/ only. */
#ifndef SCHEDULERS_CONFIG_H
#define SCHEDULERS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "schedulers/scheduler.h"

enum { DISABLE_CORRECTOR_MAX = 1000 };

struct sched_config {
    const char *path; /* of the JSON, for messages */
    /* noise schedule */
    int num_train_timesteps;
    double beta_start, beta_end;
    const char *beta_schedule;
    const double *trained_betas; /* num_train_timesteps of them, or NULL */
    bool rescale_betas_zero_snr, set_alpha_to_one;
    /* model output */
    const char *prediction_type;
    bool clip_sample, thresholding;
    double clip_sample_range, dynamic_thresholding_ratio, sample_max_value;
    /* which timesteps and noise levels */
    const char *timestep_spacing, *timestep_type, *interpolation_type, *final_sigmas_type;
    int steps_offset, original_inference_steps;
    bool use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas, use_lu_lambdas;
    double sigma_min, sigma_max; /* 0: from the noise schedule */
    double sigma_data, rho;      /* EDM's */
    const char *sigma_schedule;
    double lambda_min_clipped;
    double timestep_scaling;
    /* method */
    bool skip_prk_steps, lower_order_final, euler_at_final, predict_x0;
    int solver_order;
    const char *algorithm_type, *solver_type, *variance_type;
    const int64_t *disable_corrector; /* steps whose corrector is left out */
    int n_disable_corrector;
    /* arguments of step() */
    double eta, s_churn, s_tmin, s_tmax, s_noise;
    bool use_clipped_model_output;
    double strength; /* argument of set_timesteps(): how much of original_inference_steps goes; 0: all */

    uint64_t inherited, overridden; /* bit i: field i of config.c's table came from the JSON, from the user */
    const struct scheduler *scheduler;
};

#endif
