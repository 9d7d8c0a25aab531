#include "cli/generate.h"
#include "cli/archive.h"
#include "cli/bench.h"
#include "cli/events.h"
#include "cli/forecast.h"
#include "cli/notes.h"
#include "cli/open_device.h"
#include "cli/outputs.h"
#include "cli/paths.h"
#include "cli/preview.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/recorded.h"
#include "cli/report.h"
#include "cli/request_hash.h"
#include "cli/result.h"
#include "cli/resume.h"
#include "cli/settings_table.h"
#include "cli/signals.h"
#include "cli/together.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/pipelines/identity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct metadata about_image(const struct request *r, int k) {
    const struct device *device = r->model->device;
    return (struct metadata){
        .settings = &r->settings,
        .seed = r->settings.seed + (uint64_t)k,
        .revision = r->model->checkpoint->revision,
        .scheduler_class = r->scheduler->class_name,
        .sampler = sched_config_sampler(r->sched_config, r->scheduler),
        .schedule_type = sched_config_schedule_type(r->sched_config),
        .dtype = device ? dtype_computed(r->model) : NULL,
        .device = device ? device->name : NULL,
        .product = device && !device->isa ? device->product : NULL,
        .isa = device ? device->isa : NULL,
        .model = r->model,
        .controls = r->controls,
        .n_controls = r->n_controls,
        .inputs = &r->inputs,
    };
}

static void write_request(struct arena *a, const struct picture *p) {
    const struct request *r = p->drawing->request;
    struct json_out j = {.text = {.arena = a}};
    struct metadata m = about_image(r, p->k);
    m.verdict = p->verdict;
    json_out_open(&j, NULL, '{');
    metadata_fields(&j, &m);
    json_out_close(&j, '{');
    const char *path = arena_printf(a, "%s/request.json", request_dump_dir(r, a, p->k));
    publish_file(a, path, j.text.data, j.text.length, EXISTS_OVERWRITE);
}

/* step: 0 for the finished picture */
static const void *encode(struct arena *a, struct run *run, const struct picture *p, uint8_t *rgb, int step, size_t *size) {
    struct metadata m = about_image(run->request, run->k);
    enum image_format format = image_format_of(run->options->output);
    int quality = run->options->quality ? run->options->quality : QUALITY_DEFAULT;
    m.step = step;
    m.quality = format == IMAGE_PNG ? 0 : quality;
    m.verdict = p->verdict;
    m.request = step ? NULL : run->hash;
    struct image_comment comments[METADATA_COMMENTS_MAX];
    int n_comments = metadata_comments(a, &m, run->options->metadata, comments);
    run->json = comment_text((struct image_comments){comments, n_comments}, "diffuse");
    struct image image = {run->request->width, run->request->height, run->request->model->picture_channels, rgb};
    return image_encode(a, format, &image, (struct image_comments){comments, n_comments}, quality, size);
}

/* --save-every: the picture on its way. */
static void save_snapshot(struct run *run, struct picture *p, int step) {
    struct arena a = {0};
    uint8_t *rgb = arena_alloc(&a, request_pixel_count(run->request));
    size_t size;
    picture_snapshot(p, rgb);
    const void *file = encode(&a, run, p, rgb, step, &size);
    progress_clear();
    const char *path = publish_file(&a, path_of_image(&a, run->request, run->options, run->k, step), file, size, run->options->on_exists);
    if (path) output_note_own(&a, run, path);
    if (path && !run->options->json) result_path(&a, path, run->options->null_separated);
    arena_free(&a);
}

static void on_step(void *data, struct picture *p, int row) {
    struct run *run = data;
    int every = run->options->save_every, n_rows = request_rows(run->request);
    event_step(p->k + 1, row + 1, n_rows, p->timings.step_ms[row]);
    preview_step(run->options, p, row);
    if (every && (row + 1) % every == 0 && row + 1 < n_rows) save_snapshot(run, p, row + 1);
    progress_row(row + 1);
}

/* What became of one image: the path of a complete file, or the file itself where it goes to stdout. */
struct result {
    const char *path;
    bool skipped; /* the file was there and stays */
    const void *file;
    size_t size;
    enum verdict verdict; /* the safety checker's */
    double ms;
};

/* Once: as soon as the weights are known to be there. */
static void announce_load(struct run *run) {
    const struct model *m = run->request->model;
    if (run->load_reported || !m->loaded) return;
    run->load_reported = true;
    event_load(m->bytes_read, m->load_ms);
    if (run->options->verbose) report_load(m);
}

/* One picture does not wait for the hashes of large files; many, and who will ask for it again, do, once. */
static const char *hash_of(struct arena *a, const struct run *run) {
    const struct options *o = run->options;
    struct request *r = run->request;
    bool told = !strcmp(o->metadata, "full") || run->manifest;
    if (!told || (!options_many(o) && !o->resume && model_identity_unknown(r->model))) return NULL;
    return request_hash(a, o, r, r->settings.seed + (uint64_t)run->k, dtype_computed(r->model));
}

/* One image from noise to a published file. */
static struct result make_image(struct arena *a, struct run *run) {
    struct request *request = run->request;
    const struct options *o = run->options;
    const char *path = path_of_image(a, request, o, run->k, -1);
    bool to_stdout = !strcmp(path, "-") || o->archive;
    if (o->archive) output_check_entry(run, path);
    else if (!to_stdout) output_check_name(o, path), output_check_own(a, run, path); /* every directory is there now */
    if (!to_stdout && output_stays(a, run, run->k, path)) return (struct result){.path = path, .skipped = true};
    struct picture *p = together_draw(run, on_step);
    uint8_t *rgb = arena_alloc(a, request_pixel_count(request));
    double drawn = clock_ms();
    picture_finish(p, rgb);
    announce_load(run);
    double made = clock_ms();
    run->hash = hash_of(a, run);
    if (request->settings.dump) write_request(a, p);
    struct result r = {.path = path, .verdict = p->verdict};
    r.file = encode(a, run, p, rgb, 0, &r.size);
    progress_clear();
    if (p->verdict == VERDICT_FLAGGED)
        warn("the safety checker flagged %s: %s is black (another seed or prompt, or --no-safety-checker)",
             !strcmp(path, "-") ? "it" : path, request->settings.mask_crop_given ? "what was painted anew" : "the picture");
    if (!to_stdout) {
        bool others_stay = o->resume && o->on_exists == EXISTS_ERROR;
        const char *published = publish_file(a, path, r.file, r.size, others_stay ? EXISTS_SKIP : o->on_exists);
        r.skipped = !published; /* somebody else made it meanwhile */
        if (r.skipped && others_stay && !output_stays(a, run, run->k, path)) output_die_other(path);
        if (published) output_note_own(a, run, r.path = published);
    }
    r.ms = run->drawn_ms + clock_ms() - drawn;
    if (o->verbose) report_picture(p, clock_ms() - made);
    return r;
}

static void add_contact(struct arena *a, const struct run *run, const char *path) {
    const struct settings *s = &run->request->settings;
    const struct options *o = run->options;
    unsigned long long seed = s->seed + (uint64_t)run->k;
    const char *label = !o->id ? arena_printf(a, "seed=%llu", seed) : s->count > 1 ? arena_printf(a, "%s %llu", o->id, seed) : o->id;
    contacts_add(run->contacts, (int)run->line - 1, path, label, s->width, s->height);
}

/* What the picture that stayed says of itself: false where it says nothing. */
static bool seed_of(struct arena *a, const char *path, uint64_t *seed) {
    struct job job;
    if (!job_enter(&job)) return false;
    const char *value = recorded_value(recorded_read(a, path), "seed");
    job_leave(&job);
    return value && parse_u64(value, seed);
}

static void report_skipped(struct arena *a, const struct run *run, const char *path) {
    const struct options *o = run->options;
    bool talks = !o->quiet && !o->resume; /* with --resume, the number of those that are right will do, at the end */
    const char *differs = o->quiet ? NULL : resume_differs(a, o, run->request, run->k, path);
    uint64_t seed;
    if (differs) fprintf(stderr, "skipped %s: the file exists, %s\n", path, differs);
    if (!talks && !o->json) return;
    bool said = seed_of(a, path, &seed);
    if (talks && said) fprintf(stderr, "skipped %s: the file exists, seed %llu\n", path, (unsigned long long)seed);
    if (talks && !said) fprintf(stderr, "skipped %s: the file exists\n", path);
    event_skipped(run->k + 1, path, said ? &seed : NULL);
}

/* --resume: the run that drew the picture may have ended before it had its line in the manifest. */
static void restore_line(const struct run *run, struct manifest_line line) {
    struct arena a = {0};
    struct resumed said;
    bool asked = run->manifest && run->options->resume;
    if (asked && resume_look(&a, run->options, run->request, run->k, line.file, &said) == RESUME_SAME) {
        line.seed = said.seed;
        line.request = said.request;
        manifest_restore(run->manifest, &line);
    }
    arena_free(&a);
}

/* Standard output lost ends the run, whatever images are left. */
static void report(struct arena *a, const struct run *run, const struct result *r) {
    const struct options *o = run->options;
    if (!strcmp(r->path, "-")) {
        result_write(r->file, r->size);
        return;
    }
    if (o->archive) archive_add(a, r->path, r->file, r->size, run->json);
    add_contact(a, run, r->path);
    if (r->skipped) report_skipped(a, run, r->path);
    else event_image(run->k + 1, r->path, run->request->settings.seed + (uint64_t)run->k, r->verdict, r->ms);
    if (!o->json && !o->archive) result_path(a, r->path, o->null_separated);
    struct manifest_line line = {.id = o->id,
                                 .line = run->line,
                                 .seed = run->request->settings.seed + (uint64_t)run->k,
                                 .file = r->path,
                                 .request = run->hash,
                                 .data = r->file,
                                 .n = r->size,
                                 .ms = r->ms};
    if (r->skipped) restore_line(run, line);
    else manifest_add(run->manifest, &line);
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
    if (!run->place) fprintf(stderr, "diffuse: image %d: %s\n", run->k + 1, job.message);
    else if (run->options->settings.count == 1) fprintf(stderr, "diffuse: %s: %s\n", run->place, job.message);
    else fprintf(stderr, "diffuse: %s: image %d: %s\n", run->place, run->k + 1, job.message);
    hint_once(job.hint);
    event_error(job.code, job.message);
    manifest_add(run->manifest,
                 &(struct manifest_line){.id = run->options->id, .line = run->line, .code = job.code, .message = job.message});
    run->dead = job.code == FAIL_DEVICE;
    return false;
}

int run_images(struct run *run) {
    int n_failed = 0;
    run->drained = false;
    run->at_once = 0;
    together_end(run);
    for (run->k = 0; run->k < run->options->settings.count; run->k++) {
        if (run->dead || (n_failed && run->options->halt == HALT_NOW)) break;
        if (!together_has(run) && (run->drained = signals_drained())) break;
        struct arena a = {0};
        struct result result;
        bool made = true;
        if (run->options->settings.count == 1 && !run->place) result = make_image(&a, run);
        else made = make_one_of_many(&a, run, &result);
        if (made) report(&a, run, &result);
        n_failed += !made;
        arena_free(&a);
    }
    together_end(run);
    return n_failed;
}

/* Everything up to the first byte of weights: files checked, device open, memory known to be there. */
static void plan(struct request *r, const struct options *o, struct startup *t) {
    struct model *m = r->model;
    if (!o->dry_run && !o->bench && strcmp(o->metadata, "none")) model_hash_weights(m);
    model_start(m, o, t);
    double opened = clock_ms();
    together_plan(r, o);
    double planned = clock_ms();
    t->plan = planned - opened;
    t->ready = planned - t->began;
}

/* *wanted: a picture is to be drawn. */
static struct request *open_files(struct arena *a, const struct options *o, struct startup *t, bool *wanted) {
    const struct settings *settings = &o->settings;
    double start = clock_ms();
    struct model *m = model_open_both(a, settings);
    struct request *r = request_open(a, m, settings);
    if (!o->quiet) print_single(m->checkpoint);
    if (o->verbose) print_generation(&m->checkpoint->generation);
    if (o->verbose) report_request(a, r);
    if (o->verbose && r->then)
        fprintf(stderr, "refiner: %s draws the last %d of %d rows\n", m->refiner->checkpoint->name, r->then->schedule->n_rows,
                request_rows(r));
    note_unused(r, o);
    struct run run = {.request = r, .options = o};
    *wanted = o->bench || check_outputs(a, &run) || o->dry_run;
    t->files = clock_ms() - start;
    return r;
}

void run_load(struct run *run) {
    struct metadata m = about_image(run->request, 0);
    event_start(&m, run->options->settings.count);
    model_load(run->request->model);
    announce_load(run);
}

static int make_pictures(struct request *r, const struct options *o, struct contacts *contacts, const struct startup *t) {
    struct run run = {.request = r, .options = o, .contacts = contacts};
    run_load(&run);
    progress_begin(o->progress, o->color, o->quiet);
    int n_failed = run_images(&run), code = run.dead ? FAIL_DEVICE : n_failed ? FAIL_ITEMS : 0;
    if (run.drained) code = run_drained(o);
    else contacts_publish(contacts);
    if (o->verbose && !run.dead) report_end(r->model, t);
    event_end(code);
    return code;
}

int run_drained(const struct options *o) {
    progress_clear();
    if (!o->quiet) fprintf(stderr, "stopped on SIGUSR1: the same command with --resume goes on\n");
    return EXIT_DRAINED;
}

void run_skip(struct arena *a, struct run *run) {
    const struct options *o = run->options;
    struct metadata m = about_image(run->request, 0);
    event_start(&m, o->settings.count);
    for (run->k = 0; run->k < o->settings.count; run->k++)
        report(a, run, &(struct result){.path = path_of_image(a, run->request, o, run->k, -1), .skipped = true});
}

static int make_bench(struct request *r, const struct options *o, const struct startup *t) {
    struct metadata m = about_image(r, 0);
    m.product = NULL; /* told beside it */
    model_load(r->model);
    bench_run(r, o, t, &m);
    return 0;
}

int generate(struct arena *a, const struct options *o) {
    struct startup startup = {.began = process_began()};
    int code = 0;
    if (!o->dry_run && !o->bench) signals_drain();
    device_start(o);
    if (o->json && !o->bench) {
        events_enable(true);
        error_set_reporter(events_failure);
    }
    bool wanted;
    struct contacts *contacts = contacts_new(a, o); /* first: it makes no directory yet */
    struct request *r = open_files(a, o, &startup, &wanted);
    if (!o->dry_run) contacts_begin(contacts);
    preview_begin(o, true);
    if (wanted) plan(r, o, &startup);
    if (!wanted) {
        run_skip(a, &(struct run){.request = r, .options = o, .contacts = contacts});
        contacts_publish(contacts);
        event_end(0);
    } else if (o->dry_run) {
        forecast_print(a, r, o);
    } else {
        if (!o->settings.seed_given && !o->quiet) fprintf(stderr, "seed %llu\n", (unsigned long long)r->settings.seed);
        if (o->verbose) report_start(r->model, &startup);
        code = o->bench ? make_bench(r, o, &startup) : make_pictures(r, o, contacts, &startup);
    }
    model_close(r->model);
    return code;
}
