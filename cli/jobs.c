#include "cli/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/generate.h"
#include "cli/open_device.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/prompt_notes.h"
#include "cli/report.h"
#include "cli/settings_table.h"
#include "cli/template.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "engine/base/sys.h"
#include "engine/base/text.h"
#include "engine/images/write.h"

enum { LINE_BYTES_MAX = 1 << 20, NAME_MAX_BYTES = 256, ID_MAX = 200 };

/* ---- lines ------------------------------------------------------------------------------------------------------- */

struct lines {
    int fd;
    char name[NAME_MAX_BYTES]; /* of the file, printable */
    char *data;                /* LINE_BYTES_MAX + 1 */
    size_t begin, end;         /* what was read and not yet handed out */
    bool over;
    uint64_t number; /* of the last line handed out */
    enum { UNKNOWN, PROMPTS, OBJECTS } format;
};

static void open_lines(struct arena *a, struct lines *l, const char *path) {
    bool standard = !strcmp(path, "-");
    *l = (struct lines){.data = arena_alloc(a, LINE_BYTES_MAX + 1)};
    escape_text(l->name, sizeof l->name, standard ? "standard input" : path, strlen(standard ? "standard input" : path));
    do l->fd = standard ? STDIN_FILENO : sys.open(path, O_RDONLY | O_CLOEXEC);
    while (l->fd < 0 && errno == EINTR);
    if (l->fd < 0) die(error_code(errno, FAIL_INPUT), "%s: %s", l->name, strerror(errno));
}

static void fill(struct lines *l) {
    memmove(l->data, l->data + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    if (l->end == LINE_BYTES_MAX)
        die(FAIL_DATA, "%s: line %llu: expected at most %d bytes, found more", l->name, (unsigned long long)l->number + 1, LINE_BYTES_MAX);
    ssize_t n = sys.read(l->fd, l->data + l->end, LINE_BYTES_MAX - l->end);
    if (n < 0 && errno != EINTR) die(error_code(errno, FAIL_INPUT), "%s: %s", l->name, strerror(errno));
    if (n > 0) l->end += (size_t)n;
    l->over = n == 0;
}

/* The next line, NUL in place of its newline, and its length; NULL behind the last. It stays until the next call. */
static char *next_line(struct lines *l, size_t *n) {
    for (;; fill(l)) {
        char *line = l->data + l->begin, *newline = memchr(line, '\n', l->end - l->begin);
        if (!newline && !l->over) continue;
        if (!newline && l->end == l->begin) return NULL;
        *n = newline ? (size_t)(newline - line) : l->end - l->begin;
        l->begin += *n + (newline != NULL);
        l->number++;
        line[*n] = 0;
        return line;
    }
}

/* The next that is not blank, without BOM and CR. The first one says what all of them are. */
static const char *next_job(struct lines *l, size_t *n) {
    for (char *line; (line = next_line(l, n)) != NULL;) {
        if (l->number == 1 && *n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) line += 3, *n -= 3;
        if (*n && line[*n - 1] == '\r') line[--*n] = 0;
        size_t blank = strspn(line, " \t");
        if (blank == *n) continue;
        if (!l->format) l->format = line[blank] == '{' ? OBJECTS : PROMPTS;
        return line;
    }
    return NULL;
}

/* ---- what a line asks for ---------------------------------------------------------------------------------------- */

struct batch {
    const struct options *defaults;
    struct lines lines;
    const char *place; /* "FILE: line N" of the job under way */
    struct model *model;
    struct run run;
    bool wanted; /* a picture of the job under way is to be drawn */
    int n_failed;
    uint64_t n_jobs;
};

static bool same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

static void check_id(const char *id) {
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(id);
    if (n && n <= ID_MAX && strspn(id, legal) == n && *id != '.' && *id != '-') return;
    die(FAIL_DATA, "id: expected 1 to %d of A-Z a-z 0-9 . _ - with neither . nor - first, found '%.*s'", ID_MAX, ID_MAX, id);
}

static void check_job(const struct options *o, const struct settings *given) {
    const struct settings *s = &o->settings;
    if (!same_text(s->model, given->model))
        die(FAIL_USAGE, "model: a batch has one, '%s', found '%s'", given->model ? given->model : "", s->model);
    if (!same_text(s->variant, given->variant)) die(FAIL_USAGE, "variant: a batch has one, found '%s'", s->variant);
    if (s->prompt && strlen(s->prompt) > TEXT_MAX) die(FAIL_USAGE, "prompt: expected at most %d bytes, found more", TEXT_MAX);
    if (s->negative && strlen(s->negative) > TEXT_MAX) die(FAIL_USAGE, "negative: expected at most %d bytes, found more", TEXT_MAX);
    if (s->image && !strcmp(s->image, "-")) die(FAIL_USAGE, "image: expected a file for a job, found -");
    check_id(o->id);
    options_check_seeds(s);
}

static void take_object(struct arena *a, const struct batch *b, struct options *o, const char *line, size_t n) {
    static const char *const others[] = {"id", "output", NULL};
    struct json *object = json_parse(a, line, n, b->place);
    settings_from_json(a, &o->settings, object, others);
    o->id = arena_strdup(a, json_string(object, "id", o->id));
    const char *output = json_string(object, "output", NULL);
    if (!output) return;
    if (!*output || !strcmp(output, "-")) die(FAIL_USAGE, "output: expected a file, found '%s'", output);
    o->output = template_of_jobs(a, arena_strdup(a, output));
}

static void take_prompt(struct arena *a, const struct batch *b, struct options *o, const char *line) {
    if (b->defaults->settings.prompt) die(FAIL_USAGE, "--batch and a prompt: the lines are the prompts");
    o->settings.prompt = arena_strdup(a, line);
}

/* Dies as jobs() says; b->place may or may not stand in the message. */
static const struct options *read_job(struct arena *a, const struct batch *b, const char *line, size_t n) {
    size_t bad;
    struct options *o = arena_alloc(a, sizeof *o);
    *o = *b->defaults;
    o->id = arena_printf(a, "%08llu", (unsigned long long)b->lines.number);
    if (!utf8_valid(line, n, &bad)) die(FAIL_DATA, "expected UTF-8, found an invalid byte at column %zu", bad + 1);
    if (strlen(line) < n) die(FAIL_DATA, "expected text, found a NUL byte at column %zu", strlen(line) + 1);
    if (b->lines.format == OBJECTS) take_object(a, b, o, line, n);
    else take_prompt(a, b, o, line);
    if (!o->settings.seed_given) o->settings.seed = rng_random_seed();
    check_job(o, &b->defaults->settings);
    o->output = template_resolve(a, o->output, o->settings.count);
    if (o->quality && image_format_of(o->output) == IMAGE_PNG) die(FAIL_USAGE, "--quality: a PNG keeps every pixel, found '%s'", o->output);
    return o;
}

/* What is said of the job, after its place: messages about JSON have it already. */
static const char *without_place(const char *message, const char *place) {
    size_t n = strlen(place);
    return strncmp(message, place, n) || strncmp(message + n, ": ", 2) ? message : message + n + 2;
}

static const char *place_of(struct arena *a, const struct lines *l) {
    return arena_printf(a, "%s: line %llu", l->name, (unsigned long long)l->number);
}

/* Dies where the line is wrong, its arena freed. */
static void check_line(struct arena *a, struct batch *b, const char *line, size_t n) {
    struct job job;
    if (job_enter(&job)) {
        read_job(a, b, line, n);
        job_leave(&job);
        return;
    }
    char message[2 * ERROR_MAX];
    snprintf(message, sizeof message, "%s: %s", b->place, without_place(job.message, b->place));
    arena_free(a);
    die_hint(job.code, *job.hint ? job.hint : NULL, "%s", message);
}

/* All lines of a file that can be read twice, which is then where it was. */
static void check_lines(struct batch *b) {
    struct stat st;
    struct lines *l = &b->lines;
    off_t start = lseek(l->fd, 0, SEEK_CUR);
    size_t n;
    if (start < 0 || fstat(l->fd, &st) < 0 || !S_ISREG(st.st_mode)) return;
    for (const char *line; (line = next_job(l, &n)) != NULL;) {
        struct arena a = {0};
        b->place = place_of(&a, l);
        check_line(&a, b, line, n);
        arena_free(&a);
    }
    if (lseek(l->fd, start, SEEK_SET) < 0) die(FAIL_INPUT, "%s: %s", l->name, strerror(errno));
    l->begin = l->end = l->number = 0;
    l->over = false;
    l->format = UNKNOWN;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* Everything up to the first step of the job's first image. */
static void prepare(struct arena *a, struct batch *b, const char *line, size_t n) {
    const struct options *o = read_job(a, b, line, n);
    struct model *m = b->model;
    events_job(o->id);
    if (!o->settings.seed_given && !o->quiet) fprintf(stderr, "%s: seed %llu\n", o->id, (unsigned long long)o->settings.seed);
    struct request *r = request_open(a, m, &o->settings);
    if (o->verbose) print_origins(a, r->scheduler, r->sched_config, m->parts[PART_SCHEDULER]->config);
    if (!same_text(o->settings.prompt, b->defaults->settings.prompt)) prompt_notes(o->settings.prompt, false);
    note_unused(r, &o->settings);
    b->run.request = r;
    b->run.options = o;
    b->run.place = b->place;
    b->wanted = check_outputs(a, r, o);
    if (!b->wanted) return;
    request_plan(r);
    check_memory(m, o);
    run_load(&b->run);
}

static bool prepared(struct arena *a, struct batch *b, const char *line, size_t n) {
    struct job job;
    if (job_enter(&job)) {
        prepare(a, b, line, n);
        job_leave(&job);
        return true;
    }
    const char *message = without_place(job.message, b->place);
    progress_clear();
    fprintf(stderr, "diffuse: %s: %s\n", b->place, message);
    if (*job.hint) fprintf(stderr, "hint: %s\n", job.hint);
    event_error(job.code, message);
    return false;
}

static void draw_lines(struct batch *b) {
    size_t n;
    for (const char *line; (line = next_job(&b->lines, &n)) != NULL; b->n_jobs++) {
        struct arena a = {0};
        b->place = place_of(&a, &b->lines);
        events_job(arena_printf(&a, "%08llu", (unsigned long long)b->lines.number));
        if (!prepared(&a, b, line, n)) b->n_failed++;
        else if (b->wanted) b->n_failed += run_images(&b->run) > 0;
        else run_skip(&a, &b->run);
        events_job(NULL);
        arena_free(&a);
    }
    if (!b->n_jobs) warn("%s: no jobs", b->lines.name);
}

int jobs(struct arena *a, const struct options *o) {
    struct startup t = {.began = process_began()};
    struct batch b = {.defaults = o};
    device_start(o);
    if (o->json) {
        events_enable(true);
        error_set_reporter(events_failure);
    }
    open_lines(a, &b.lines, o->batch);
    check_lines(&b);
    b.model = model_open(a, o->settings.model, o->settings.variant);
    model_read_ahead(b.model);
    model_use(b.model, device_open(o));
    if (b.model->device->own_memory) t.memory_free = b.model->device->memory_free(b.model->device);
    progress_begin(o->progress, o->color, o->quiet);
    draw_lines(&b);
    int code = b.n_failed ? FAIL_ITEMS : 0;
    if (o->verbose) report_end(b.model, &t);
    event_end(code);
    model_close(b.model);
    return code;
}
