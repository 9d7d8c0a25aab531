/* Pseudo numerical methods (Liu et al. 2022): three pseudo Runge-Kutta steps of four model calls each, unless
 * skip_prk_steps, then Adams-Bashforth on the model's raw outputs:
 *     x_next = A x + B m,    A = sqrt(ᾱ'/ᾱ),    B = -(ᾱ' - ᾱ) / (ᾱ sqrt(1-ᾱ') + sqrt(ᾱ (1-ᾱ) ᾱ'))
 * m is a combination of outputs; for v-prediction it becomes sqrt(ᾱ) m + sqrt(1-ᾱ) x. */
#include <math.h>

#include "schedulers/plan.h"

/* x_next = x * sample + m * combination. */
struct transfer {
    double x, m;
};

static struct transfer transfer(const struct plan *p, int64_t t, int64_t next_t) {
    double a = alpha_at(p, t), next = next_t >= 0 ? alpha_at(p, next_t) : final_alpha(p);
    double A = sqrt(next / a), B = -(next - a) / (a * sqrt(1 - next) + sqrt(a * (1 - a) * next));
    if (plan_prediction(p) == PREDICT_V) return (struct transfer){A + B * sqrt(1 - a), B * sqrt(a)};
    return (struct transfer){A, B};
}

/* Stage 0..3 of a pseudo Runge-Kutta step from the saved sample s, all with the step's own timestep:
 *     0: x = A s + B k1    1: x = A s + B k2    2: x = A s + B k3    3: x = A s + B (k1/6 + k2/3 + k3/3 + k4/6)
 * The ring holds the stages' outputs on top of the earlier steps' first ones, which are all that stays. The last stage
 * needs k1 k2 k3 and k4 beside two earlier ones, one more than the ring holds: so stage 2 already turns s into stage
 * 3's A s + B (k1/6 + k2/3 + k3/3) and takes that out of its own x again. */
static void fill_prk(const struct plan *p, struct sched_row *r, int stage, int64_t step_t, int64_t next_t, int64_t last_t) {
    struct transfer f = transfer(p, step_t, next_t), last = transfer(p, step_t, last_t);
    r->push = stage < 3;
    r->de = r->push ? 1 : 0;
    r->save = stage == 0 || stage == 2;
    switch (stage) {
    case 0:
        r->ax = 1;
        r->cx = (float)f.x;
        r->cd[0] = (float)f.m;
        break;
    case 1:
        r->cs = (float)f.x;
        r->cd[0] = (float)f.m;
        break;
    case 2: {
        const double weight[3] = {1 / 3.0, 1 / 3.0, 1 / 6.0};
        r->as = (float)last.x;
        r->cs = (float)(f.x / last.x);
        for (int k = 0; k < 3; k++) {
            r->ad[k] = (float)(last.m * weight[k]);
            r->cd[k] = (float)(-f.x / last.x * last.m * weight[k]);
        }
        r->cd[0] += (float)f.m;
        r->drop = 2;
        break;
    }
    default: r->cs = 1; r->ce = (float)(last.m / 6);
    }
}

/* Call number `call` of the linear multistep part, with `stored` outputs in the ring before it. Call 1 repeats the
 * first step from its sample with the mean of both outputs, and its output is not kept. */
static void fill_plms(const struct plan *p, struct sched_row *r, int call, int stored, int64_t t) {
    static const double weights[4][4] = {
        {1}, {3 / 2.0, -1 / 2.0}, {23 / 12.0, -16 / 12.0, 5 / 12.0}, {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0}};
    int64_t ratio = p->T / p->n_steps;
    struct transfer f = call == 1 ? transfer(p, t + ratio, t) : transfer(p, t, t - ratio);
    r->push = true;
    r->de = 1;
    if (call == 0) r->save = true, r->ax = 1;
    if (call == 1) {
        r->cs = (float)f.x;
        r->cd[0] = r->cd[1] = (float)(f.m / 2);
        r->drop = 1;
        return;
    }
    r->cx = (float)f.x;
    for (int k = 0; k <= stored; k++) r->cd[k] = (float)(f.m * weights[stored][k]);
}

/* Falling timesteps of all calls. */
static int64_t *prk_timesteps(const struct plan *p, const double *t, int n, int *n_prk, int *total) {
    if (n < 4) plan_refuse(p, "Runge-Kutta steps (skip_prk_steps false) need at least 4 steps, found %d", n);
    *n_prk = 12;
    *total = *n_prk + n - 3;
    int64_t *calls = arena_array(p->arena, (size_t)*total, sizeof *calls);
    int64_t half = p->T / p->n_steps / 2;
    for (int i = 0; i < 12; i++) { /* t0, then twice the middle, then twice the next one … */
        int point = (i + 1) / 2;   /* 0 1 1 2 2 … 6: whole points and middles alternate */
        calls[i] = (int64_t)t[(point + 1) / 2] + (point % 2 ? half : 0);
    }
    for (int i = 3; i < n; i++) calls[12 + i - 3] = (int64_t)t[i];
    return calls;
}

static int64_t *plms_timesteps(const struct plan *p, const double *t, int n, int *total) {
    *total = n > 1 ? n + 1 : 1;
    int64_t *calls = arena_array(p->arena, (size_t)*total, sizeof *calls);
    for (int i = 0; i < *total; i++) calls[i] = (int64_t)t[i > 1 ? i - 1 : i];
    return calls;
}

static void plan(struct plan *p) {
    int n, n_prk = 0, total;
    plan_noise(p, false);
    double *t = space_timesteps(p, SPACING_WHOLE, p->T, &n);
    int64_t *calls = p->config->skip_prk_steps ? plms_timesteps(p, t, n, &total) : prk_timesteps(p, t, n, &n_prk, &total);
    struct sched_row *rows = plan_rows(p, total, 1);
    int64_t half = p->T / p->n_steps / 2;
    /* Calls are counted from the first one made, also where the list's front is left out. */
    for (int call = 0; call < p->schedule->n_rows; call++) {
        int64_t at = calls[p->skip + call];
        row_vp(&rows[call], (double)at, alpha_at(p, at));
        if (call < n_prk) {
            int64_t step_t = calls[call / 4 * 4], next_t = at - (call % 2 ? 0 : half);
            int last = p->skip + call / 4 * 4 + 3;
            fill_prk(p, &rows[call], call % 4, step_t, next_t, last < total ? calls[last] : next_t);
        } else {
            int stored = n_prk ? 3 : call < 2 ? call : call - 1;
            fill_plms(p, &rows[call], n_prk ? call + 2 : call, stored < 3 ? stored : 3, at);
        }
    }
    p->schedule->history = n_prk ? 5 : 4;
}

static const char *const names[] = {"pndm", "plms", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "skip_prk_steps=false",
    "set_alpha_to_one=false",
    "prediction_type=epsilon|v_prediction",
    "timestep_spacing=leading|linspace|trailing",
    "steps_offset=0",
    NULL,
};
const struct scheduler pndm_scheduler = {
    .class_name = "PNDMScheduler",
    .sampler = "PLMS",
    .names = names,
    .summary = "linear multistep, the default of Stable Diffusion 1.x; without skip_prk_steps it starts by Runge-Kutta",
    .model_calls = "n + 1 (n + 9 with Runge-Kutta)",
    .options = options,
    .plan = plan,
};
