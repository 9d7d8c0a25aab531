#include "cli/field.h"

#include <math.h>
#include <string.h>
#include <strings.h>
#include "cli/foreign.h"
#include "cli/kinds.h"
#include "engine/base/error.h"
#include "engine/base/text.h"

bool parse_digits(const char *s, uint64_t *n) {
    return s[strspn(s, "0123456789")] == 0 && parse_u64(s, n);
}

static const void *value_in(const struct field *f, const void *base) {
    return (const char *)base + f->offset;
}

/* ---- setters ----------------------------------------------------------------------------------------------------- */

static void set_text(const struct given *g) {
    *(const char **)field_value(g) = g->value;
}

/* A file or directory: "" is always a mistake (an unset shell variable). */
static void set_path(const struct given *g) {
    if (!*g->value) die(FAIL_USAGE, "%s: expected %s, found an empty string", g->name, g->field->argument);
    set_text(g);
}

void field_set_flag(const struct given *g) {
    *(bool *)field_value(g) = true;
}

void field_set_int(const struct given *g) {
    const struct field *f = g->field;
    uint64_t n;
    if (!parse_digits(g->value, &n) || (double)n < f->min || (double)n > f->max)
        die(FAIL_USAGE, "%s: expected a whole number from %.0f to %.0f, found '%s'", g->name, f->min, f->max, g->value);
    *(int *)field_value(g) = (int)n;
}

static void set_number(const struct given *g) {
    const struct field *f = g->field;
    double x;
    if (!parse_double(g->value, &x) || !(x >= f->min && x <= f->max))
        die(FAIL_USAGE, "%s: expected a number from %g to %g, found '%s'", g->name, f->min, f->max, g->value);
    *(double *)field_value(g) = x;
}

/* The words of a choice as a sentence: "auto, cpu or cuda". */
static const char *word_list(struct arena *a, const char *const *words) {
    const char *text = words[0];
    for (int i = 1; words[i]; i++) text = arena_printf(a, "%s%s%s", text, words[i + 1] ? ", " : " or ", words[i]);
    return text;
}

/* Case does not count, and another program's word for the same will do. */
static int find_word(const char *const *words, const char *value) {
    const char *same = foreign_word(value);
    for (int i = 0; words[i]; i++)
        if (!strcasecmp(value, words[i]) || (same && !strcmp(same, words[i]))) return i;
    return -1;
}

int field_word(const struct given *g) {
    const char *const *words = g->field->words;
    int found = find_word(words, g->value);
    if (found >= 0) return found;
    const char *near = suggest(g->value, words), *expected = word_list(g->arena, words);
    const char *hint = near ? arena_printf(g->arena, "did you mean '%s'?", near) : NULL;
    if (hint) die_hint(FAIL_USAGE, hint, "%s: expected %s, found '%s'", g->name, expected, g->value);
    die(FAIL_USAGE, "%s: expected %s, found '%s'", g->name, expected, g->value);
}

static void set_enum(const struct given *g) {
    *(int *)field_value(g) = field_word(g);
}

static void set_word(const struct given *g) {
    *(const char **)field_value(g) = g->field->words[field_word(g)];
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

void field_write_text(struct json_out *j, const char *key, const struct field *f, const void *base) {
    json_out_string(j, key, *(const char *const *)value_in(f, base));
}

static void write_flag(struct json_out *j, const char *key, const struct field *f, const void *base) {
    json_out_bool(j, key, *(const bool *)value_in(f, base));
}

void field_write_int(struct json_out *j, const char *key, const struct field *f, const void *base) {
    int n = *(const int *)value_in(f, base);
    json_out_u64(j, key, n > 0 ? (uint64_t)n : 0); /* -1: absent, in some */
}

static void write_number(struct json_out *j, const char *key, const struct field *f, const void *base) {
    json_out_number(j, key, *(const double *)value_in(f, base));
}

void field_write_enum(struct json_out *j, const char *key, const struct field *f, const void *base) {
    json_out_string(j, key, f->words[*(const int *)value_in(f, base)]);
}

const struct field_kind kind_text = {set_text, field_write_text, JSON_TEXT};
const struct field_kind kind_path = {set_path, field_write_text, JSON_TEXT};
const struct field_kind kind_flag = {field_set_flag, write_flag, JSON_FLAG};
const struct field_kind kind_int = {field_set_int, field_write_int, JSON_COUNT};
const struct field_kind kind_number = {set_number, write_number, JSON_COUNT};
const struct field_kind kind_enum = {set_enum, field_write_enum, JSON_TEXT};
const struct field_kind kind_word = {set_word, field_write_text, JSON_TEXT};

/* ---- tables ------------------------------------------------------------------------------------------------------ */

const char *field_key(struct arena *a, const struct field *f) {
    char *key = arena_strdup(a, f->name);
    for (char *c = key; (c = strchr(c, '-'));) *c = '_';
    return key;
}

void field_presets(struct arena *a, const struct field *table, int n, void *base) {
    for (int i = 0; i < n; i++) {
        struct given g = {.arena = a, .base = base, .field = &table[i], .name = table[i].name, .value = table[i].preset};
        if (g.value) g.field->kind->set(&g);
        else if (g.field->kind == &kind_number || g.field->kind == &kind_number_given) *(double *)field_value(&g) = NAN;
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

const struct field *field_find(const struct field *table, int n, const char *key) {
    for (const struct field *f = table; f < table + n; f++) {
        const char *name = f->name, *k = key;
        while (*k && (*k == *name || (*k == '_' && *name == '-'))) k++, name++;
        if (!*k && !*name) return f;
    }
    return NULL;
}

const struct field *field_known(const struct field *table, int n, const char *key) {
    const struct field *own = field_find(table, n, key);
    const struct foreign_option *theirs = own ? NULL : foreign_option(key, strlen(key));
    return theirs && theirs->ours ? field_find(table, n, theirs->ours) : own;
}

bool field_same(struct arena *a, const struct field *f, const void *one, const void *other) {
    struct json_out x = {.text.arena = a}, y = x;
    f->kind->write(&x, f->name, f, one);
    f->kind->write(&y, f->name, f, other);
    return x.text.length == y.text.length && (!x.text.length || !memcmp(x.text.data, y.text.data, x.text.length));
}

/* The value as it would be given on the command line; NULL for a flag that is not set. */
static const char *value_text(struct arena *a, const struct field *f, const struct json *o, const char *key) {
    char *text = arena_alloc(a, NUMBER_TEXT_MAX);
    if (f->kind->json == JSON_FLAG) return json_bool(o, key, false) ? "" : NULL;
    if (f->kind->json == JSON_TEXT || json_is_string(o, key)) return arena_strdup(a, json_string(o, key, ""));
    double number = json_number(o, key, 0, -HUGE_VAL, HUGE_VAL);
    if (f->kind->json == JSON_COUNT && fabs(number) >= 0x1p53) return json_number_text(a, o, key);
    number_text(text, number);
    return text;
}

/* A text, or a list of them, in place of what was there. */
static void list_from_json(struct given *g, const struct json *o, const char *key) {
    enum { ITEMS_MAX = 64 };
    const char *items[ITEMS_MAX] = {json_is_string(o, key) ? json_string(o, key, "") : NULL};
    int n = *items ? 1 : json_string_array(o, key, items, ITEMS_MAX);
    g->field->kind->set(g);
    for (int i = 0; i < n; i++) {
        if (!items[i]) die(FAIL_DATA, "%s: expected texts, found null", g->name);
        g->value = arena_strdup(g->arena, items[i]);
        g->field->kind->set(g);
    }
}

/* The same of numbers. */
static void numbers_from_json(struct given *g, const struct json *o, const char *key) {
    enum { ITEMS_MAX = 64 };
    double items[ITEMS_MAX];
    int n = json_is_array(o, key) ? json_number_array(o, key, items, ITEMS_MAX) : 1;
    if (!json_is_array(o, key)) items[0] = json_number(o, key, 0, -HUGE_VAL, HUGE_VAL);
    g->field->kind->set(g);
    for (int i = 0; i < n; i++) {
        char *text = arena_alloc(g->arena, NUMBER_TEXT_MAX);
        number_text(text, items[i]);
        g->value = text;
        g->field->kind->set(g);
    }
}

void field_from_json(struct arena *a, const struct field *f, void *base, const struct json *o, const char *key) {
    if (json_is_null(o, key)) return;
    struct given g = {.arena = a, .base = base, .field = f, .name = arena_printf(a, "%s: %s", json_place(a, o, key), key)};
    if (f->kind->json == JSON_LIST) return list_from_json(&g, o, key);
    if (f->kind->json == JSON_NUMBERS) return numbers_from_json(&g, o, key);
    g.value = value_text(a, f, o, key);
    if (g.value) f->kind->set(&g);
    else *(bool *)field_value(&g) = false;
}
