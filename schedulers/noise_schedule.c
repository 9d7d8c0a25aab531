/* Betas and what follows from them, rounded to f32 exactly where torch rounds. */
#include <math.h>
#include <string.h>

#include "engine/base/error.h"
#include "schedulers/plan.h"

/* torch.linspace in f32: from both ends towards the middle, one fused multiply-add each. */
static void linspace(float *y, int n, double from, double to) {
    float start = (float)from, end = (float)to, step = n > 1 ? (end - start) / (float)(n - 1) : 0;
    for (int i = 0; i < n; i++) y[i] = i < n / 2 ? fmaf(step, (float)i, start) : fmaf(-step, (float)(n - 1 - i), end);
    if (n == 1) y[0] = start;
}

static double alpha_bar_cosine(double t) {
    return pow(cos((t + 0.008) / 1.008 * M_PI / 2), 2);
}
static double alpha_bar_exp(double t) {
    return exp(-12 * t);
}
static double alpha_bar_laplace(double t) {
    double snr = exp(-0.5 * copysign(1, 0.5 - t) * log(1 - 2 * fabs(0.5 - t) + 1e-6));
    return sqrt(snr / (1 + snr));
}

/* beta_i = 1 - ᾱ((i+1)/T) / ᾱ(i/T), at most 0.999 (Nichol and Dhariwal 2021). */
static void from_alpha_bar(float *betas, int T, double (*alpha_bar)(double)) {
    for (int i = 0; i < T; i++) betas[i] = (float)fmin(1 - alpha_bar((double)(i + 1) / T) / alpha_bar((double)i / T), 0.999);
}

static void fill_betas(const struct sched_config *c, float *betas) {
    int T = c->num_train_timesteps;
    double b0 = c->beta_start, b1 = c->beta_end;
    const char *kind = c->beta_schedule;
    if (c->trained_betas) {
        for (int i = 0; i < T; i++) betas[i] = (float)c->trained_betas[i];
    } else if (!strcmp(kind, "linear")) {
        linspace(betas, T, b0, b1);
    } else if (!strcmp(kind, "scaled_linear")) {
        linspace(betas, T, sqrt(b0), sqrt(b1));
        for (int i = 0; i < T; i++) betas[i] *= betas[i];
    } else if (!strcmp(kind, "sigmoid")) {
        linspace(betas, T, -6, 6);
        for (int i = 0; i < T; i++) betas[i] = 1 / (1 + expf(-betas[i])) * (float)(b1 - b0) + (float)b0;
    } else {
        from_alpha_bar(betas, T, !strcmp(kind, "exp") ? alpha_bar_exp : !strcmp(kind, "laplace") ? alpha_bar_laplace : alpha_bar_cosine);
    }
}

/* ᾱ_t = prod (1 - beta): accumulated in double, each entry rounded. */
static void accumulate(float *alphas_cumprod, const float *betas, int T) {
    double product = 1;
    for (int i = 0; i < T; i++) alphas_cumprod[i] = (float)(product *= 1 - betas[i]);
}

/* Shifts and stretches sqrt(ᾱ) so that the last is 0 and the first stays (Lin et al. 2023, algorithm 1). */
static void rescale_zero_snr(float *betas, float *root, int T) {
    accumulate(root, betas, T);
    for (int i = 0; i < T; i++) root[i] = sqrtf(root[i]);
    float first = root[0], last = root[T - 1], stretch = first / (first - last);
    for (int i = 0; i < T; i++) {
        root[i] = (root[i] - last) * stretch;
        root[i] *= root[i];
    }
    betas[0] = 1 - root[0];
    for (int i = 1; i < T; i++) betas[i] = 1 - root[i] / root[i - 1];
}

void plan_noise(struct plan *p, bool floor) {
    const struct sched_config *c = p->config;
    int T = p->T = c->num_train_timesteps;
    float *betas = arena_array(p->arena, (size_t)T, sizeof *betas);
    p->alphas_cumprod = arena_array(p->arena, (size_t)T, sizeof(float));
    p->sigmas = arena_array(p->arena, (size_t)T, sizeof(float));
    fill_betas(c, betas);
    if (c->rescale_betas_zero_snr) rescale_zero_snr(betas, p->alphas_cumprod, T);
    accumulate(p->alphas_cumprod, betas, T);
    if (c->rescale_betas_zero_snr && floor) p->alphas_cumprod[T - 1] = 0x1p-24f;
    for (int i = 0; i < T; i++) {
        float a = p->alphas_cumprod[i];
        if (!(a >= 0 && a < 1)) plan_refuse(p, "its noise schedule has no noise at timestep %d (alphas_cumprod %g)", i, (double)a);
        p->sigmas[i] = sqrtf((1 - a) / a);
    }
}

double alpha_at(const struct plan *p, int64_t t) {
    if (t < 0) t += p->T;
    if (t < 0 || t >= p->T)
        plan_refuse(p, "%d steps with this spacing and steps_offset %d need timestep %lld of %d: ask for fewer steps", p->n_steps,
                    p->config->steps_offset, (long long)t, p->T);
    return (double)p->alphas_cumprod[t];
}

double final_alpha(const struct plan *p) {
    return p->config->set_alpha_to_one ? 1 : (double)p->alphas_cumprod[0];
}
