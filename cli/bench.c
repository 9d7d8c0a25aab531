#include "cli/bench.h"

#include "cli/json_out.h"
#include "cli/progress.h"
#include "cli/result.h"
#include "cli/settings_table.h"
#include "cli/version.h"
#include "engine/base/clock.h"

enum timed { TEXT, STEP, VAE, IMAGE, N_TIMED };
static const char *const timed_names[N_TIMED] = {"text", "step", "vae", "image"};

/* What was measured, in milliseconds: values of each stage, one a run, but one a step of each run for STEP. */
struct measured {
    double *values[N_TIMED];
    int n[N_TIMED];
    struct spread spread[N_TIMED];
};

static void add(struct measured *m, enum timed stage, double ms) {
    m->values[stage][m->n[stage]++] = ms;
}

/* The whole request, from the text on. */
static void on_step(void *data, struct picture *p, int row) {
    (void)data, (void)p;
    progress_row(row + 1);
}

static void measure(struct request *r, uint8_t *rgb, struct measured *m) {
    struct arena a = {0};
    double start = clock_ms();
    model_forget(r->model);
    struct picture *p = picture_open(&a, r, 0);
    p->drawing->on_step = on_step;
    picture_draw(p, rgb);
    add(m, IMAGE, clock_ms() - start);
    if (r->model->n_texts) add(m, TEXT, p->timings.text_ms);
    if (r->model->vae) add(m, VAE, p->timings.vae_ms);
    for (int i = 0; i < request_rows(r); i++) add(m, STEP, p->timings.step_ms[i]);
    arena_free(&a);
}

static void measure_all(struct request *r, const struct options *o, struct measured *m) {
    uint8_t *rgb = arena_alloc(r->arena, request_pixel_count(r));
    for (int i = 0; i < N_TIMED; i++)
        m->values[i] = arena_array(r->arena, (size_t)(o->bench + 1) * (size_t)(i == STEP ? request_rows(r) : 1), sizeof(double));
    progress_begin(o->progress, o->color, o->quiet);
    for (int k = 0; k <= o->bench; k++) {
        progress_image(k, 1, o->bench + 1, request_rows(r));
        measure(r, rgb, m);
        if (k == 0)
            for (int i = 0; i < N_TIMED; i++) m->n[i] = 0; /* that was the warm-up */
    }
    progress_clear();
    for (int i = 0; i < N_TIMED; i++)
        if (m->n[i]) m->spread[i] = spread_of(m->values[i], m->n[i]);
}

static void print_text(struct buffer *b, const struct request *r, const struct options *o, const struct startup *t,
                       const struct metadata *about, const struct measured *m) {
    const struct model *model = r->model;
    const struct settings *s = about->settings;
    struct memory_plan plan = model_memory(model);
    buffer_printf(b, "%s (%s) %s%s%s, %dx%d, %s, %d steps (%d model calls of %d image%s)\n", about->device, model->device->product,
                  about->dtype, s->vae_dtype_given ? ", vae " : "", s->vae_dtype_given ? dtype_word(s->vae_dtype) : "", s->width, s->height,
                  about->scheduler_class, s->steps, request_rows(r), r->copies, r->copies > 1 ? "s" : "");
    buffer_printf(b, "%-6s %12s %12s %12s   ms, of %d run%s after one\n", "", "median", "p95", "min", o->bench, o->bench > 1 ? "s" : "");
    for (int i = 0; i < N_TIMED; i++)
        if (m->n[i])
            buffer_printf(b, "%-6s %12.3f %12.3f %12.3f\n", timed_names[i], m->spread[i].median, m->spread[i].p95, m->spread[i].min);
    buffer_printf(b, "start %.1f ms; load %.3f GB in %.1f ms; peak memory %.3f GB, planned %.3f GB\n", t->ready,
                  (double)model->bytes_read / 1e9, model->load_ms, (double)peak_memory(model, t) / 1e9,
                  (double)(memory_plan_sum(plan) + model_program_bytes(model)) / 1e9);
}

/* Microseconds are enough. */
static void add_ms(struct json_out *j, const char *key, double ms) {
    json_out_number(j, key, (double)(int64_t)(ms * 1e3 + 0.5) / 1e3);
}

static void print_spread(struct json_out *j, const char *key, struct spread s) {
    json_out_open(j, key, '{');
    add_ms(j, "median", s.median);
    add_ms(j, "p95", s.p95);
    add_ms(j, "min", s.min);
    json_out_close(j, '{');
}

static void print_json(struct json_out *j, const struct request *r, const struct options *o, const struct startup *t,
                       const struct metadata *about, const struct measured *m) {
    const struct model *model = r->model;
    struct memory_plan plan = model_memory(model);
    json_out_open(j, NULL, '{');
    json_out_u64(j, "v", 1);
    json_out_string(j, "version", DIFFUSE_VERSION);
    json_out_u64(j, "bench", (uint64_t)o->bench);
    json_out_string(j, "product", model->device->product);
    json_out_u64(j, "model_calls", (uint64_t)request_rows(r));
    json_out_u64(j, "images_a_call", (uint64_t)r->copies);
    json_out_open(j, "ms", '{');
    for (int i = 0; i < N_TIMED; i++)
        if (m->n[i]) print_spread(j, timed_names[i], m->spread[i]);
    json_out_close(j, '{');
    json_out_open(j, "start_ms", '{');
    add_ms(j, "files", t->files);
    add_ms(j, "device", t->device);
    add_ms(j, "plan", t->plan);
    add_ms(j, "ready", t->ready);
    json_out_close(j, '{');
    json_out_u64(j, "load_bytes", model->bytes_read);
    add_ms(j, "load_ms", model->load_ms);
    json_out_u64(j, "planned_bytes", memory_plan_sum(plan) + model_program_bytes(model));
    json_out_u64(j, "peak_bytes", peak_memory(model, t));
    metadata_fields(j, about);
    json_out_close(j, '{');
}

void bench_run(struct request *r, const struct options *o, const struct startup *t, const struct metadata *m) {
    struct measured measured = {0};
    measure_all(r, o, &measured);
    if (o->json) model_hash_weights(r->model); /* not beside what is measured */
    struct json_out j = {.text = {.arena = r->arena}};
    if (o->json) {
        print_json(&j, r, o, t, m, &measured);
        buffer_add(&j.text, "\n", 1);
    } else {
        print_text(&j.text, r, o, t, m, &measured);
    }
    result_write(j.text.data, j.text.length);
}
