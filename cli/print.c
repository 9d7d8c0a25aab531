#include "cli/print.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/json_out.h"
#include "cli/plot.h"
#include "cli/result.h"
#include "cli/terminal.h"
#include "engine/base/text.h"
#include "engine/files/checkpoint.h"

static void print_buffer(struct buffer *b) {
    result_write(b->data, b->length);
    arena_free(b->arena);
}

static void print_json(struct json_out *j) {
    buffer_add(&j->text, "\n", 1);
    print_buffer(&j->text);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

void print_models(bool json) {
    enum { LISTED_MAX = 1000 };
    struct arena a = {0};
    struct json_out j = {.text.arena = &a};
    const char **repos = arena_array(&a, LISTED_MAX, sizeof *repos), *folder;
    int n = hub_cache_list(&a, &folder, repos, LISTED_MAX);
    if (!n) fprintf(stderr, "no models in %s (HF_HUB_CACHE says where)\n", folder);
    if (!json) {
        buffer_add(&j.text, "", 0);
        for (int i = 0; i < n; i++) buffer_printf(&j.text, "%s\n", repos[i]);
        print_buffer(&j.text);
        return;
    }
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "models", '[');
    for (int i = 0; i < n; i++) json_out_string(&j, NULL, repos[i]);
    json_out_close(&j, '[');
    json_out_close(&j, '{');
    print_json(&j);
}

/* ---- schedule ---------------------------------------------------------------------------------------------------- */

/* The numbers of a row, in the order of its formula. */
static const struct column {
    const char *name;
    size_t offset;
    int n; /* 0: one number; else an array of so many */
} columns[] = {
#define ONE(field) \
    { #field, offsetof(struct sched_row, field), 0 }
#define MANY(field) \
    { #field, offsetof(struct sched_row, field), SCHED_HISTORY }
    ONE(t),  ONE(sigma), ONE(in_scale), ONE(clip_value), ONE(clip_quantile), ONE(min_log), ONE(max_log),
    ONE(dx), ONE(de),    ONE(ax),       ONE(as),         MANY(ad),           ONE(cx),      ONE(ce),
    ONE(cs), MANY(cd),   ONE(cz),       ONE(add_x),      ONE(add_z),
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static const float *cell(const struct sched_row *row, const struct column *column) {
    return (const float *)((const char *)row + column->offset);
}

static const char *clip_name(enum sched_clip clip) {
    return clip == CLIP_FIXED ? "fixed" : clip == CLIP_QUANTILE ? "quantile" : "none";
}

static const char *variance_name(enum sched_variance variance) {
    return variance == VARIANCE_LEARNED ? "learned" : variance == VARIANCE_RANGE ? "learned_range" : "planned";
}

static void row_json(struct json_out *j, const struct sched_row *row) {
    json_out_open(j, NULL, '{');
    for (int c = 0; c < N_COLUMNS; c++) {
        const float *x = cell(row, &columns[c]);
        if (!columns[c].n) {
            json_out_float(j, columns[c].name, *x);
            continue;
        }
        json_out_open(j, columns[c].name, '[');
        for (int k = 0; k < columns[c].n; k++) json_out_float(j, NULL, x[k]);
        json_out_close(j, '[');
    }
    json_out_string(j, "clip", clip_name(row->clip));
    json_out_string(j, "variance", variance_name(row->variance));
    json_out_bool(j, "noise", row->noise);
    json_out_bool(j, "push", row->push);
    json_out_bool(j, "save", row->save);
    json_out_u64(j, "drop", (uint64_t)row->drop);
    json_out_close(j, '{');
}

static void schedule_fields(struct json_out *j, const struct schedule *s) {
    json_out_string(j, "scheduler", s->scheduler->class_name);
    json_out_u64(j, "steps", (uint64_t)s->n_steps);
    json_out_u64(j, "order", (uint64_t)s->order);
    json_out_u64(j, "history", (uint64_t)s->history);
    json_out_float(j, "init_noise_sigma", s->init_noise_sigma);
    json_out_open(j, "rows", '[');
    for (int i = 0; i < s->n_rows; i++) row_json(j, &s->rows[i]);
    json_out_close(j, '[');
}

static void schedule_json(const struct schedule *s, const struct schedule *then) {
    struct arena a = {0};
    struct json_out j = {.text.arena = &a};
    json_out_open(&j, NULL, '{');
    schedule_fields(&j, s);
    if (then) {
        json_out_open(&j, "refiner", '{');
        schedule_fields(&j, then);
        json_out_close(&j, '{');
    }
    json_out_close(&j, '{');
    print_json(&j);
}

/* Some row has another value than the first of all zeros: the column says something. */
static bool is_used(const struct schedule *s, const struct column *column, int k) {
    for (int i = 0; i < s->n_rows; i++)
        if (cell(&s->rows[i], column)[k] != 0) return true;
    return column->offset == offsetof(struct sched_row, t);
}

static void row_flags(struct buffer *b, const struct sched_row *row) {
    if (row->push) buffer_printf(b, " push");
    if (row->save) buffer_printf(b, " save");
    if (row->noise) buffer_printf(b, " noise");
    if (row->drop) buffer_printf(b, " drop %d", row->drop);
    if (row->clip != CLIP_NONE) buffer_printf(b, " clip %s", clip_name(row->clip));
    if (row->variance) buffer_printf(b, " variance %s", variance_name(row->variance));
}

static void add_table(struct buffer *b, const struct schedule *s) {
    buffer_printf(b, "%s, %d steps, %d model calls, initial noise x %g\n  #", s->scheduler->class_name, s->n_steps, s->n_rows,
                  (double)s->init_noise_sigma);
    for (int i = -1; i < s->n_rows; i++) { /* -1: the head */
        if (i >= 0) buffer_printf(b, "%3d", i + 1);
        for (int c = 0; c < N_COLUMNS; c++)
            for (int k = 0; k < (columns[c].n ? columns[c].n : 1); k++) {
                if (!is_used(s, &columns[c], k)) continue;
                const char *name = columns[c].n ? arena_printf(b->arena, "%s[%d]", columns[c].name, k) : columns[c].name;
                if (i < 0) buffer_printf(b, " %13s", name);
                else buffer_printf(b, " %13.7g", (double)cell(&s->rows[i], &columns[c])[k]);
            }
        if (i >= 0) row_flags(b, &s->rows[i]);
        buffer_printf(b, "\n");
    }
}

static void schedule_text(const struct schedule *s, const struct schedule *then) {
    struct arena a = {0};
    struct buffer b = {.arena = &a};
    add_table(&b, s);
    if (then) buffer_printf(&b, "refiner: ");
    if (then) add_table(&b, then);
    if (isatty(STDOUT_FILENO)) plot_sigmas(&b, s, terminal_columns(STDOUT_FILENO));
    print_buffer(&b);
}

static void add_tsv(struct buffer *b, const struct schedule *s, int first) {
    for (int i = 0; i < s->n_rows; i++) {
        const struct sched_row *row = &s->rows[i];
        buffer_printf(b, "%d", first + i);
        for (int c = 0; c < N_COLUMNS; c++)
            for (int k = 0; k < (columns[c].n ? columns[c].n : 1); k++) {
                char text[NUMBER_TEXT_MAX];
                float_text(text, cell(row, &columns[c])[k]);
                buffer_printf(b, "\t%s", text);
            }
        buffer_printf(b, "\t%s\t%s", clip_name(row->clip), variance_name(row->variance));
        buffer_printf(b, "\t%d\t%d\t%d\t%d\n", row->noise, row->push, row->save, row->drop);
    }
}

/* Every column, used or not, so that scripts find it at the same place whatever the scheduler. */
static void schedule_tsv(const struct schedule *s, const struct schedule *then) {
    struct arena a = {0};
    struct buffer b = {.arena = &a};
    buffer_printf(&b, "row");
    for (int c = 0; c < N_COLUMNS; c++)
        for (int k = 0; k < (columns[c].n ? columns[c].n : 1); k++) buffer_printf(&b, columns[c].n ? "\t%s%d" : "\t%s", columns[c].name, k);
    buffer_printf(&b, "\tclip\tvariance\tnoise\tpush\tsave\tdrop\n");
    add_tsv(&b, s, 1);
    if (then) add_tsv(&b, then, s->n_rows + 1);
    print_buffer(&b);
}

void print_schedule(const struct schedule *schedule, const struct schedule *then, enum print_format format) {
    typedef void print(const struct schedule *, const struct schedule *);
    static print *const forms[] = {[PRINT_TEXT] = schedule_text, [PRINT_TSV] = schedule_tsv, [PRINT_JSON] = schedule_json};
    forms[format](schedule, then);
}

/* ---- schedulers -------------------------------------------------------------------------------------------------- */

/* "key=default|other|other" in its parts. */
static void option_json(struct arena *a, struct json_out *j, const char *option) {
    const char *value = option + strcspn(option, "=") + 1;
    json_out_open(j, NULL, '{');
    json_out_string(j, "key", arena_printf(a, "%.*s", (int)strcspn(option, "="), option));
    json_out_string(j, "default", arena_printf(a, "%.*s", (int)strcspn(value, "|"), value));
    if (strchr(value, '|')) {
        json_out_open(j, "values", '[');
        char *list = arena_strdup(a, value);
        for (char *word; (word = strsep(&list, "|")) != NULL;) json_out_string(j, NULL, word);
        json_out_close(j, '[');
    }
    json_out_close(j, '{');
}

static void scheduler_json(struct arena *a, struct json_out *j, const struct scheduler *s) {
    json_out_open(j, NULL, '{');
    json_out_string(j, "class", s->class_name);
    json_out_open(j, "names", '[');
    for (int k = 0; s->names[k]; k++) json_out_string(j, NULL, s->names[k]);
    json_out_close(j, '[');
    json_out_string(j, "summary", s->summary);
    json_out_string(j, "model_calls", s->model_calls);
    json_out_open(j, "options", '[');
    for (int k = 0; s->options[k]; k++) option_json(a, j, s->options[k]);
    json_out_close(j, '[');
    json_out_close(j, '{');
}

static void schedulers_json(const struct scheduler *one) {
    struct arena a = {0};
    struct json_out j = {.text.arena = &a};
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "schedulers", '[');
    for (int i = 0; schedulers[i]; i++)
        if (!one || schedulers[i] == one) scheduler_json(&a, &j, schedulers[i]);
    json_out_close(&j, '[');
    json_out_close(&j, '{');
    print_json(&j);
}

/* Words one after the other in lines of 80 columns, the first after `title`, the others below it. */
static void add_words(struct buffer *b, const char *title, const char *const *words) {
    int indent = (int)strlen(title), column = indent;
    buffer_printf(b, "%s", title);
    for (; *words; words++) {
        int n = (int)strlen(*words);
        if (column > indent && column + 1 + n > 80) {
            buffer_printf(b, "\n%*s", indent, "");
            column = indent;
        }
        buffer_printf(b, " %s", *words);
        column += 1 + n;
    }
    buffer_printf(b, "\n");
}

static void scheduler_text(struct buffer *b, const struct scheduler *s) {
    buffer_printf(b, "%s: %s\n", s->names[0], s->summary);
    buffer_printf(b, "  also  %s", s->class_name);
    for (int k = 1; s->names[k]; k++) buffer_printf(b, ", %s", s->names[k]);
    buffer_printf(b, "\n  calls %s for n steps\n", s->model_calls);
    add_words(b, "  takes", s->options);
}

static void schedulers_text(const struct scheduler *one) {
    struct arena a = {0};
    struct buffer b = {.arena = &a};
    if (one) {
        buffer_printf(&b,
                      "-x %s,KEY=VALUE,… changes options; below: KEY=DEFAULT, or KEY=DEFAULT|OTHER\n"
                      "where only these values are taken.\n",
                      one->names[0]);
        scheduler_text(&b, one);
    }
    for (int i = 0; !one && schedulers[i]; i++) { /* what its summary says first */
        const char *summary = schedulers[i]->summary;
        buffer_printf(&b, "%-12s %.*s\n", schedulers[i]->names[0], (int)strcspn(summary, ":;"), summary);
    }
    print_buffer(&b);
}

void print_schedulers(const struct scheduler *one, bool json) {
    if (json) schedulers_json(one);
    else schedulers_text(one);
}

/* The options whose origin is `origin`, with "key=default" cut to the key. */
static void origin_line(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, const char *origin) {
    struct buffer line = {.arena = a};
    for (const char *const *option = scheduler->options; *option; option++) {
        const char *key = arena_printf(a, "%.*s", (int)strcspn(*option, "="), *option), *from = sched_config_origin(config, key);
        if (from && !strcmp(from, origin)) buffer_printf(&line, " %s", key);
    }
    if (line.length) fprintf(stderr, "%s: %s:%s\n", scheduler->class_name, origin, line.data);
}

void print_single(const struct checkpoint *c) {
    char safe[1024];
    if (!c->file || c->config_dir) return;
    escape_text(safe, sizeof safe, c->name, strlen(c->name));
    fprintf(stderr, "%s: %s, %s by %s%s\n", safe, c->kind->name, c->prediction.type, c->prediction.why,
            c->prediction.zero_snr ? ", a schedule that ends in pure noise by its tensor 'ztsnr'" : "");
}

void print_generation(const struct generation *g) {
    if (!g->path) return;
    char safe[1024];
    escape_text(safe, sizeof safe, g->path, strlen(g->path));
    fprintf(stderr, "%s:", safe);
    if (g->steps) fprintf(stderr, " num_inference_steps %d", g->steps);
    if (!isnan(g->guidance)) fprintf(stderr, " guidance_scale %g", g->guidance);
    if (g->width) fprintf(stderr, " width %d", g->width);
    if (g->height) fprintf(stderr, " height %d", g->height);
    if (g->n_words) fprintf(stderr, " known_words %d", g->n_words);
    if (g->size_max) fprintf(stderr, " trained_sizes %d to %d", g->size_min, g->size_max);
    fputc('\n', stderr);
}

void print_origins(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, const struct json *stored) {
    static const char *const origins[] = {"inherited", "option", "default"};
    for (int i = 0; i < 3; i++) origin_line(a, scheduler, config, origins[i]);
    struct buffer dropped = {.arena = a};
    for (int i = 0; i < json_n_keys(stored); i++) {
        const char *key = json_key(stored, i);
        if (*key != '_' && !sched_config_origin(config, key)) buffer_printf(&dropped, " %s", key);
    }
    char safe[1024];
    if (!dropped.length) return;
    escape_text(safe, sizeof safe, dropped.data, dropped.length); /* keys are the checkpoint's own words */
    fprintf(stderr, "%s: dropped:%s\n", scheduler->class_name, safe);
}
