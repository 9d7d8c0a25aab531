#include "cli/bench.h"

#include "cli/json_out.h"
#include "cli/progress.h"
#include "cli/result.h"
#include "cli/version.h"
#include "engine/base/clock.h"

enum part { TEXT, STEP, VAE, IMAGE, N_PARTS };
static const char *const part_names[N_PARTS] = {"text", "step", "vae", "image"};

/* What was measured, in milliseconds: values of each part, one a run, but one a step of each run for STEP. */
struct measured {
    double *values[N_PARTS];
    int n[N_PARTS];
    struct spread spread[N_PARTS];
};

static void add(struct measured *m, enum part part, double ms) {
    m->values[part][m->n[part]++] = ms;
}

/* The whole request, from the text on. */
static void measure(struct pipeline *p, uint8_t *rgb, struct measured *m) {
    double start = clock_ms();
    p->prepared = false;
    pipeline_generate(p, 0, rgb);
    add(m, IMAGE, clock_ms() - start);
    if (p->text) add(m, TEXT, p->timings.text_ms);
    if (p->vae) add(m, VAE, p->timings.vae_ms);
    for (int i = 0; i < p->schedule->n_rows; i++) add(m, STEP, p->timings.step_ms[i]);
}

static void on_step(void *data, int row, int n_rows) {
    (void)data, (void)n_rows;
    progress_row(row + 1);
}

static void measure_all(struct pipeline *p, const struct options *o, struct measured *m) {
    uint8_t *rgb = arena_array(p->arena, 3 * (size_t)p->settings.width, (size_t)p->settings.height);
    for (int i = 0; i < N_PARTS; i++)
        m->values[i] = arena_array(p->arena, (size_t)(o->bench + 1) * (size_t)(i == STEP ? p->schedule->n_rows : 1), sizeof(double));
    p->on_step = on_step;
    progress_begin(o->progress, o->color, o->quiet);
    for (int k = 0; k <= o->bench; k++) {
        progress_image(k, o->bench + 1, p->schedule->n_rows);
        measure(p, rgb, m);
        if (k == 0)
            for (int i = 0; i < N_PARTS; i++) m->n[i] = 0; /* that was the warm-up */
    }
    progress_clear();
    for (int i = 0; i < N_PARTS; i++)
        if (m->n[i]) m->spread[i] = spread_of(m->values[i], m->n[i]);
}

static void print_text(struct buffer *b, const struct pipeline *p, const struct options *o, const struct startup *t,
                       const struct metadata *about, const struct measured *m) {
    struct memory_plan plan = pipeline_memory(p);
    const struct timings *times = &p->timings;
    buffer_printf(b, "%s (%s) %s%s%s, %dx%d, %s, %d steps (%d model calls of %d image%s)\n", about->device, p->device->product,
                  about->dtype, about->vae_dtype ? ", vae " : "", about->vae_dtype ? about->vae_dtype : "", about->width, about->height,
                  about->scheduler_class, about->steps, p->schedule->n_rows, 1 + p->guided, p->guided ? "s" : "");
    buffer_printf(b, "%-6s %12s %12s %12s   ms, of %d run%s after one\n", "", "median", "p95", "min", o->bench, o->bench > 1 ? "s" : "");
    for (int i = 0; i < N_PARTS; i++)
        if (m->n[i])
            buffer_printf(b, "%-6s %12.3f %12.3f %12.3f\n", part_names[i], m->spread[i].median, m->spread[i].p95, m->spread[i].min);
    buffer_printf(b, "start %.1f ms; load %.3f GB in %.1f ms; peak memory %.3f GB, planned %.3f GB\n", t->ready,
                  (double)times->bytes_read / 1e9, times->load_ms, (double)peak_memory(p, t) / 1e9,
                  (double)(plan.weights + plan.activations + plan.scratch) / 1e9);
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

static void print_json(struct json_out *j, const struct pipeline *p, const struct options *o, const struct startup *t,
                       const struct metadata *about, const struct measured *m) {
    struct memory_plan plan = pipeline_memory(p);
    json_out_open(j, NULL, '{');
    json_out_u64(j, "v", 1);
    json_out_string(j, "version", DIFFUSE_VERSION);
    json_out_u64(j, "bench", (uint64_t)o->bench);
    json_out_string(j, "product", p->device->product);
    json_out_u64(j, "model_calls", (uint64_t)p->schedule->n_rows);
    json_out_u64(j, "images_a_call", (uint64_t)(1 + p->guided));
    json_out_open(j, "ms", '{');
    for (int i = 0; i < N_PARTS; i++)
        if (m->n[i]) print_spread(j, part_names[i], m->spread[i]);
    json_out_close(j, '{');
    json_out_open(j, "start_ms", '{');
    add_ms(j, "files", t->files);
    add_ms(j, "device", t->device);
    add_ms(j, "plan", t->plan);
    add_ms(j, "ready", t->ready);
    json_out_close(j, '{');
    json_out_u64(j, "load_bytes", p->timings.bytes_read);
    add_ms(j, "load_ms", p->timings.load_ms);
    json_out_u64(j, "planned_bytes", plan.weights + plan.activations + plan.scratch);
    json_out_u64(j, "peak_bytes", peak_memory(p, t));
    metadata_fields(j, about);
    json_out_close(j, '{');
}

void bench_run(struct pipeline *p, const struct options *o, const struct startup *t, const struct metadata *m) {
    struct measured measured = {0};
    measure_all(p, o, &measured);
    struct json_out j = {.text = {.arena = p->arena}};
    if (o->json) {
        print_json(&j, p, o, t, m, &measured);
        buffer_add(&j.text, "\n", 1);
    } else {
        print_text(&j.text, p, o, t, m, &measured);
    }
    result_write(j.text.data, j.text.length);
}
