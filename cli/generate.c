#include "cli/generate.h"
#include "cli/bench.h"
#include "cli/events.h"
#include "cli/open_device.h"
#include "cli/png.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/result.h"
#include "cli/template.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"

#include <stdio.h>
#include <string.h>

struct settings settings_of(const struct options *o) {
    return (struct settings){
        .model = o->model,
        .variant = o->variant,
        .prompt = o->prompt,
        .negative = o->negative,
        .seed = o->seed,
        .count = o->count,
        .steps = o->steps,
        .guidance = o->guidance,
        .guidance_rescale = o->guidance_rescale,
        .eta = o->eta,
        .clip_skip = o->clip_skip,
        .width = o->width,
        .height = o->height,
        .scheduler = o->scheduler,
        .rng = o->rng,
        .rng_sms = o->rng_sms,
        .rng_dtype = o->rng_dtype,
        .latents = o->latents,
        .dump = o->dump,
        .strict = o->strict,
        .vae_dtype_given = strcmp(o->vae_dtype, "auto") != 0,
        .vae_dtype = dtype_of(o->vae_dtype, DT_F32),
    };
}

/* The path of image k after `step` of its rows, -1 for the finished one. */
static const char *output_path(struct arena *a, const struct pipeline *p, const struct options *o, int k, int step) {
    if (!strcmp(o->output, "-")) return o->output;
    const struct settings *s = &p->settings;
    struct template_fields fields = {.seed = s->seed + (uint64_t)k,
                                     .n = k + 1,
                                     .prompt = s->prompt,
                                     .model = s->model,
                                     .scheduler = p->scheduler->names[0],
                                     .steps = s->steps,
                                     .width = s->width,
                                     .height = s->height,
                                     .step = step < 0 ? p->schedule->n_rows : step};
    return template_expand(a, step < 0 ? o->output : template_with_step(a, o->output), &fields);
}

static struct metadata metadata_of(const struct pipeline *p, int k) {
    const struct settings *s = &p->settings;
    return (struct metadata){
        .prompt = s->prompt,
        .negative = s->negative,
        .model = s->model,
        .revision = p->checkpoint->revision,
        .variant = s->variant,
        .scheduler = s->scheduler,
        .scheduler_class = p->scheduler->class_name,
        .latents = s->latents,
        .steps = s->steps,
        .width = s->width,
        .height = s->height,
        .clip_skip = s->clip_skip,
        .guidance = s->guidance,
        .guidance_rescale = s->guidance_rescale,
        .eta = s->eta,
        .seed = s->seed + (uint64_t)k,
        .rng = s->rng,
        .rng_sms = s->rng_sms,
        .rng_dtype = s->rng_dtype,
        .dtype = dtype_word(p->dtype),
        .device = p->device->name,
        .vae_dtype = p->vae && s->vae_dtype_given ? dtype_word(s->vae_dtype) : NULL,
    };
}

/* Everything that could keep a finished picture from being written, found before any work. */
static void check_outputs(struct arena *a, const struct pipeline *p, const struct options *o) {
    enum { CHECKED_MAX = 10000 };
    if (!strcmp(o->output, "-")) return;
    for (int k = 0; k < o->count && k < CHECKED_MAX; k++) {
        publish_check(output_path(a, p, o, k, -1), o->on_exists);
        for (int step = o->save_every; o->save_every && step < p->schedule->n_rows; step += o->save_every)
            publish_check(output_path(a, p, o, k, step), o->on_exists);
    }
}

struct run {
    struct pipeline *pipeline;
    const struct options *options;
    int k;
    bool load_reported;
};

static void write_request(struct arena *a, const struct pipeline *p, int k) {
    struct json_out j = {.text = {.arena = a}};
    struct metadata m = metadata_of(p, k);
    json_out_open(&j, NULL, '{');
    metadata_fields(&j, &m);
    json_out_close(&j, '{');
    const char *path = arena_printf(a, "%s/request.json", pipeline_dump_dir(p, a, k));
    publish_file(a, path, j.text.data, j.text.length, EXISTS_OVERWRITE);
}

static const void *encode(struct arena *a, const struct run *run, const uint8_t *rgb, size_t *size) {
    struct pipeline *p = run->pipeline;
    struct metadata m = metadata_of(p, run->k);
    struct png_comment comments[METADATA_COMMENTS_MAX];
    int n_comments = metadata_comments(a, &m, run->options->metadata, comments);
    return png_encode(a, rgb, p->settings.width, p->settings.height, comments, n_comments, size);
}

/* --save-every: the picture on its way. */
static void save_snapshot(const struct run *run, int step) {
    struct pipeline *p = run->pipeline;
    struct arena a = {0};
    uint8_t *rgb = arena_array(&a, 3 * (size_t)p->settings.width, (size_t)p->settings.height);
    size_t size;
    pipeline_snapshot(p, rgb);
    const void *png = encode(&a, run, rgb, &size);
    progress_clear();
    const char *path = publish_file(&a, output_path(&a, p, run->options, run->k, step), png, size, run->options->on_exists);
    if (path && !run->options->json) result_path(&a, path, run->options->null_separated);
    arena_free(&a);
}

static void on_step(void *data, int row, int n_rows) {
    struct run *run = data;
    int every = run->options->save_every;
    event_step(run->k + 1, row + 1, n_rows, run->pipeline->timings.step_ms[row]);
    if (every && (row + 1) % every == 0 && row + 1 < n_rows) save_snapshot(run, row + 1);
    progress_row(row + 1);
}

/* What became of one image: the path of a complete file, or the PNG itself where it goes to stdout. */
struct result {
    const char *path;
    bool skipped; /* the file was there and stays */
    const void *png;
    size_t size;
    double ms;
};

/* Once: as soon as the weights are known to be there. */
static void announce_load(struct run *run) {
    const struct pipeline *p = run->pipeline;
    if (run->load_reported || !p->loaded) return;
    run->load_reported = true;
    event_load(p->timings.bytes_read, p->timings.load_ms);
    if (run->options->verbose) report_load(p);
}

/* One image from noise to a published file. */
static struct result make_image(struct arena *a, struct run *run) {
    struct pipeline *p = run->pipeline;
    const struct options *o = run->options;
    const char *path = output_path(a, p, o, run->k, -1);
    bool to_stdout = !strcmp(path, "-");
    double start = clock_ms();
    if (!to_stdout && !publish_check(path, o->on_exists)) return (struct result){.path = path, .skipped = true};
    progress_image(run->k, o->count, p->schedule->n_rows);
    uint8_t *rgb = arena_array(a, 3 * (size_t)p->settings.width, (size_t)p->settings.height);
    pipeline_generate(p, run->k, rgb);
    announce_load(run);
    double made = clock_ms();
    if (p->settings.dump) write_request(a, p, run->k);
    struct result r = {.path = path};
    r.png = encode(a, run, rgb, &r.size);
    progress_clear();
    if (!to_stdout) {
        const char *published = publish_file(a, path, r.png, r.size, o->on_exists);
        r.skipped = !published; /* somebody else made it meanwhile */
        if (published) r.path = published;
    }
    r.ms = clock_ms() - start;
    if (o->verbose) report_picture(p, clock_ms() - made);
    return r;
}

/* Standard output lost ends the run, whatever images are left. */
static void report(struct arena *a, const struct run *run, const struct result *r) {
    if (!strcmp(r->path, "-")) {
        result_write(r->png, r->size);
        return;
    }
    event_image(run->k + 1, r->path, run->pipeline->settings.seed + (uint64_t)run->k, r->ms, r->skipped);
    if (!run->options->json) result_path(a, r->path, run->options->null_separated);
}

/* One of several images that fails is reported and the others are made. */
static bool make_one_of_many(struct arena *a, struct run *run, struct result *result) {
    struct job job;
    if (job_enter(&job)) {
        *result = make_image(a, run);
        job_leave(&job);
        return true;
    }
    progress_clear();
    fprintf(stderr, "diffuse: image %d: %s\n", run->k + 1, job.message);
    event_error(job.code, job.message);
    return false;
}

static int make_images(struct run *run) {
    int n_failed = 0;
    for (run->k = 0; run->k < run->options->count; run->k++) {
        struct arena a = {0};
        struct result result;
        bool made = true;
        if (run->options->count == 1) result = make_image(&a, run);
        else made = make_one_of_many(&a, run, &result);
        if (made) report(&a, run, &result);
        n_failed += !made;
        arena_free(&a);
    }
    return n_failed;
}

static void print_plan(struct arena *a, const struct pipeline *p, const struct options *o) {
    enum { PRINTED_MAX = 20 };
    for (int k = 0; k < o->count && k < PRINTED_MAX; k++)
        fprintf(stderr, "would write %s (seed %llu)\n", output_path(a, p, o, k, -1), (unsigned long long)(p->settings.seed + (uint64_t)k));
    if (o->count > PRINTED_MAX) fprintf(stderr, "… and %d more\n", o->count - PRINTED_MAX);
}

static void report_failure(int code, const char *message) {
    event_error(code, message);
    event_end(code, 0, 0);
}

/* Everything up to the first byte of weights: files checked, device open, memory known to be there. */
static struct pipeline *open_and_plan(struct arena *a, const struct options *o, struct startup *t) {
    struct settings settings = settings_of(o);
    double start = clock_ms();
    struct pipeline *p = pipeline_open(a, &settings);
    if (p->text && !settings.prompt) die_hint(FAIL_USAGE, "try 'diffuse --help'", "expected a prompt, found none");
    if (o->verbose) print_origins(a, p->scheduler, p->sched_config, checkpoint_find(p->checkpoint, "scheduler")->config);
    if (!o->bench) check_outputs(a, p, o);
    if (!o->dry_run) pipeline_read_ahead(p);
    double checked = clock_ms();
    struct device *device = device_open(o);
    double opened = clock_ms();
    if (device->own_memory) t->memory_free = device->memory_free(device);
    pipeline_plan(p, device);
    double planned = clock_ms();
    t->files = checked - start;
    t->device = opened - checked;
    t->plan = planned - opened;
    t->ready = planned - t->began;
    check_memory(p, o);
    return p;
}

static int make_pictures(struct pipeline *p, const struct options *o, const struct startup *t) {
    struct run run = {.pipeline = p, .options = o};
    struct metadata m = metadata_of(p, 0);
    event_start(&m, o->count);
    pipeline_load(p);
    announce_load(&run);
    p->on_step = on_step;
    p->on_step_data = &run;
    p->snapshots = o->save_every > 0;
    progress_begin(o->progress, o->color, o->quiet);
    int n_failed = make_images(&run), code = n_failed ? FAIL_ITEMS : 0;
    if (o->verbose) report_end(p, t);
    event_end(code, o->count - n_failed, clock_ms() - t->began);
    return code;
}

static int make_bench(struct pipeline *p, const struct options *o, const struct startup *t) {
    struct metadata m = metadata_of(p, 0);
    pipeline_load(p);
    bench_run(p, o, t, &m);
    return 0;
}

int generate(struct arena *a, const struct options *o) {
    struct startup startup = {.began = process_began()};
    int code = 0;
    device_start(o);
    if (o->json && !o->dry_run && !o->bench) {
        events_enable();
        error_on_exit(report_failure);
    }
    struct pipeline *p = open_and_plan(a, o, &startup);
    if (o->dry_run) {
        print_plan(a, p, o);
    } else {
        if (!o->seed_given && !o->quiet) fprintf(stderr, "seed %llu\n", (unsigned long long)p->settings.seed);
        if (o->verbose) report_start(p, &startup);
        code = o->bench ? make_bench(p, o, &startup) : make_pictures(p, o, &startup);
    }
    pipeline_close(p);
    return code;
}
