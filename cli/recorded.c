#include "cli/recorded.h"

#include <string.h>
#include "cli/result.h"
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/process.h"
#include "engine/images/read.h"

enum { SHOWN_MAX = 4096 };

/* ---- collecting -------------------------------------------------------------------------------------------------- */

void recorded_leave(struct recorded *r, const char *name, const char *value, const char *why) {
    bool last = r->n_others == RECORDED_OTHERS_MAX - 1;
    if (r->n_others == RECORDED_OTHERS_MAX) return;
    r->others[r->n_others++] = last ? (struct recorded_other){"…", "", "more is not shown"} : (struct recorded_other){name, value, why};
}

/* Does the field take the value? If not, *why says what it expected. */
static bool takes(struct recorded *r, const struct field *f, const char *name, const char *value, const char **why) {
    struct job job;
    struct settings *scratch = arena_alloc(r->arena, sizeof *scratch);
    *scratch = settings_defaults(r->arena);
    if (job_enter(&job)) {
        f->kind->set(&(struct given){.arena = r->arena, .base = scratch, .field = f, .name = name, .value = value});
        job_leave(&job);
        return true;
    }
    size_t n = strlen(name);
    const char *message = strncmp(job.message, name, n) ? job.message : job.message + n + strspn(job.message + n, ": ");
    *why = arena_printf(r->arena, "%s%s%s", message, *job.hint ? "; " : "", job.hint);
    return false;
}

void recorded_take(struct recorded *r, const char *field, const char *name, const char *value) {
    const struct field *f = field_find(settings_fields, n_settings_fields, field);
    const char *why;
    if (!value) return;
    bool flag = f->kind->json == JSON_FLAG;
    if (flag && !strcmp(value, "false")) return;
    if (!takes(r, f, name, flag ? NULL : value, &why)) recorded_leave(r, name, value, why);
    else if (r->n_settings == RECORDED_MAX) recorded_leave(r, name, value, "more settings than there are");
    else r->settings[r->n_settings++] = (struct recorded_setting){f, flag ? NULL : value};
}

/* ---- our own ----------------------------------------------------------------------------------------------------- */

static bool is_fact(const char *path) {
    static const char *const facts[] = {"version", "step",   "scheduler_class", "sampler", "schedule_type", "model", "revision",
                                        "dtype",   "device", "product",         "isa",     "quality",       "nsfw",  "request",
                                        NULL};
    for (int i = 0; facts[i]; i++)
        if (!strcmp(path, facts[i])) return true;
    return !strncmp(path, "components.", 11) || !strncmp(path, "lora_sha256.", 12) || !strncmp(path, "embedding_sha256.", 17) ||
           !strncmp(path, "inputs.", 7);
}

/* The field of a value, or of the list it is an item of: "lora.0". */
static const struct field *field_of(struct arena *a, const char *path) {
    const char *dot = strrchr(path, '.');
    if (!dot || dot[1 + strspn(dot + 1, "0123456789")]) return field_find(settings_fields, n_settings_fields, path);
    const struct field *f = field_find(settings_fields, n_settings_fields, arena_printf(a, "%.*s", (int)(dot - path), path));
    return f && (f->kind->json == JSON_LIST || f->kind->json == JSON_NUMBERS) ? f : NULL;
}

static void take_own(struct recorded *r, const struct json_value *v) {
    const struct field *f = field_of(r->arena, v->path);
    if (v->is_null || !strcmp(v->path, "v")) return;
    if (f && f->recorded && !strcmp(f->name, "image") && !strcmp(v->text, "-"))
        recorded_leave(r, v->path, v->text, "it came from standard input; -i FILE");
    else if (f && f->recorded) recorded_take(r, f->name, v->path, v->text);
    else if (is_fact(v->path) && r->n_facts < RECORDED_MAX) r->facts[r->n_facts++] = (struct recorded_fact){v->path, v->text};
    else recorded_leave(r, v->path, v->text, NULL);
}

static bool own(struct recorded *r, struct image_comments comments) {
    const char *text = comment_text(comments, "diffuse");
    if (!text) return false;
    struct json_flat f = json_flatten(r->arena, text, arena_printf(r->arena, "%s: diffuse", r->file));
    const char *v = json_flat_text(&f, "v");
    if (!v || strcmp(v, "1")) die(FAIL_UNSUPPORTED, "%s: diffuse: expected settings of version 1, found %.16s", r->file, v ? v : "none");
    for (int i = 0; i < f.n; i++) take_own(r, &f.values[i]);
    const char *version = json_flat_text(&f, "version");
    r->own = true;
    r->program = arena_printf(r->arena, "diffuse %s", version ? version : "?");
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct recorded *recorded_parse(struct arena *a, struct image_comments comments, const char *file) {
    static bool (*const dialects[])(struct recorded *, struct image_comments) = {own, recorded_invokeai, recorded_mflux, recorded_infotext,
                                                                                 recorded_comfyui};
    struct recorded *r = arena_alloc(a, sizeof *r);
    *r = (struct recorded){.arena = a, .file = file};
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (dialects[i](r, comments)) return r;
    die_hint(FAIL_DATA, "--metadata minimal and none leave them out",
             "%s: no settings in it: expected those of diffuse, AUTOMATIC1111, ComfyUI, InvokeAI, sd.cpp or mflux", file);
}

struct recorded *recorded_decode(struct arena *a, const void *data, size_t n, const char *name) {
    char safe[256];
    escape_text(safe, sizeof safe, name, strlen(name));
    return recorded_parse(a, image_comments_read(a, data, n, safe), arena_strdup(a, safe));
}

struct recorded *recorded_read(struct arena *a, const char *path) {
    struct arena *file = image_scratch(a);
    const char *name;
    size_t n;
    const void *data = image_file_read(file, path, &n, &name);
    struct recorded *r = recorded_decode(a, data, n, name);
    arena_free(file);
    r->path = path;
    return r;
}

void recorded_apply(const struct recorded *r, struct settings *s) {
    const struct settings before = *s;
    *s = settings_defaults(r->arena);
    s->model = before.model;
    s->count = before.count;
    s->dump = before.dump;
    s->strict = before.strict;
    for (int i = 0; i < r->n_settings; i++) {
        const struct field *f = r->settings[i].field;
        f->kind->set(&(struct given){.arena = r->arena, .base = s, .field = f, .name = f->name, .value = r->settings[i].value});
    }
    s->resize_given = s->resize != RESIZE_STRETCH; /* which stands in every picture's settings */
}

const char *recorded_fact(const struct recorded *r, const char *name) {
    for (int i = 0; i < r->n_facts; i++)
        if (!strcmp(r->facts[i].name, name)) return r->facts[i].value;
    return NULL;
}

const char *recorded_value(const struct recorded *r, const char *field) {
    for (int i = r->n_settings - 1; i >= 0; i--)
        if (!strcmp(r->settings[i].field->name, field)) return r->settings[i].value;
    return NULL;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void recorded_warn(const struct recorded *r) {
    for (int i = 0; i < r->n_others; i++) {
        const struct recorded_other *o = &r->others[i];
        warn("%s: %s: %.200s: not taken%s%s", r->file, o->name, o->value, o->why ? ": " : "", o->why ? o->why : "");
    }
}

static const char *shown(struct arena *a, const char *text) {
    char line[SHOWN_MAX];
    escape_text(line, sizeof line, text, strlen(text));
    return arena_strdup(a, line);
}

static void add_line(struct buffer *b, const char *name, const char *value) {
    buffer_printf(b, "  %s: %s\n", shown(b->arena, name), shown(b->arena, value));
}

static void print_text(const struct recorded *r, struct buffer *b) {
    buffer_printf(b, "%s: %s\n", r->file, shown(b->arena, r->program));
    for (int i = 0; i < r->n_settings; i++) add_line(b, r->settings[i].field->name, r->settings[i].value ? r->settings[i].value : "yes");
    for (int i = 0; i < r->n_facts; i++) add_line(b, r->facts[i].name, r->facts[i].value);
    for (int i = 0; i < r->n_others; i++) {
        const struct recorded_other *o = &r->others[i];
        const char *why = o->why ? arena_printf(b->arena, " (%s)", shown(b->arena, o->why)) : "";
        buffer_printf(b, "  not taken: %s: %s%s\n", shown(b->arena, o->name), shown(b->arena, o->value), why);
    }
}

static void print_json(const struct recorded *r, struct json_out *j) {
    struct settings s = settings_defaults(r->arena);
    recorded_apply(r, &s);
    json_out_open(j, NULL, '{');
    json_out_string(j, "file", r->file);
    json_out_string(j, "program", r->program);
    json_out_open(j, "settings", '{');
    for (int i = 0; i < r->n_settings; i++) {
        const struct field *f = r->settings[i].field;
        f->kind->write(j, field_key(r->arena, f), f, &s);
    }
    json_out_close(j, '{');
    json_out_open(j, "facts", '{');
    for (int i = 0; i < r->n_facts; i++) json_out_string(j, r->facts[i].name, r->facts[i].value);
    json_out_close(j, '{');
    json_out_open(j, "not_taken", '[');
    for (int i = 0; i < r->n_others; i++) {
        json_out_open(j, NULL, '{');
        json_out_string(j, "name", r->others[i].name);
        json_out_string(j, "value", r->others[i].value);
        json_out_string(j, "why", r->others[i].why);
        json_out_close(j, '{');
    }
    json_out_close(j, '[');
    json_out_close(j, '{');
    buffer_add(&j->text, "\n", 1);
}

void recorded_print(const struct recorded *r, bool json) {
    struct json_out j = {.text.arena = r->arena};
    if (json) print_json(r, &j);
    else print_text(r, &j.text);
    result_write(j.text.data, j.text.length);
}
