/* Guidance and the scheduler's row (schedulers/scheduler.h). Latents are small (a 512x512 picture's are 64 KB): clear
 * beats clever. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include "engine/cpu/row.h"

static size_t latents_size(const struct latents *l) {
    return (size_t)l->N * l->H * l->W * l->C;
}

void cpu_set_schedule(struct device *dev, const struct sched_row *rows, int n_rows, int depth) {
    struct cpu_schedule *s = &cpu_of(dev)->schedule;
    free(s->rows);
    s->rows = cpu_new((size_t)n_rows * sizeof *rows);
    memcpy(s->rows, rows, (size_t)n_rows * sizeof *rows);
    s->row = -1, s->head = 0, s->depth = depth;
}

void cpu_next_row(struct device *dev, struct view y, struct view table) {
    int row = ++cpu_of(dev)->schedule.row;
    size_t item = view_item(y);
    if (y.p) memcpy(y.p, (char *)table.p + (size_t)row * (size_t)table.ld * item, (size_t)y.C * item);
}

void cpu_row_input(struct device *dev, struct view y, const struct latents *l, int copies) {
    const struct cpu_schedule *s = &cpu_of(dev)->schedule;
    for (int i = 0; i < copies; i++) cpu_model_input(dev, view_images(y, i * l->N, l->N), l->x, s->rows[s->row].in_scale);
}

void cpu_sched_step_plan(struct device *dev, const struct latents *l, struct view out, struct guidance guidance) {
    (void)out, (void)guidance;
    /* cond and seen; then v, and its magnitudes sorted or the next x */
    cpu_scratch_reserve(cpu_of(dev), 2 * latents_size(l) * sizeof(float));
}

/* ---- guidance ---------------------------------------------------------------------------------------------------- */

/* The images of `out` from n0 on, dense. */
static void model_output(struct device *dev, float *e, struct view out, int n0, int N) {
    cpu_download(dev, e, view_images(out, n0, N));
}

static double unbiased_std(const float *x, size_t n) {
    double mean = 0, sum = 0;
    for (size_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

static void guide(struct device *dev, const struct latents *l, struct view out, struct guidance g) {
    size_t n = latents_size(l), per_image = n / (size_t)l->N;
    float *cond = cpu_of(dev)->scratch, *seen = cond + n, *e = l->e;
    out = view_slice(out, 0, l->C);
    model_output(dev, e, out, 0, l->N);
    if (out.N == l->N) return;
    model_output(dev, cond, out, out.N - l->N, l->N);
    if (out.N == 3 * l->N) {
        model_output(dev, seen, out, l->N, l->N);
        for (size_t i = 0; i < n; i++) e[i] = e[i] + g.scale * (cond[i] - seen[i]) + g.image * (seen[i] - e[i]);
    } else {
        for (size_t i = 0; i < n; i++) e[i] += g.scale * (cond[i] - e[i]);
    }
    for (size_t i = 0; g.rescale > 0 && i < n; i += per_image) {
        float ratio = (float)(unbiased_std(cond + i, per_image) / unbiased_std(e + i, per_image));
        float factor = g.rescale * ratio + (1 - g.rescale);
        for (size_t j = i; j < i + per_image; j++) e[j] *= factor;
    }
}

/* ---- the row ----------------------------------------------------------------------------------------------------- */

/* y += k x; what a row does not use may be uninitialised, so 0 x is not computed. */
static void axpy(float *y, float k, const float *x, size_t n) {
    if (k == 0) return;
    assert(x);
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] += k * x[i];
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* torch.quantile with linear interpolation: the rank is an f32 there too. */
static float quantile(float *sorted, size_t n, float q) {
    qsort(sorted, n, sizeof *sorted, compare_floats);
    float rank = q * (float)(n - 1);
    size_t below = (size_t)floorf(rank), above = (size_t)ceilf(rank);
    return sorted[below] + (rank - floorf(rank)) * (sorted[above] - sorted[below]);
}

static void clip(float *v, float *scratch, size_t n, size_t per_image, const struct sched_row *row) {
    for (size_t i = 0; row->clip != CLIP_NONE && i < n; i += per_image) {
        float limit = row->clip_value, divide = 1;
        if (row->clip == CLIP_QUANTILE) {
            for (size_t j = 0; j < per_image; j++) scratch[j] = fabsf(v[i + j]);
            limit = fminf(fmaxf(quantile(scratch, per_image, row->clip_quantile), 1), row->clip_value);
            divide = limit;
        }
        for (size_t j = i; j < i + per_image; j++) v[j] = (v[j] < -limit ? -limit : v[j] > limit ? limit : v[j]) / divide;
    }
}

/* y += k u z with the deviation u of the predicted variance p, which is overwritten. */
static void add_learned_noise(float *y, float k, float *p, const float *z, size_t n, const struct sched_row *row) {
    if (k == 0) return;
    for (size_t i = 0; i < n; i++) {
        float large = (p[i] + 1) / 2;
        float log_variance = large * row->max_log + (1 - large) * row->min_log;
        p[i] = row->variance == VARIANCE_LEARNED ? sqrtf(p[i]) : expf(0.5f * log_variance);
    }
    for (size_t i = 0; i < n; i++) y[i] += k * p[i] * z[i];
}

static void keep_unmasked(float *x, const struct latents *l, const struct sched_row *row, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float m = l->mask[i / (size_t)l->C];
        x[i] = (1 - m) * (row->keep_x * l->clean[i] + row->keep_z * l->noise[i]) + m * x[i];
    }
}

void cpu_sched_step(struct device *dev, const struct latents *l, struct view out, struct guidance guidance) {
    size_t n = latents_size(l);
    struct cpu_schedule *s = &cpu_of(dev)->schedule;
    const struct sched_row *row = &s->rows[s->row];
    int depth = s->depth;
    float *v = cpu_of(dev)->scratch, *spare = v + n;
    guide(dev, l, out, guidance);

    memset(v, 0, n * sizeof *v);
    axpy(v, row->dx, l->x, n);
    axpy(v, row->de, l->e, n);
    clip(v, spare, n, n / (size_t)l->N, row);
    if (row->push) {
        assert(depth > 0);
        s->head = (s->head + depth - 1) % depth; /* the oldest value's slot becomes the newest's */
        memcpy(l->d[s->head], v, n * sizeof *v);
    }
    const float *d[SCHED_HISTORY] = {v};
    for (int k = 1; k < depth; k++) d[k] = l->d[(s->head + k) % depth];

    float *next = spare;
    if (row->save) {
        memset(next, 0, n * sizeof *next);
        axpy(next, row->ax, l->x, n);
        axpy(next, row->as, l->saved, n);
        for (int k = 0; k < SCHED_HISTORY; k++) axpy(next, row->ad[k], d[k], n);
        memcpy(l->saved, next, n * sizeof *next);
    }
    memset(next, 0, n * sizeof *next);
    axpy(next, row->cx, l->x, n);
    axpy(next, row->ce, l->e, n);
    axpy(next, row->cs, l->saved, n);
    for (int k = 0; k < SCHED_HISTORY; k++) axpy(next, row->cd[k], d[k], n);
    if (row->variance) {
        cpu_download(dev, v, view_slice(out, l->C, l->C)); /* v has been used */
        add_learned_noise(next, row->cz, v, l->z, n, row);
    } else {
        axpy(next, row->cz, l->z, n);
    }
    if (l->mask) keep_unmasked(next, l, row, n);
    memcpy(l->x, next, n * sizeof *next);
    if (depth) s->head = (s->head + row->drop) % depth;
}
