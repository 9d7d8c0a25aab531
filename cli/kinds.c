#include "cli/kinds.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/pipelines/settings.h"

static const void *value_in(const struct field *f, const void *base) {
    return (const char *)base + f->offset;
}

static void set_text(const struct given *g) {
    kind_text.set(g);
}

static void set_path(const struct given *g) {
    kind_path.set(g);
}

static void set_number(const struct given *g) {
    kind_number.set(g);
}

static void write_text(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const char *text = *(const char *const *)value_in(f, base);
    if (text) json_out_string(j, key, text);
}

static void write_number(struct json_out *j, const char *key, const struct field *f, const void *base) {
    double x = *(const double *)value_in(f, base);
    if (!isnan(x)) json_out_number(j, key, x);
}

/* "AsB", s one of the separators; both are digits and in range. */
static void parse_pair(const struct given *g, const char *separators, int pair[2]) {
    const struct field *f = g->field;
    size_t n = strcspn(g->value, separators);
    const char *first = arena_printf(g->arena, "%.*s", (int)n, g->value), *second = g->value[n] ? g->value + n + 1 : "";
    uint64_t a, b;
    if (!parse_digits(first, &a) || !parse_digits(second, &b) || (double)a < f->min || (double)b < f->min || (double)a > f->max ||
        (double)b > f->max)
        die(FAIL_USAGE, "%s: expected %s, each from %.0f to %.0f, found '%s'", g->name, f->argument, f->min, f->max, g->value);
    pair[0] = (int)a;
    pair[1] = (int)b;
}

static void set_extent(const struct given *g) {
    int pair[2];
    parse_pair(g, "xX", pair);
    *(struct extent *)field_value(g) = (struct extent){pair[0], pair[1]};
}

static void write_extent(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct extent *e = value_in(f, base);
    if (e->width) json_out_string(j, key, arena_printf(j->text.arena, "%dx%d", e->width, e->height));
}

static void set_place(const struct given *g) {
    int pair[2];
    parse_pair(g, ",", pair);
    *(struct place *)field_value(g) = (struct place){pair[0], pair[1]};
}

static void write_place(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct place *p = value_in(f, base);
    if (p->x || p->y) json_out_string(j, key, arena_printf(j->text.arena, "%d,%d", p->x, p->y));
}

static void set_int_or_auto(const struct given *g) {
    if (strcmp(g->value, "auto")) field_set_int(g);
    else *(int *)field_value(g) = 0;
}

static void set_enum(const struct given *g) {
    *(int *)field_value(g) = field_word(g);
}

static void write_enum(struct json_out *j, const char *key, const struct field *f, const void *base) {
    int word = *(const int *)((const char *)base + f->offset);
    if (word) json_out_string(j, key, f->words[word]);
}

const struct field_kind kind_text_given = {set_text, write_text, JSON_TEXT};
const struct field_kind kind_path_given = {set_path, write_text, JSON_TEXT};
const struct field_kind kind_number_given = {set_number, write_number, JSON_COUNT};
const struct field_kind kind_int_or_auto = {set_int_or_auto, NULL, JSON_COUNT};
const struct field_kind kind_extent = {set_extent, write_extent, JSON_TEXT};
const struct field_kind kind_place = {set_place, write_place, JSON_TEXT};
const struct field_kind kind_enum_given = {set_enum, write_enum, JSON_TEXT};
