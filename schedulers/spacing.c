/* Which timesteps and noise levels n steps visit. The arithmetic is numpy's, in double, with its rounding half to even.
 */
#include <math.h>
#include <string.h>

#include "schedulers/plan.h"

static void reverse(double *x, int n) {
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        double t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

/* i-th of n points from a to b, the last one exactly b. */
static double linspace_at(double a, double b, int n, int i) {
    if (n > 1 && i == n - 1) return b;
    return n > 1 ? i * ((b - a) / (n - 1)) + a : a;
}

/* The points of 0, 1 … last - 1 that leave out none of the end: last, last - T/n … above 0, rounded, less 1. numpy's
 * arange takes its step from its first two values, so that its length and rounding are those of their difference. */
static double *trailing(const struct plan *p, int last, int *n) {
    double step = -(p->T / (double)p->n_steps), delta = (last + step) - last;
    *n = (int)ceil(-last / step);
    double *t = arena_array(p->arena, (size_t)*n, sizeof *t);
    for (int i = 0; i < *n; i++) {
        volatile double below = i * delta; /* rounded before the sum, also where the build fuses multiply-adds: ties */
        t[i] = nearbyint(last + below) - 1;
    }
    return t;
}

double *space_timesteps(const struct plan *p, enum spacing spacing, int last, int *n) {
    const char *kind = p->config->timestep_spacing;
    int points = *n = p->n_steps, drop = spacing == SPACING_INNER;
    if (kind && !strcmp(kind, "trailing")) return trailing(p, last, n);
    points += drop;
    double *t = arena_array(p->arena, (size_t)points, sizeof *t);
    if (!kind || !strcmp(kind, "linspace")) {
        for (int i = 0; i < points; i++) {
            double v = linspace_at(0, last - 1, points, i);
            t[i] = spacing == SPACING_FRACTION ? (double)(float)v : nearbyint(v);
        }
    } else {
        for (int i = 0; i < points; i++) t[i] = (double)i * (last / points) + p->config->steps_offset;
    }
    reverse(t, points); /* falling; what SPACING_INNER drops is now last */
    return t;
}

void levels_interpolate(const struct plan *p, struct levels *l) {
    l->sigma = arena_array(p->arena, (size_t)l->n, sizeof *l->sigma);
    for (int i = 0; i < l->n; i++) {
        double t = fmin(fmax(l->t[i], 0), p->T - 1);
        int low = (int)t;
        double a = (double)p->sigmas[low];
        l->sigma[i] = t == low ? a : ((double)p->sigmas[low + 1] - a) * (t - low) + a;
    }
}

/* NaN stays NaN. */
static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

double sigma_to_t(const struct plan *p, double sigma) {
    double log_sigma = log(clamp(sigma, 1e-10, INFINITY));
    int low = 0, end = p->T - 1; /* low: the last entry not above, at most T - 2 */
    while (end - low > 1) {
        int middle = low + (end - low) / 2;
        if ((double)log_sigma_at(p, middle) <= log_sigma) low = middle;
        else end = middle;
    }
    if (p->T < 2) plan_refuse(p, "one training timestep has no noise levels between");
    double a = (double)log_sigma_at(p, low), b = (double)log_sigma_at(p, low + 1);
    double w = clamp((a - log_sigma) / (double)((float)a - (float)b), 0, 1);
    return (1 - w) * low + w * (low + 1);
}

/* Karras et al. 2022, (5), rho = 7. */
static double karras(double max, double min, double ramp) {
    double a = pow(max, 1 / 7.0), b = pow(min, 1 / 7.0);
    return pow(a + ramp * (b - a), 7);
}

/* Inverse of the regularised incomplete beta function I_x(0.6, 0.6): Newton's method on the power series
 * B_x(a,a) = x^a sum (1-a)_k / (k! (a+k)) x^k, which converges like 2^-k where x <= 1/2; the other half is its mirror
 * image. */
static double beta_quantile(double q) {
    const double a = 0.6, complete = exp(2 * lgamma(a) - lgamma(2 * a));
    if (q > 0.5) return 1 - beta_quantile(1 - q);
    if (q <= 0) return 0;
    double x = fmin(pow(q * a * complete, 1 / a), 0.5);
    for (int step = 0; step < 20; step++) {
        double sum = 0, term = 1;
        for (int k = 0; k < 60; k++) {
            sum += term / (a + k);
            term *= (1 - a + k) / (k + 1) * x;
        }
        double change = (pow(x, a) * sum - q * complete) * pow(x * (1 - x), 1 - a);
        x = fmin(fmax(x - change, x / 2), 0.5);
        if (fabs(change) <= 1e-15 * x) break;
    }
    return x;
}

bool levels_convert(const struct plan *p, struct levels *l, double sigma_max, double sigma_min) {
    const struct sched_config *c = p->config;
    if (!c->use_karras_sigmas && !c->use_exponential_sigmas && !c->use_beta_sigmas) return false;
    bool bounded = !(p->karras_unbounded && c->use_karras_sigmas);
    if (bounded && c->sigma_max > 0) sigma_max = c->sigma_max;
    if (bounded && c->sigma_min > 0) sigma_min = c->sigma_min;
    int n = l->n = p->n_steps;
    l->t = arena_array(p->arena, (size_t)n, sizeof *l->t);
    l->sigma = arena_array(p->arena, (size_t)n, sizeof *l->sigma);
    for (int i = 0; i < n; i++) {
        double ramp = linspace_at(0, 1, n, i);
        l->sigma[i] = c->use_karras_sigmas        ? karras(sigma_max, sigma_min, ramp)
                      : c->use_exponential_sigmas ? exp(linspace_at(log(sigma_max), log(sigma_min), n, i))
                                                  : sigma_min + beta_quantile(1 - ramp) * (sigma_max - sigma_min);
        l->t[i] = sigma_to_t(p, l->sigma[i]);
    }
    return true;
}

bool levels_lu(const struct plan *p, struct levels *l) {
    if (!p->config->use_lu_lambdas) return false;
    int n = l->n = p->n_steps;
    double from = (double)log_sigma_at(p, p->T - 1), to = (double)log_sigma_at(p, 0);
    l->t = arena_array(p->arena, (size_t)n, sizeof *l->t);
    l->sigma = arena_array(p->arena, (size_t)n, sizeof *l->sigma);
    for (int i = 0; i < n; i++) {
        l->sigma[i] = exp(from + linspace_at(0, 1, n, i) * (to - from));
        l->t[i] = sigma_to_t(p, l->sigma[i]);
    }
    return true;
}

struct levels sigma_levels(const struct plan *p) {
    struct levels l;
    l.t = space_timesteps(p, SPACING_FRACTION, p->T, &l.n);
    levels_interpolate(p, &l);
    levels_convert(p, &l, l.sigma[0], l.sigma[l.n - 1]);
    return l;
}

struct levels solver_levels(const struct plan *p, int last, bool round) {
    struct levels l;
    l.t = space_timesteps(p, SPACING_INNER, last, &l.n);
    bool lu = !p->config->use_karras_sigmas && levels_lu(p, &l);
    bool even = lu || levels_convert(p, &l, (double)p->sigmas[p->T - 1], (double)p->sigmas[0]);
    if (!even) levels_interpolate(p, &l);
    round = round && (lu || p->config->use_karras_sigmas);
    for (int i = 0; i < l.n; i++) l.t[i] = round ? nearbyint(l.t[i]) : trunc(l.t[i]);
    return l;
}

double final_sigma(const struct plan *p) {
    return strcmp(p->config->final_sigmas_type, "zero") ? (double)p->sigmas[0] : 0;
}

float *plan_sigmas(const struct plan *p, const struct levels *l, double last) {
    struct schedule *s = p->schedule;
    s->n_sigmas = l->n + 1;
    s->sigmas = arena_array(p->arena, (size_t)s->n_sigmas, sizeof *s->sigmas);
    for (int i = 0; i < l->n; i++) s->sigmas[i] = (float)l->sigma[i];
    s->sigmas[l->n] = (float)last;
    return s->sigmas;
}

void plan_sigmas_twice(const struct plan *p, int last_times) {
    struct schedule *s = p->schedule;
    int n = s->n_sigmas - 1, twice = 2 * n - 1 + last_times;
    float *sigmas = arena_array(p->arena, (size_t)twice, sizeof *sigmas);
    for (int i = 0; i < twice; i++) sigmas[i] = s->sigmas[(i + 1) / 2 < n ? (i + 1) / 2 : n];
    s->sigmas = sigmas;
    s->n_sigmas = twice;
}
