#include "cli/list_kinds.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/images/preprocess.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/loras.h"

/* ---- adapters ---------------------------------------------------------------------------------------------------- */

/* FILE[:WEIGHT]; a colon that no number follows is the file's. */
static void set_lora(const struct given *g) {
    struct lora_list *list = field_value(g);
    if (!g->value) return *list = (struct lora_list){0}, (void)0;
    const char *colon = strrchr(g->value, ':');
    double weight = 1;
    bool weighted = colon && parse_double(colon + 1, &weight);
    const char *path = weighted ? arena_printf(g->arena, "%.*s", (int)(colon - g->value), g->value) : g->value;
    const char *other =
        colon && !weighted && !file_exists(g->value) ? arena_printf(g->arena, "%.*s", (int)(colon - g->value), g->value) : "";
    if (colon && !colon[1] && !file_exists(g->value)) die(FAIL_USAGE, "%s: '%s': expected a weight behind the colon", g->name, g->value);
    if (*other && file_exists(other)) die(FAIL_USAGE, "%s: expected a weight behind %s, found '%s'", g->name, other, colon + 1);
    if (!*path) die(FAIL_USAGE, "%s: expected FILE[:WEIGHT], found '%s'", g->name, g->value);
    if (!(fabs(weight) <= 100)) die(FAIL_USAGE, "%s: expected a weight from -100 to 100, found '%s'", g->name, colon + 1);
    loras_add(g->arena, list, path, weight);
}

static void write_loras(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct lora_list *list = (const void *)((const char *)base + f->offset);
    char number[NUMBER_TEXT_MAX];
    if (!list->n) return;
    json_out_open(j, key, '[');
    for (int i = 0; i < list->n; i++) {
        number_text(number, list->items[i].weight);
        json_out_string(j, NULL, arena_printf(j->text.arena, "%s:%s", list->items[i].path, number));
    }
    json_out_close(j, '[');
}

/* FILE[=WORD]; what names a file as it stands has no word. */
static void set_embedding(const struct given *g) {
    struct embedding_list *list = field_value(g);
    if (!g->value) return *list = (struct embedding_list){0}, (void)0;
    const char *equals = name_exists(g->value) ? NULL : strrchr(g->value, '=');
    const char *path = equals ? arena_printf(g->arena, "%.*s", (int)(equals - g->value), g->value) : g->value;
    if (!*path || (equals && !equals[1])) die(FAIL_USAGE, "%s: expected FILE[=WORD], found '%s'", g->name, g->value);
    embeddings_add(g->arena, list, path, equals ? equals + 1 : NULL);
}

static void write_embeddings(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct embedding_list *list = (const void *)((const char *)base + f->offset);
    if (!list->n) return;
    json_out_open(j, key, '[');
    for (int i = 0; i < list->n; i++) {
        const struct embedding_item *e = &list->items[i];
        json_out_string(j, NULL, e->token ? arena_printf(j->text.arena, "%s=%s", e->path, e->token) : e->path);
    }
    json_out_close(j, '[');
}

/* ---- ControlNets ------------------------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 64 };

static void check_room(const struct given *g, int n) {
    if (n == ITEMS_MAX) die(FAIL_USAGE, "%s: more than %d of them", g->name, ITEMS_MAX);
}

static void add_text(const struct given *g) {
    struct text_list *list = field_value(g);
    check_room(g, list->n);
    const char **items = arena_array(g->arena, (size_t)list->n + 1, sizeof *items);
    for (int i = 0; i < list->n; i++) items[i] = list->items[i];
    items[list->n] = g->value;
    *list = (struct text_list){list->n + 1, items};
}

static void set_paths(const struct given *g) {
    if (!g->value) return *(struct text_list *)field_value(g) = (struct text_list){0}, (void)0;
    if (!*g->value) die(FAIL_USAGE, "%s: expected %s, found an empty string", g->name, g->field->argument);
    add_text(g);
}

static void set_preprocess(const struct given *g) {
    struct preprocess p;
    if (g->value && !preprocess_parse(g->value, &p))
        die(FAIL_USAGE, "%s: expected none, canny or canny:LOW,HIGH (0 to 10000, LOW not above HIGH), depth or depth:DIR, found '%s'",
            g->name, g->value);
    set_paths(g);
}

static void set_numbers(const struct given *g) {
    const struct field *f = g->field;
    struct number_list *list = field_value(g);
    double x;
    if (!g->value) return *list = (struct number_list){0}, (void)0;
    if (!parse_double(g->value, &x) || !(x >= f->min && x <= f->max))
        die(FAIL_USAGE, "%s: expected a number from %g to %g, found '%s'", g->name, f->min, f->max, g->value);
    check_room(g, list->n);
    double *items = arena_array(g->arena, (size_t)list->n + 1, sizeof *items);
    for (int i = 0; i < list->n; i++) items[i] = list->items[i];
    items[list->n] = x;
    *list = (struct number_list){list->n + 1, items};
}

static void write_texts(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct text_list *list = (const void *)((const char *)base + f->offset);
    if (!list->n) return;
    json_out_open(j, key, '[');
    for (int i = 0; i < list->n; i++) json_out_string(j, NULL, list->items[i]);
    json_out_close(j, '[');
}

static void write_numbers(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct number_list *list = (const void *)((const char *)base + f->offset);
    if (!list->n) return;
    json_out_open(j, key, '[');
    for (int i = 0; i < list->n; i++) json_out_number(j, NULL, list->items[i]);
    json_out_close(j, '[');
}

const struct field_kind kind_lora = {set_lora, write_loras, JSON_LIST};
const struct field_kind kind_embedding = {set_embedding, write_embeddings, JSON_LIST};
const struct field_kind kind_paths = {set_paths, write_texts, JSON_LIST};
const struct field_kind kind_preprocess = {set_preprocess, write_texts, JSON_LIST};
const struct field_kind kind_numbers = {set_numbers, write_numbers, JSON_NUMBERS};
