#include "engine/base/json.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

enum { JSON_BYTES_MAX = 1 << 20, JSON_NODES_MAX = 20000, NUMBER_MAX = 60 /* cJSON reads at most 63 characters */ };

struct json {
    const char *path;
    const char *prefix; /* "" or "outer." for messages */
    const char *text;   /* of the outermost object; NULL within */
    size_t length;
    size_t *columns;               /* of one line: where each key stands; else NULL */
    int n;                         /* keys … */
    const cJSON **items, **by_key; /* … in order of the text, and sorted: cJSON's own search is linear */
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void free_tree(void *tree) {
    cJSON_Delete(tree);
}

/* What a text is called: a file, or one line of it. */
struct origin {
    const char *name;
    bool line;
};

static _Noreturn void fail_at(const struct json_scan *s, size_t at, struct origin from, const char *what) {
    size_t line, column;
    json_scan_place(s, at, &line, &column);
    if (from.line) die(FAIL_DATA, "%s column %zu: %s", from.name, column, what);
    die(FAIL_DATA, "%s: line %zu column %zu: %s", from.name, line, column, what);
}

/* Rewrites Infinity as 1e999, which cJSON reads as infinite, and refuses every other number beyond a double. */
static void check_number(const struct json_scan *s, char *text, struct origin from) {
    size_t n = s->number_end - s->number_begin;
    char digits[NUMBER_MAX + 1], *number = text + s->number_begin;
    double value;
    if (n > NUMBER_MAX) fail_at(s, s->number_begin, from, "number too long");
    memcpy(digits, number, n);
    digits[n] = 0;
    if (digits[n - 1] == 'y') memcpy(number + n - 8, "1e999   ", 8);
    else if (!parse_double(digits, &value)) fail_at(s, s->number_begin, from, "number out of range");
}

/* Everything cJSON would let pass: dies, or text is one object of legal size; returns the number of its values. */
static int check_text(struct arena *a, char *text, size_t length, struct origin from) {
    struct json_scan s;
    json_scan_begin(&s, text, length, arena_alloc(a, length + 1), length);
    s.infinity = true;
    enum json_token token = json_scan_next(&s);
    if (token != JSON_OBJECT && token != JSON_ERROR) fail_at(&s, 0, from, "expected an object");
    int n = 0;
    for (; token != JSON_END; token = json_scan_next(&s)) {
        if (token == JSON_ERROR) fail_at(&s, s.at, from, s.error);
        if (token == JSON_NUMBER) check_number(&s, text, from);
        if (token != JSON_KEY && ++n > JSON_NODES_MAX) fail_at(&s, s.at, from, "too many values");
    }
    return n;
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* At most JSON_DEPTH_MAX levels deep. keys: room for all keys of the document. */
static void check_duplicates(const cJSON *node, const char **keys, const char *path) {
    const cJSON *child;
    size_t n = 0;
    if (cJSON_IsObject(node)) {
        cJSON_ArrayForEach(child, node) keys[n++] = child->string;
        qsort(keys, n, sizeof *keys, compare_keys);
        for (size_t i = 1; i < n; i++)
            if (strcmp(keys[i - 1], keys[i]) == 0) die(FAIL_DATA, "%s: key '%.64s' stands twice", path, keys[i]);
    }
    cJSON_ArrayForEach(child, node) check_duplicates(child, keys, path);
}

static int compare_items(const void *a, const void *b) {
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static struct json *json_new(struct arena *a, const cJSON *node, const char *path, const char *prefix) {
    struct json *o = arena_alloc(a, sizeof *o);
    *o = (struct json){.path = path, .prefix = prefix, .n = cJSON_GetArraySize(node)};
    o->items = arena_array(a, (size_t)o->n, sizeof *o->items);
    o->by_key = arena_array(a, (size_t)o->n, sizeof *o->by_key);
    const cJSON *item;
    int n = 0;
    cJSON_ArrayForEach(item, node) o->items[n] = o->by_key[n] = item, n++;
    qsort(o->by_key, (size_t)n, sizeof *o->by_key, compare_items);
    return o;
}

/* Where the keys of the outermost object stand, from 1, in order. */
static size_t *find_columns(struct arena *a, const struct json *o) {
    size_t *columns = arena_array(a, (size_t)o->n, sizeof *columns), at;
    struct json_scan s;
    json_scan_begin(&s, o->text, o->length, NULL, 0);
    json_scan_next(&s);
    for (int i = 0; i < o->n; i++) {
        at = s.at + strspn(o->text + s.at, " \t\r\n,");
        columns[i] = at + 1;
        json_scan_next(&s);
        json_scan_skip(&s, json_scan_next(&s));
    }
    return columns;
}

static struct json *parse(struct arena *a, const char *text, size_t length, struct origin from) {
    const char *path = from.name;
    if (length > JSON_BYTES_MAX) die(FAIL_DATA, "%s: %zu bytes, expected at most %d", path, length, JSON_BYTES_MAX);
    char *copy = arena_alloc(a, length + 1);
    memcpy(copy, text, length);
    int n_values = check_text(a, copy, length, from);
    cJSON *tree = cJSON_ParseWithLengthOpts(copy, length + 1, NULL, true);
    if (!tree) die(FAIL_MEMORY, "%s: out of memory", path);
    arena_on_free(a, free_tree, tree);
    check_duplicates(tree, arena_array(a, (size_t)n_values, sizeof(char *)), path);
    struct json *o = json_new(a, tree, arena_strdup(a, path), "");
    o->text = copy;
    o->length = length;
    if (from.line) o->columns = find_columns(a, o);
    return o;
}

struct json *json_parse(struct arena *a, const char *text, size_t length, const char *path) {
    return parse(a, text, length, (struct origin){path, false});
}

struct json *json_parse_line(struct arena *a, const char *text, size_t length, const char *place) {
    return parse(a, text, length, (struct origin){place, true});
}

struct json *json_load(struct arena *a, const char *path) {
    size_t length;
    char *text = read_file(a, path, JSON_BYTES_MAX, &length);
    return json_parse(a, text, length, path);
}

/* " column 15", or "" where it is not known. */
struct column {
    char text[32];
};

static struct column column_of(const struct json *o, const char *key) {
    struct column c = {""};
    int i = 0;
    while (i < o->n && strcmp(o->items[i]->string, key)) i++;
    if (o->columns && i < o->n) snprintf(c.text, sizeof c.text, " column %zu", o->columns[i]);
    return c;
}

/* ---- getters ----------------------------------------------------------------------------------------------------- */

const char *json_path(const struct json *o) {
    return o->path;
}

const char *json_place(struct arena *a, const struct json *o, const char *key) {
    return arena_printf(a, "%s%s", o->path, column_of(o, key).text);
}

static int compare_key(const void *key, const void *item) {
    return strcmp(key, (*(const cJSON *const *)item)->string);
}

static const cJSON *find(const struct json *o, const char *key) {
    const cJSON **found = o->n ? bsearch(key, o->by_key, (size_t)o->n, sizeof *o->by_key, compare_key) : NULL;
    return found ? *found : NULL;
}

static const cJSON *get(const struct json *o, const char *key) {
    const cJSON *v = find(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

bool json_has(const struct json *o, const char *key) {
    return find(o, key) != NULL;
}

bool json_is_string(const struct json *o, const char *key) {
    return cJSON_IsString(get(o, key));
}

bool json_is_null(const struct json *o, const char *key) {
    return !get(o, key);
}

bool json_is_array(const struct json *o, const char *key) {
    return cJSON_IsArray(get(o, key));
}

bool json_is_object(const struct json *o, const char *key) {
    return cJSON_IsObject(get(o, key));
}

int json_n_keys(const struct json *o) {
    return o->n;
}

const char *json_key(const struct json *o, int i) {
    return i >= 0 && i < o->n ? o->items[i]->string : NULL;
}

static _Noreturn void fail_field(const struct json *o, const char *key, const char *expected, const cJSON *v) {
    char found[96];
    if (cJSON_IsNumber(v)) snprintf(found, sizeof found, "%.17g", v->valuedouble);
    else if (cJSON_IsString(v)) snprintf(found, sizeof found, "\"%.64s\"", v->valuestring);
    else if (cJSON_IsBool(v)) strcpy(found, cJSON_IsTrue(v) ? "true" : "false");
    else strcpy(found, cJSON_IsArray(v) ? "a list" : cJSON_IsObject(v) ? "an object" : "null");
    die(FAIL_DATA, "%s%s: field '%s%s': expected %s, found %s", o->path, column_of(o, key).text, o->prefix, key, expected, found);
}

/* cJSON holds numbers as double, exact below 2^53. */
static int64_t integer_of(const struct json *o, const char *key, const cJSON *v, int64_t min, int64_t max) {
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %jd to %jd", (intmax_t)min, (intmax_t)max);
    double d = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    if (!(d == floor(d) && fabs(d) < 0x1p53 && (int64_t)d >= min && (int64_t)d <= max)) fail_field(o, key, expected, v);
    return (int64_t)d;
}

int64_t json_int(const struct json *o, const char *key, int64_t fallback, int64_t min, int64_t max) {
    const cJSON *v = get(o, key);
    return v ? integer_of(o, key, v, min, max) : fallback;
}

double json_number(const struct json *o, const char *key, double fallback, double min, double max) {
    const cJSON *v = get(o, key);
    if (!v) return fallback;
    double d = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    char expected[80];
    if (isinf(min) && isinf(max)) strcpy(expected, "a number");
    else snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
    if (!(d >= min && d <= max)) fail_field(o, key, expected, v);
    return d;
}

const char *json_number_text(struct arena *a, const struct json *o, const char *key) {
    struct json_scan s;
    assert(o->text && cJSON_IsNumber(get(o, key)));
    json_scan_begin(&s, o->text, o->length, arena_alloc(a, o->length + 1), o->length);
    json_scan_next(&s);
    while (json_scan_next(&s) == JSON_KEY && strcmp(s.string, key)) json_scan_skip(&s, json_scan_next(&s));
    json_scan_next(&s);
    return arena_printf(a, "%.*s", (int)(s.number_end - s.number_begin), o->text + s.number_begin);
}

bool json_bool(const struct json *o, const char *key, bool fallback) {
    const cJSON *v = find(o, key);
    if (!v) return fallback;
    if (cJSON_IsNull(v)) return false;
    if (!cJSON_IsBool(v)) fail_field(o, key, "true or false", v);
    return cJSON_IsTrue(v);
}

const char *json_string(const struct json *o, const char *key, const char *fallback) {
    const cJSON *v = get(o, key);
    if (!v) return fallback;
    if (!cJSON_IsString(v)) fail_field(o, key, "a string", v);
    return v->valuestring;
}

struct json *json_object(struct arena *a, const struct json *o, const char *key) {
    const cJSON *v = get(o, key);
    if (!v) return NULL;
    if (!cJSON_IsObject(v)) fail_field(o, key, "an object", v);
    return json_new(a, v, o->path, arena_printf(a, "%s%s.", o->prefix, key));
}

/* The list of at most max_n items, or NULL if absent or null. */
static const cJSON *get_array(const struct json *o, const char *key, int max_n) {
    const cJSON *v = get(o, key);
    if (!v) return NULL;
    if (!cJSON_IsArray(v)) fail_field(o, key, "a list", v);
    int n = cJSON_GetArraySize(v);
    if (n > max_n)
        die(FAIL_DATA, "%s%s: field '%s%s': expected at most %d items, found %d", o->path, column_of(o, key).text, o->prefix, key, max_n,
            n);
    return v;
}

int json_int_array(const struct json *o, const char *key, int64_t *values, int max_n, int64_t min, int64_t max, bool scalar_ok) {
    if (scalar_ok && max_n > 0 && cJSON_IsNumber(get(o, key))) return values[0] = json_int(o, key, 0, min, max), 1;
    const cJSON *list = get_array(o, key, max_n), *item;
    int n = 0;
    if (!list) return -1;
    cJSON_ArrayForEach(item, list) values[n++] = integer_of(o, key, item, min, max);
    return n;
}

int json_int_lists(const struct json *o, const char *key, int64_t *values, int *counts, int max_n, int max_m, int64_t min, int64_t max) {
    const cJSON *list = get_array(o, key, max_n), *item, *inner;
    int n = 0;
    if (!list) return -1;
    cJSON_ArrayForEach(item, list) {
        int64_t *row = &values[n * max_m];
        int m = 0;
        if (!cJSON_IsArray(item)) row[0] = integer_of(o, key, item, min, max);
        else if (cJSON_GetArraySize(item) > max_m || !item->child)
            die(FAIL_DATA, "%s: field '%s%s': expected lists of 1 to %d items, found %d", o->path, o->prefix, key, max_m,
                cJSON_GetArraySize(item));
        else cJSON_ArrayForEach(inner, item) row[m++] = integer_of(o, key, inner, min, max);
        counts[n++] = m;
    }
    return n;
}

int json_bool_array(const struct json *o, const char *key, bool *values, int max_n, bool scalar_ok) {
    if (scalar_ok && max_n > 0 && cJSON_IsBool(get(o, key))) return values[0] = json_bool(o, key, false), 1;
    const cJSON *list = get_array(o, key, max_n), *item;
    int n = 0;
    if (!list) return -1;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsBool(item)) fail_field(o, key, "true or false", item);
        values[n++] = cJSON_IsTrue(item);
    }
    return n;
}

int json_number_array(const struct json *o, const char *key, double *values, int max_n) {
    const cJSON *list = get_array(o, key, max_n), *item;
    int n = 0;
    if (!list) return -1;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) fail_field(o, key, "a list of finite numbers", item);
        values[n++] = item->valuedouble;
    }
    return n;
}

int json_string_array(const struct json *o, const char *key, const char **values, int max_n) {
    const cJSON *list = get_array(o, key, max_n), *item;
    int n = 0;
    if (!list) return -1;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item) && !cJSON_IsNull(item)) fail_field(o, key, "a list of strings", item);
        values[n++] = cJSON_IsNull(item) ? NULL : item->valuestring;
    }
    return n;
}
