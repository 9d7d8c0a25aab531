#include "schedulers/edm.h"

#include <math.h>
#include <string.h>

struct levels edm_levels(struct plan *p, bool in_f32) {
    const struct sched_config *c = p->config;
    int n = p->n_steps;
    struct levels l = {n, arena_array(p->arena, (size_t)n, sizeof(double)), arena_array(p->arena, (size_t)n, sizeof(double))};
    double from = pow(c->sigma_max, 1 / c->rho), to = pow(c->sigma_min, 1 / c->rho);
    for (int i = 0; i < n; i++) {
        double ramp = n > 1 ? (double)i / (n - 1) : 0, back = n > 1 ? 1 - ramp : 0;
        float sigma;
        if (strcmp(c->sigma_schedule, "karras")) /* made from its end */
            sigma = (float)exp(log(c->sigma_min) + back * (log(c->sigma_max) - log(c->sigma_min)));
        else if (in_f32) sigma = powf((float)from + (float)ramp * (float)(to - from), (float)c->rho);
        else sigma = (float)pow(from + ramp * (to - from), c->rho);
        l.sigma[i] = (double)sigma;
        l.t[i] = 0.25 * log(l.sigma[i]);
    }
    p->schedule->init_noise_sigma = (float)sqrt(c->sigma_max * c->sigma_max + 1);
    return l;
}

struct form edm_x0(const struct plan *p, double sigma) {
    double data = p->config->sigma_data, square = sigma * sigma + data * data, out = sigma * data / sqrt(square);
    return (struct form){data * data / square, plan_prediction(p) == PREDICT_V ? -out : out};
}

void edm_row(const struct plan *p, struct sched_row *r, double t, double sigma) {
    double data = p->config->sigma_data;
    row_sigma(r, t, sigma);
    r->in_scale = (float)(1 / sqrt(sigma * sigma + data * data));
}
