/* Linear multistep in σ: x_next = x + sum_k w_k D_k over the last four derivatives D, w_k the integral from σ to σ_next
 * of the Lagrange basis through their levels. The order grows with the absolute step: image to image starts with the
 * weights of a higher order than it has derivatives for. */
#include "schedulers/plan.h"

enum { ORDER = 4 };

/* Basis polynomial `which` of the `order` levels down from step i, at tau. */
static double basis(const float *sigmas, int i, int order, int which, double tau) {
    double product = 1;
    for (int k = 0; k < order; k++)
        if (k != which) product *= (tau - (double)sigmas[i - k]) / ((double)sigmas[i - which] - (double)sigmas[i - k]);
    return product;
}

/* Two Gauss points integrate a cubic exactly. */
static double weight(const float *sigmas, int i, int order, int which) {
    const double point = 0.57735026918962576451;
    double middle = ((double)sigmas[i] + (double)sigmas[i + 1]) / 2, half = ((double)sigmas[i + 1] - (double)sigmas[i]) / 2;
    return half * (basis(sigmas, i, order, which, middle - half * point) + basis(sigmas, i, order, which, middle + half * point));
}

static void plan(struct plan *p) {
    plan_noise(p, false);
    p->karras_unbounded = true;
    struct levels l = sigma_levels(p);
    const float *sigmas = plan_sigmas(p, &l, 0);
    p->schedule->init_noise_sigma = sigma_init_noise(p);
    p->schedule->history = ORDER;
    struct sched_row *rows = plan_rows(p, l.n, 1);
    for (int i = p->skip; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        struct form d = form_derivative(plan_prediction(p), (double)sigmas[i], (double)sigmas[i]);
        row_sigma(r, l.t[i], (double)sigmas[i]);
        r->push = true;
        r->dx = (float)d.x;
        r->de = (float)d.e;
        r->cx = 1;
        int order = i + 1 < ORDER ? i + 1 : ORDER;
        for (int k = 0; k < order && k <= i - p->skip; k++) r->cd[k] = (float)weight(sigmas, i, order, k);
    }
}

static const char *const names[] = {"lms", "k_lms", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "prediction_type=epsilon|sample|v_prediction",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    NULL,
};
const struct scheduler lms_scheduler = {
    .class_name = "LMSDiscreteScheduler",
    .sampler = "LMS",
    .names = names,
    .summary = "linear multistep over the last four derivatives",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
