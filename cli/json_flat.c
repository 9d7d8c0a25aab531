#include "cli/json_flat.h"

#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/json.h"

enum { PATH_BYTES_MAX = 512 };

/* Where the scan stands: an object's key or a list's count for each level. */
struct walk {
    struct json_scan scan;
    const char *name;
    char path[PATH_BYTES_MAX];
    size_t length[JSON_DEPTH_MAX + 1]; /* of the path without this level's part */
    int index[JSON_DEPTH_MAX + 1];     /* of a list's next item; -1: an object */
};

static _Noreturn void fail(const struct walk *w, const char *what) {
    size_t line, column;
    json_scan_place(&w->scan, w->scan.at, &line, &column);
    die(FAIL_DATA, "%s: line %zu column %zu: %s", w->name, line, column, what);
}

/* The path of an item of that level. */
static void append(struct walk *w, int level, const char *part) {
    size_t at = w->length[level], n = strlen(part), dot = at > 0;
    if (at + dot + n >= PATH_BYTES_MAX) fail(w, "names too long");
    if (dot) w->path[at] = '.';
    memcpy(w->path + at + dot, part, n + 1);
}

/* The path of a list's next item; an object's value has it since its key, the document has none. */
static void begin_item(struct walk *w, int level) {
    char number[16];
    if (!level || w->index[level] < 0) return;
    int i = w->index[level]++, at = (int)sizeof number - 1;
    number[at] = 0;
    do number[--at] = (char)('0' + i % 10);
    while (i /= 10);
    append(w, level, number + at);
}

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_paths(struct arena *a, const struct json_flat *f, const char *name) {
    const char **paths = arena_array(a, (size_t)f->n, sizeof *paths);
    for (int i = 0; i < f->n; i++) paths[i] = f->values[i].path;
    qsort(paths, (size_t)f->n, sizeof *paths, compare);
    for (int i = 1; i < f->n; i++)
        if (!strcmp(paths[i - 1], paths[i])) die(FAIL_DATA, "%s: '%.64s' stands twice", name, paths[i]);
}

static const char *value_text(struct arena *a, const struct walk *w, enum json_token token) {
    const struct json_scan *s = &w->scan;
    if (token == JSON_STRING) return arena_strdup(a, s->string);
    if (token == JSON_NUMBER) return arena_printf(a, "%.*s", (int)(s->number_end - s->number_begin), s->text + s->number_begin);
    return token == JSON_TRUE ? "true" : token == JSON_FALSE ? "false" : "null";
}

struct json_flat json_flatten(struct arena *a, const char *text, const char *name) {
    struct json_flat f = {.values = arena_array(a, JSON_FLAT_MAX, sizeof *f.values)};
    struct walk w = {.name = name};
    size_t n = strlen(text);
    json_scan_begin(&w.scan, text, n, arena_alloc(a, n + 1), n);
    enum json_token token = json_scan_next(&w.scan);
    if (token != JSON_OBJECT && token != JSON_ERROR) fail(&w, "expected an object");
    for (; token != JSON_END; token = json_scan_next(&w.scan)) {
        int level = w.scan.depth;
        bool opens = token == JSON_OBJECT || token == JSON_ARRAY;
        if (token == JSON_ERROR) fail(&w, w.scan.error);
        if (token == JSON_KEY) append(&w, level, w.scan.string);
        if (token == JSON_KEY || token == JSON_OBJECT_END || token == JSON_ARRAY_END) continue;
        begin_item(&w, level - opens);
        if (opens) {
            w.length[level] = strlen(w.path);
            w.index[level] = token == JSON_ARRAY ? 0 : -1;
            continue;
        }
        if (f.n == JSON_FLAT_MAX) fail(&w, "too many values");
        f.values[f.n++] = (struct json_value){arena_strdup(a, w.path), value_text(a, &w, token), token == JSON_STRING, token == JSON_NULL};
    }
    check_paths(a, &f, name);
    return f;
}

const char *json_flat_text(const struct json_flat *f, const char *path) {
    for (int i = 0; i < f->n; i++)
        if (!f->values[i].is_null && !strcmp(f->values[i].path, path)) return f->values[i].text;
    return NULL;
}
