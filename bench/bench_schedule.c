/* Times the schedulers: bench_schedule [repeats]
 * One line a scheduler: the median time of planning 1000 steps, and of one step on the CPU device for a 512x512 picture
 * with guidance: latents [1,4,64,64], model output [2,64,64,4], in the row that does most.
 * make build/release/bench_schedule, or cc -std=c11 -D_GNU_SOURCE -I. -O3 -march=native -fopenmp bench/bench_schedule.c
 * build/release/libdiffuse.a -ldnnl -lcjson -lutf8proc -lpng -lm */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/clock.h"
#include "engine/cpu/cpu.h"
#include "engine/base/json.h"

enum { STEPS = 1000, N_LATENTS = 4 * 64 * 64 };

/* Stable Diffusion's noise over 2000 timesteps: the multistep solvers find no 1000 different levels among 1000. */
static struct schedule *plan(struct arena *a, const struct scheduler *s) {
    const char *text = arena_printf(a,
                                    "{\"_class_name\":\"%s\",\"beta_start\":0.00085,\"beta_end\":0.012,"
                                    "\"beta_schedule\":\"scaled_linear\",\"num_train_timesteps\":2000,"
                                    "\"original_inference_steps\":%d}",
                                    s->class_name, STEPS);
    const struct json *stored = json_parse(a, text, strlen(text), "bench");
    struct sched_config *config = sched_config_load(a, stored, "bench", NULL, NULL, FIXUP_NONE, NULL, &s);
    return schedule_plan(a, s, config, STEPS);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *ms, int n) {
    qsort(ms, (size_t)n, sizeof *ms, compare);
    return ms[n / 2];
}

static double time_plan(const struct scheduler *s, double *ms, int repeats) {
    for (int i = 0; i < repeats; i++) {
        struct arena a = {0};
        double start = clock_ms();
        plan(&a, s);
        ms[i] = clock_ms() - start;
        arena_free(&a);
    }
    return median(ms, repeats);
}

static int terms(const struct sched_row *r) {
    int n = (r->dx != 0) + (r->de != 0) + (r->ax != 0) + (r->as != 0) + (r->cx != 0) + (r->ce != 0) + (r->cs != 0);
    for (int k = 0; k < SCHED_HISTORY; k++) n += (r->ad[k] != 0) + (r->cd[k] != 0);
    return n + (r->cz != 0) + r->push + r->save;
}

static float *buffer_new(struct arena *a, size_t n) {
    float *x = arena_array(a, n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return x;
}

static double time_step(struct arena *a, const struct schedule *s, double *ms, int repeats) {
    struct device *dev = cpu_device_open(DT_F32, 1);
    struct latents l = {1, 64, 64, 4, .x = buffer_new(a, N_LATENTS), .z = buffer_new(a, N_LATENTS)};
    l.e = buffer_new(a, N_LATENTS);
    l.saved = buffer_new(a, N_LATENTS);
    for (int k = 0; k < s->history; k++) l.d[k] = buffer_new(a, N_LATENTS);
    const struct sched_row *row = s->rows;
    for (int i = 0; i < s->n_rows; i++)
        if (terms(&s->rows[i]) > terms(row)) row = &s->rows[i];
    struct view out = view_alloc(dev, 2, 64, 64, 4);
    struct guidance guidance = {.scale = 7.5f};
    dev->ops->sched_step(dev, &l, out, guidance);
    dev->plan_end(dev);
    out = view_alloc(dev, 2, 64, 64, 4);
    dev->ops->upload(dev, out, buffer_new(a, 2 * N_LATENTS));
    float *x = buffer_new(a, N_LATENTS);
    for (int i = 0; i < repeats; i++) {
        memcpy(l.x, x, N_LATENTS * sizeof *x);
        dev->ops->set_schedule(dev, row, 1, s->history);
        dev->ops->next_row(dev, no_view, no_view);
        double start = clock_ms();
        dev->ops->sched_step(dev, &l, out, guidance);
        ms[i] = clock_ms() - start;
    }
    dev->close(dev);
    return median(ms, repeats);
}

int main(int argc, char **argv) {
    int repeats = argc > 1 ? atoi(argv[1]) : 201;
    if (repeats < 1) return 2;
    double *ms = malloc((size_t)repeats * sizeof *ms);
    printf("%-32s %10s %10s\n", "", "plan, ms", "step, ms");
    for (const struct scheduler *const *s = schedulers; *s; s++) {
        struct arena a = {0};
        double planned = time_plan(*s, ms, repeats);
        printf("%-32s %10.3f %10.3f\n", (*s)->class_name, planned, time_step(&a, plan(&a, *s), ms, repeats));
        arena_free(&a);
    }
    free(ms);
    return 0;
}
