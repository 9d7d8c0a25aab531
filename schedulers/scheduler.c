/* The table of schedulers, look-up by name, and what every plan goes through. */
#include "schedulers/scheduler.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/text.h"
#include "schedulers/plan.h"

extern const struct scheduler ddim_scheduler, ddpm_scheduler, deis_scheduler, dpm_multistep_scheduler, dpm_singlestep_scheduler,
    edm_dpm_multistep_scheduler, edm_euler_scheduler, euler_ancestral_scheduler, euler_scheduler, heun_scheduler, kdpm2_ancestral_scheduler,
    kdpm2_scheduler, lcm_scheduler, lms_scheduler, pndm_scheduler, tcd_scheduler, unipc_scheduler;

const struct scheduler *const schedulers[] = {
    &pndm_scheduler,
    &ddim_scheduler,
    &ddpm_scheduler,
    &euler_scheduler,
    &euler_ancestral_scheduler,
    &heun_scheduler,
    &lms_scheduler,
    &kdpm2_scheduler,
    &kdpm2_ancestral_scheduler,
    &dpm_multistep_scheduler,
    &dpm_singlestep_scheduler,
    &unipc_scheduler,
    &deis_scheduler,
    &lcm_scheduler,
    &tcd_scheduler,
    &edm_euler_scheduler,
    &edm_dpm_multistep_scheduler,
    NULL,
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_filler(char c) {
    return c == '-' || c == '_' || c == ' ';
}

/* "DPM++ 2M", "dpm++2m" and "dpm++_2m" are one name. */
static bool same_name(const char *a, const char *b) {
    for (;;) {
        while (is_filler(*a)) a++;
        while (is_filler(*b)) b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
        a++, b++;
    }
}

const struct scheduler *scheduler_find(const char *name) {
    for (const struct scheduler *const *s = schedulers; *s; s++) {
        if (same_name((*s)->class_name, name)) return *s;
        for (const char *const *n = (*s)->names; *n; n++)
            if (same_name(*n, name)) return *s;
    }
    return NULL;
}

const char *scheduler_suggest(const char *name) {
    const char *all[256];
    size_t n = 0, max = sizeof all / sizeof *all - 1;
    for (const struct scheduler *const *s = schedulers; *s; s++) {
        for (const char *const *alias = (*s)->names; *alias && n < max; alias++) all[n++] = *alias;
        if (n < max) all[n++] = (*s)->class_name;
    }
    all[n] = NULL;
    return suggest(name, all);
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

void plan_refuse(const struct plan *p, const char *fmt, ...) {
    char reason[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    die(FAIL_UNSUPPORTED, "%s: %s: %s", p->config->path, p->schedule->scheduler->class_name, reason);
}

struct sched_row *plan_rows(struct plan *p, int total, int order) {
    struct schedule *s = p->schedule;
    s->order = order;
    p->skip = p->skip_steps * order;
    if (p->skip >= total) die(FAIL_USAGE, "%d of %d steps are left out: none remain", p->skip_steps, p->n_steps);
    s->n_rows = total - p->skip;
    s->rows = arena_array(p->arena, (size_t)s->n_rows, sizeof *s->rows);
    for (int i = 0; i < s->n_rows; i++) s->rows[i].in_scale = 1;
    return s->rows;
}

static void check_coefficient(const struct plan *p, int row, const char *name, float value) {
    if (!isfinite(value))
        plan_refuse(p, "%d steps with these options give %s = %g in row %d: diffusers computes no image from that either", p->n_steps, name,
                    (double)value, row);
}

static void check_row(const struct plan *p, int i, const struct sched_row *r) {
    const char *const names[] = {"t",  "sigma", "in_scale", "dx",    "de",    "ax",      "as",     "cx",
                                 "ce", "cs",    "cz",       "add_x", "add_z", "min_log", "max_log"};
    const float values[] = {r->t,  r->sigma, r->in_scale, r->dx,    r->de,    r->ax,      r->as,     r->cx,
                            r->ce, r->cs,    r->cz,       r->add_x, r->add_z, r->min_log, r->max_log};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) check_coefficient(p, i, names[k], values[k]);
    for (int k = 0; k < SCHED_HISTORY; k++) {
        check_coefficient(p, i, "ad", r->ad[k]);
        check_coefficient(p, i, "cd", r->cd[k]);
        assert(k < p->schedule->history || (r->ad[k] == 0 && r->cd[k] == 0));
    }
    assert(r->clip == CLIP_NONE || p->schedule->history > 0);
    p->schedule->saves |= r->save;
}

struct schedule *schedule_plan_from(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, int n_steps,
                                    int skip_steps) {
    int most = config->num_train_timesteps;
    if (n_steps < 1 || n_steps > most) die(FAIL_USAGE, "--steps: expected 1 to %d for this model, found %d", most, n_steps);
    assert(skip_steps >= 0 && scheduler == config->scheduler);
    struct schedule *s = arena_alloc(a, sizeof *s);
    *s = (struct schedule){.scheduler = scheduler, .n_steps = n_steps, .init_noise_sigma = 1, .order = 1};
    struct plan p = {.arena = a, .schedule = s, .config = config, .n_steps = n_steps, .skip_steps = skip_steps};
    scheduler->plan(&p);
    for (int i = 0; i < s->n_rows; i++) {
        bool last = i == s->n_rows - 1;
        s->rows[i].keep_x = last ? 1 : s->rows[i + 1].add_x;
        s->rows[i].keep_z = last ? 0 : s->rows[i + 1].add_z;
        check_row(&p, i, &s->rows[i]);
    }
    check_coefficient(&p, 0, "init_noise_sigma", s->init_noise_sigma);
    return s;
}

struct schedule *schedule_plan(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, int n_steps) {
    return schedule_plan_from(a, scheduler, config, n_steps, 0);
}

/* ---- the algebra of a model's output ----------------------------------------------------------------------------- */

enum prediction plan_prediction(const struct plan *p) {
    const char *kind = p->config->prediction_type;
    return !strcmp(kind, "epsilon") ? PREDICT_EPSILON : !strcmp(kind, "v_prediction") ? PREDICT_V : PREDICT_SAMPLE;
}

struct form form_x0(enum prediction kind, double alpha) {
    double a = sqrt(alpha), b = sqrt(1 - alpha);
    switch (kind) {
    case PREDICT_EPSILON: return (struct form){1 / a, -b / a};
    case PREDICT_V: return (struct form){a, -b};
    default: return (struct form){0, 1};
    }
}

struct form form_eps(enum prediction kind, double alpha) {
    double a = sqrt(alpha), b = sqrt(1 - alpha);
    switch (kind) {
    case PREDICT_EPSILON: return (struct form){0, 1};
    case PREDICT_V: return (struct form){b, a};
    default: return (struct form){1 / b, -a / b};
    }
}

struct form form_derivative(enum prediction kind, double sigma, double sigma_hat) {
    double square = sigma * sigma + 1;
    switch (kind) {
    case PREDICT_EPSILON: return (struct form){0, 1};
    case PREDICT_V: return (struct form){sigma * sigma / square / sigma_hat, sigma / sqrt(square) / sigma_hat};
    default: return (struct form){1 / sigma_hat, -1 / sigma_hat};
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

void row_vp(struct sched_row *r, double t, double alpha) {
    r->t = (float)t;
    r->sigma = (float)sqrt((1 - alpha) / fmax(alpha, 0x1p-24));
    r->add_x = (float)sqrt(alpha);
    r->add_z = (float)sqrt(1 - alpha);
}

void row_sigma(struct sched_row *r, double t, double sigma) {
    r->t = (float)t;
    r->sigma = (float)sigma;
    r->in_scale = (float)(1 / sqrt(sigma * sigma + 1));
    r->add_x = 1;
    r->add_z = (float)sigma;
}

bool row_clip(struct sched_row *r, const struct sched_config *c, struct form x0) {
    if (!c->thresholding && !c->clip_sample) return false;
    r->clip = c->thresholding ? CLIP_QUANTILE : CLIP_FIXED;
    r->clip_value = (float)(c->thresholding ? c->sample_max_value : c->clip_sample_range);
    r->clip_quantile = (float)c->dynamic_thresholding_ratio;
    /* ᾱ = 0 makes an infinity of x0, whose clipped value any large enough factor gives as well; its quantile is NaN */
    double most = c->thresholding ? INFINITY : 1e15;
    r->dx = (float)fmin(x0.x, most);
    r->de = (float)fmax(x0.e, -most);
    return true;
}

double churn_at(const struct plan *p, double sigma) {
    const struct sched_config *c = p->config;
    if (!(c->s_tmin <= sigma && sigma <= c->s_tmax)) return 0;
    return fmin(c->s_churn / (p->schedule->n_sigmas - 1), sqrt(2) - 1);
}

/* volatile: each product is rounded before the difference, also where the build fuses multiply-adds. */
struct ancestral ancestral_levels(float sigma, float next) {
    volatile float from2 = sigma * sigma, to2 = next * next;
    float up = sqrtf(to2 * (from2 - to2) / from2);
    volatile float up2 = up * up;
    return (struct ancestral){up, sqrtf(to2 - up2)};
}

float sigma_init_noise(const struct plan *p) {
    float max = 0;
    for (int i = 0; i < p->schedule->n_sigmas; i++) max = fmaxf(max, p->schedule->sigmas[i]);
    return strcmp(p->config->timestep_spacing, "leading") ? max : sqrtf(max * max + 1);
}
