#include "cli/generate.h"
#include "cli/events.h"
#include "cli/png.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/result.h"
#include "cli/template.h"
#include "cuda/cuda.h"
#include "engine/clock.h"
#include "engine/cpu/cpu.h"
#include "engine/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct settings settings_of(const struct options *o) {
    return (struct settings){
        .model = o->model, .variant = o->variant, .prompt = o->prompt, .negative = o->negative, .seed = o->seed, .count = o->count,
        .steps = o->steps, .guidance = o->guidance, .guidance_rescale = o->guidance_rescale, .eta = o->eta, .clip_skip = o->clip_skip,
        .width = o->width, .height = o->height, .scheduler = o->scheduler, .rng = o->rng, .rng_sms = o->rng_sms,
        .rng_dtype = o->rng_dtype, .latents = o->latents, .dump = o->dump, .strict = o->strict,
    };
}

static struct device *open_device(const struct options *o) {
    bool cuda = o->device == DEVICE_CUDA || (o->device == DEVICE_AUTO && !cuda_device_missing());
    enum dtype dtype = !strcmp(o->dtype, "bf16") ? DT_BF16 : !strcmp(o->dtype, "fp16") ? DT_F16 : DT_F32;
    if (cuda) return cuda_device_open(!strcmp(o->dtype, "auto") ? DT_F16 : dtype, o->device_index);
    if (dtype == DT_F16) die_hint(FAIL_DEVICE, "--dtype fp32 or bf16", "--dtype fp16: the CPU device computes in fp32 or bf16");
    return cpu_device_open(dtype, o->threads);
}

/* Bytes the system can still hand out, or 0 where it does not say. */
static uint64_t memory_available(void) {
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}

/* oneDNN does not survive an allocation that fails while it makes its kernels. */
static void check_address_space(uint64_t need) {
    enum { KERNELS = 256 << 20 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < need + KERNELS)
        die(FAIL_MEMORY, "out of memory: the address space limit (ulimit -v) is %.2f GB, %.2f GB needed", (double)limit.rlim_cur / 1e9,
            (double)(need + KERNELS) / 1e9);
}

static void check_memory(const struct pipeline *p, const struct options *o) {
    struct memory_plan m = pipeline_memory(p);
    uint64_t need = m.weights + m.activations + m.scratch, free_bytes = memory_available();
    if (o->verbose || o->dry_run)
        fprintf(stderr, "memory: weights %.2f GB, activations %.2f GB, scratch %.2f GB\n", (double)m.weights / 1e9, (double)m.activations / 1e9,
                (double)m.scratch / 1e9);
    check_address_space(need);
    if (free_bytes && need > free_bytes)
        die_hint(FAIL_MEMORY, "a smaller --size, or --dtype bf16", "out of memory: %.2f GB needed, %.2f GB free", (double)need / 1e9,
                 (double)free_bytes / 1e9);
}

/* The path of image k after `step` of its rows, -1 for the finished one. */
static const char *output_path(struct arena *a, const struct pipeline *p, const struct options *o, int k, int step) {
    if (!strcmp(o->output, "-")) return o->output;
    const struct settings *s = &p->settings;
    struct template_fields fields = {.seed = s->seed + (uint64_t)k, .n = k + 1, .prompt = s->prompt, .model = s->model,
                                     .scheduler = p->scheduler->names[0], .steps = s->steps, .width = s->width, .height = s->height,
                                     .step = step < 0 ? p->schedule->n_rows : step};
    return template_expand(a, step < 0 ? o->output : template_with_step(a, o->output), &fields);
}

static struct metadata metadata_of(const struct pipeline *p, int k) {
    const struct settings *s = &p->settings;
    return (struct metadata){
        .prompt = s->prompt, .negative = s->negative, .model = s->model, .revision = p->checkpoint->revision, .variant = s->variant,
        .scheduler = s->scheduler, .scheduler_class = p->scheduler->class_name, .latents = s->latents, .steps = s->steps, .width = s->width,
        .height = s->height, .clip_skip = s->clip_skip, .guidance = s->guidance, .guidance_rescale = s->guidance_rescale, .eta = s->eta,
        .seed = s->seed + (uint64_t)k, .rng = s->rng, .rng_sms = s->rng_sms, .rng_dtype = s->rng_dtype,
        .dtype = p->device->dtype == DT_F32 ? "fp32" : p->device->dtype == DT_BF16 ? "bf16" : "fp16", .device = p->device->name,
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

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report_timings(struct arena *a, const struct pipeline *p, double png_ms) {
    int n = p->schedule->n_rows;
    double *sorted = arena_array(a, (size_t)n, sizeof *sorted);
    memcpy(sorted, p->timings.step_ms, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    progress_clear();
    fprintf(stderr, "text %.0f ms; %d steps: median %.0f ms, p95 %.0f ms; vae %.0f ms; png %.1f ms\n", p->timings.text_ms, n, sorted[n / 2],
            sorted[(n * 95 + 99) / 100 - 1], p->timings.vae_ms, png_ms);
}

struct run {
    struct pipeline *pipeline;
    const struct options *options;
    int k;
    double row_start;
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
    double now = clock_ms();
    event_step(run->k + 1, row + 1, n_rows, now - run->row_start);
    if (every && (row + 1) % every == 0 && row + 1 < n_rows) save_snapshot(run, row + 1);
    run->row_start = clock_ms();
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

/* One image from noise to a published file. */
static struct result make_image(struct arena *a, struct run *run) {
    struct pipeline *p = run->pipeline;
    const struct options *o = run->options;
    const char *path = output_path(a, p, o, run->k, -1);
    bool to_stdout = !strcmp(path, "-");
    double start = clock_ms();
    if (!to_stdout && !publish_check(path, o->on_exists)) return (struct result){.path = path, .skipped = true};
    progress_image(run->k, o->count, p->schedule->n_rows);
    run->row_start = start;
    uint8_t *rgb = arena_array(a, 3 * (size_t)p->settings.width, (size_t)p->settings.height);
    pipeline_generate(p, run->k, rgb);
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
    if (o->verbose) report_timings(a, p, clock_ms() - made);
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

int generate(struct arena *a, const struct options *o) {
    double start = clock_ms();
    struct settings settings = settings_of(o);
    if (o->json && !o->dry_run) {
        events_enable();
        error_on_exit(report_failure);
    }
    struct pipeline *p = pipeline_open(a, &settings);
    if (p->text && !settings.prompt) die_hint(FAIL_USAGE, "try 'diffuse --help'", "expected a prompt, found none");
    if (o->verbose) print_origins(a, p->scheduler, p->sched_config, checkpoint_find(p->checkpoint, "scheduler")->config);
    check_outputs(a, p, o);
    check_address_space(0);
    pipeline_plan(p, open_device(o));
    check_memory(p, o);
    if (o->dry_run) {
        print_plan(a, p, o);
        pipeline_close(p);
        return 0;
    }
    if (!o->seed_given && !o->quiet) fprintf(stderr, "seed %llu\n", (unsigned long long)p->settings.seed);
    struct metadata m = metadata_of(p, 0);
    event_start(&m, o->count);
    pipeline_load(p);
    event_load(p->timings.bytes_read, p->timings.load_ms);
    if (o->verbose)
        fprintf(stderr, "%s: start %.0f ms; loaded %.2f GB in %.0f ms (%.2f GB/s)\n", p->device->name, clock_ms() - start - p->timings.load_ms,
                (double)p->timings.bytes_read / 1e9, p->timings.load_ms, (double)p->timings.bytes_read / 1e6 / p->timings.load_ms);

    struct run run = {.pipeline = p, .options = o};
    p->on_step = on_step;
    p->on_step_data = &run;
    p->snapshots = o->save_every > 0;
    progress_begin(o->progress, o->color, o->quiet);
    int n_failed = make_images(&run), code = n_failed ? FAIL_ITEMS : 0;
    event_end(code, o->count - n_failed, clock_ms() - start);
    pipeline_close(p);
    return code;
}
