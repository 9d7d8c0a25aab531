#include "cli/jobs.h"

#include <stdio.h>
#include <string.h>
#include "cli/archive.h"
#include "cli/events.h"
#include "cli/forecast.h"
#include "cli/generate.h"
#include "cli/job.h"
#include "cli/lines.h"
#include "cli/names.h"
#include "cli/notes.h"
#include "cli/open_device.h"
#include "cli/outdir.h"
#include "cli/outputs.h"
#include "cli/paths.h"
#include "cli/preview.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/prompt_notes.h"
#include "cli/report.h"
#include "cli/resume.h"
#include "cli/signals.h"
#include "cli/sweep.h"
#include "cli/together.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"

enum { PATHS_CHECKED = 10000 /* of one job */, PIXELS_CHECKED = 256 /* jobs whose pictures are decoded before the first is drawn */ };

struct batch {
    struct arena *arena;
    const struct options *defaults;
    struct lines lines;
    struct model *model; /* without a device until a picture is wanted */
    struct startup startup;
    uint64_t n_jobs, n_failed; /* jobs of all shards; of ours */
    uint64_t n_resumed, n_decoded;
    uint64_t n_without;        /* jobs whose prompt is the command's */
    struct forecast *forecast; /* --dry-run, or NULL */
    struct names *paths;       /* of the jobs looked at so far, where two of one name are an error */
    struct run run;

    /* The job under way. */
    const char *line;
    size_t length;
    const char *place; /* "FILE: line N" */
    const char *id;    /* its number as long as its own is not known */
    const struct options *options;
    bool wanted; /* a picture is to be drawn */
};

/* ---- before the first picture ------------------------------------------------------------------------------------ */

/* What is said of the job, after its place: messages about JSON have it already. */
static const char *without_place(const char *message, const char *place) {
    size_t n = strlen(place);
    if (strncmp(message, place, n)) return message;
    return message + n + (message[n] == ':' ? 2 : 1);
}

/* "FILE: line N: MESSAGE", or "FILE: line N column C: …". */
static void put_message(char out[2 * ERROR_MAX], const char *place, const char *message) {
    message = without_place(message, place);
    snprintf(out, 2 * ERROR_MAX, "%s%s%s", place, strncmp(message, "column ", 7) ? ": " : " ", message);
}

/* Two jobs of one file, or one directory, however they spell it: one of them would be lost. */
static void check_key(struct names *paths, const char *key, const char *path, const char *what, uint64_t line) {
    uint64_t other = names_add(paths, key, line);
    if (other && other != line) die(FAIL_DATA, "%s: line %llu has this %s, too", path, (unsigned long long)other, what);
}

static void check_path(struct arena *a, struct names *paths, const struct options *o, const char *path, uint64_t line) {
    check_key(paths, o->archive ? path : outdir_key(a, path), path, "output", line);
}

/* The pictures of --save-every: how many there are the request tells. */
static void check_snapshots(struct arena *a, struct names *paths, const struct options *o, const struct request *r, uint64_t line) {
    if (!r || !o->save_every || o->on_exists == EXISTS_NUMBER) return;
    for (int k = 0, n = 0; k < o->settings.count; k++)
        for (int step = o->save_every; step < request_rows(r) && n < PATHS_CHECKED; step += o->save_every, n++) {
            const char *path = path_of_image(a, r, o, k, step);
            output_check_name(o, path);
            check_path(a, paths, o, path, line);
        }
}

static void check_paths(struct arena *a, struct names *paths, const struct options *o, uint64_t line) {
    const char *dump = output_dump(a, o);
    output_check_inputs(o);
    if (dump) check_key(paths, outdir_key(a, dump), dump, "--dump", line);
    for (int k = 0; k < o->settings.count && k < PATHS_CHECKED; k++) {
        const char *path = path_outline(a, o, k);
        if (o->archive) archive_check_name(path);
        else output_check_name(o, path);
        if (o->on_exists != EXISTS_NUMBER) check_path(a, paths, o, path, line);
    }
}

/* Is there a file under every name? They are looked into when it is the job's turn. */
static bool all_there(struct arena *a, const struct options *o) {
    for (int k = 0; k < o->settings.count; k++) {
        const char *path = path_before_model(a, o, k);
        if (!path || !name_exists(path)) return false;
    }
    return true;
}

/* Dies where the line is wrong, its arena freed. What is odd is said when it is its turn. */
static void check_line(struct arena *a, struct batch *b, const char *line, size_t n) {
    struct job job;
    int quiet = error_quiet;
    if (job_enter(&job)) {
        const struct options *o = job_read(a, b->defaults, &b->lines, b->place, line, n);
        b->n_without += o->settings.prompt == b->defaults->settings.prompt;
        check_paths(a, b->paths, o, b->lines.number);
        error_quiet = 1;
        bool later = o->sweep || (o->resume && all_there(a, o)); /* a combination that cannot be leaves the others */
        bool pixels = !o->settings.image || b->n_decoded++ < PIXELS_CHECKED;
        if (!later && shard_has(&o->shard, b->n_jobs)) check_snapshots(a, b->paths, o, job_check(a, o, b->model, pixels), b->lines.number);
        error_quiet = quiet;
        job_leave(&job);
        return;
    }
    error_quiet = quiet;
    char message[2 * ERROR_MAX];
    put_message(message, b->place, job.message);
    arena_free(a);
    die_hint(job.code, *job.hint ? job.hint : NULL, "%s", message);
}

static void check_kind(const struct batch *b) {
    const struct options *o = b->defaults;
    if (b->lines.format == LINES_TEXT && o->settings.prompt && !o->from)
        die(FAIL_USAGE, "--batch and the prompt '%s': the lines are the prompts", o->settings.prompt);
}

/* All lines of a file that can be read twice, which is then where it was. */
static void check_lines(struct batch *b) {
    size_t n;
    if (!lines_seekable(&b->lines)) return;
    for (const char *line; (line = lines_next(&b->lines, &n)) != NULL; b->n_jobs++) {
        struct arena a = {0};
        check_kind(b);
        b->place = lines_place(&a, &b->lines);
        check_line(&a, b, line, n);
        arena_free(&a);
    }
    lines_rewind(&b->lines);
    if (b->defaults->settings.prompt && b->n_jobs && !b->n_without)
        warn("the prompt '%s' has no effect: every job has its own", b->defaults->settings.prompt);
    b->n_jobs = 0;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* What is asked for, and is it there? */
static void begin(struct arena *a, struct batch *b) {
    const struct options *o = b->options = job_read(a, b->defaults, &b->lines, b->place, b->line, b->length);
    const char *prompt = o->settings.prompt, *given = b->defaults->settings.prompt;
    struct model *m = b->model;
    b->id = o->id;
    events_job(b->id);
    struct request *r = request_open(a, m, &o->settings);
    b->run.request = r;
    b->run.options = o;
    b->run.place = b->place;
    b->run.line = b->lines.number;
    b->wanted = check_outputs(a, &b->run);
    if (!b->wanted) return;
    if (!o->settings.seed_given && !o->quiet && !o->dry_run)
        fprintf(stderr, "%s: seed %llu\n", o->id, (unsigned long long)o->settings.seed);
    if (o->verbose) report_request(a, r);
    if (b->lines.format == LINES_TEXT) line_notes(prompt);
    if (prompt && (!given || strcmp(prompt, given))) prompt_notes(prompt, false, &o->settings);
    note_unused(r, o);
}

/* Everything up to the first step of the job's first image. */
static void prepare(struct arena *a, struct batch *b) {
    (void)a;
    if (strcmp(b->options->metadata, "none")) model_hash_weights(b->model);
    together_plan(b->run.request, b->options);
    run_load(&b->run);
}

/* The same of --dry-run, which ends there. */
static void forecast(struct arena *a, struct batch *b) {
    check_paths(a, b->paths, b->options, b->lines.number); /* of a pipe they are not known yet */
    check_snapshots(a, b->paths, b->options, b->run.request, b->lines.number);
    together_plan(b->run.request, b->options);
    forecast_add(b->forecast, b->run.request, b->options, b->lines.number);
}

/* False where it died, which is then reported. */
static bool attempt(void (*part)(struct arena *a, struct batch *b), struct arena *a, struct batch *b) {
    struct job job;
    if (job_enter(&job)) {
        part(a, b);
        job_leave(&job);
        return true;
    }
    b->run.dead = job.code == FAIL_DEVICE;
    const char *reason = without_place(job.message, b->place);
    char message[2 * ERROR_MAX];
    put_message(message, b->place, job.message);
    progress_clear();
    fprintf(stderr, "diffuse: %s\n", message);
    hint_once(job.hint);
    event_error(job.code, reason);
    manifest_add(b->run.manifest, &(struct manifest_line){.id = b->id, .line = b->lines.number, .code = job.code, .message = reason});
    return false;
}

/* What is odd about the device is the run's, whichever job is the first. */
static void start_model(struct batch *b) {
    error_place = NULL;
    model_start(b->model, b->options, &b->startup);
    if (b->forecast) b->model->free_bytes = b->model->device->memory_free(b->model->device);
    error_place = b->place;
}

/* Is each of its pictures, which are all there, of this very request? */
static bool is_resumed(struct arena *a, const struct batch *b) {
    const struct options *o = b->options;
    bool same = o->resume;
    for (int k = 0; same && k < o->settings.count; k++)
        same = !resume_differs(a, o, b->run.request, k, path_of_image(a, b->run.request, o, k, -1));
    return same;
}

/* False where some of it failed. */
static bool draw_job(struct arena *a, struct batch *b) {
    struct model *m = b->model;
    uint64_t n_plans = m->n_plans, n_encoded = m->prompts.n_encoded, bytes = m->bytes_read;
    if (!attempt(begin, a, b)) return false;
    if (!b->wanted) b->n_resumed += is_resumed(a, b);
    if (!b->wanted && !b->forecast) run_skip(a, &b->run);
    if (!b->wanted) return true;
    if (!m->device) start_model(b);
    if (b->forecast) return attempt(forecast, a, b);
    if (!attempt(prepare, a, b)) return false;
    bool made = run_images(&b->run) == 0;
    if (b->defaults->verbose) report_change(b->id, m->n_plans != n_plans, m->prompts.n_encoded - n_encoded, m->bytes_read - bytes);
    return made;
}

/* Returns the exit code. */
static int draw_lines(struct batch *b) {
    const struct options *o = b->defaults;
    bool halted = false, drained = false;
    while (!halted && !drained) {
        b->line = lines_next(&b->lines, &b->length);
        drained = b->lines.drained || (b->line && signals_drained());
        if (!b->line || drained) break;
        check_kind(b);
        if (!shard_has(&o->shard, b->n_jobs++)) continue;
        struct arena a = {0};
        error_place = b->place = lines_place(&a, &b->lines);
        b->id = arena_printf(&a, "%08llu", (unsigned long long)b->lines.number);
        b->run.drained = false;
        events_job(b->id);
        bool made = draw_job(&a, b);
        b->n_failed += !made;
        halted = b->run.dead || (!made && o->halt != HALT_NEVER);
        drained = b->run.drained;
        if (b->run.dead) fprintf(stderr, "stopped: %s: the device failed: what follows is not drawn, and --resume goes on\n", b->place);
        else if (halted && !o->quiet) fprintf(stderr, "stopped: %s failed and --halt says so\n", b->place);
        events_job(NULL);
        error_place = NULL;
        arena_free(&a);
    }
    if (!b->n_jobs && !drained) warn("%s: no jobs", b->lines.name);
    if (b->run.dead) return FAIL_DEVICE;
    return drained ? run_drained(o) : b->n_failed ? FAIL_ITEMS : 0;
}

/* Draws nothing; returns the exit code. */
static int forecast_lines(struct batch *b) {
    struct forecast f = {.arena = b->arena};
    b->forecast = &f;
    int code = draw_lines(b);
    if (b->n_jobs) forecast_print_all(&f, b->model, b->defaults, b->n_failed);
    return code;
}

static int draw_all(struct batch *b) {
    const struct options *o = b->defaults;
    names_free(b->paths);
    b->run.written = names_new(b->arena);
    if (o->manifest) outdir_prepare(o->manifest, o->mkdirs, false);
    b->run.manifest = o->manifest ? manifest_open(b->arena, o->manifest, o->batch, o->resume) : NULL;
    contacts_begin(b->run.contacts);
    progress_begin(o->progress, o->color, o->quiet);
    int code = draw_lines(b);
    if (code != EXIT_DRAINED) contacts_publish(b->run.contacts);
    return code;
}

int jobs(struct arena *a, const struct options *o) {
    struct batch b = {.arena = a, .defaults = o, .startup.began = process_began()};
    if (o->archive) archive_check(o);
    if (!o->dry_run) signals_drain();
    error_once = 1;
    device_start(o);
    if (o->json) {
        events_enable(true);
        error_set_reporter(events_failure);
    }
    if (o->verbose && o->shard.count) report_shard(&o->shard);
    if (o->sweep) sweep_lines(a, o->sweep, &b.lines);
    else lines_open(a, &b.lines, o->batch);
    b.run.contacts = contacts_new(a, o);
    preview_begin(o, lines_seekable(&b.lines));
    struct settings settings = o->settings;
    settings.swaps = true;
    b.model = model_open_both(a, &settings);
    if (!o->quiet) print_single(b.model->checkpoint);
    bool promptless = o->sweep && !o->settings.prompt && !sweep_has(o->sweep, "prompt");
    if (promptless && b.model->class->takes_prompt) die_hint(FAIL_USAGE, "try 'diffuse --help'", "expected a prompt, found none");
    b.paths = names_new(a);
    check_lines(&b);
    int code = o->dry_run ? forecast_lines(&b) : draw_all(&b);
    if (b.n_resumed && !o->quiet)
        fprintf(stderr, "%llu %s done before\n", (unsigned long long)b.n_resumed, b.n_resumed == 1 ? "job was" : "jobs were");
    uint64_t n_lines = manifest_restored(b.run.manifest);
    if (n_lines && !o->quiet)
        fprintf(stderr, "%s: pictures that were there without a line: %llu: they have one now, but for \"ms\"\n", o->manifest,
                (unsigned long long)n_lines);
    if (b.model->device && o->verbose && !b.run.dead && !o->dry_run) report_end(b.model, &b.startup);
    if (o->archive && !o->dry_run) archive_end();
    if (!o->dry_run) event_end(code);
    model_close(b.model);
    return code;
}
