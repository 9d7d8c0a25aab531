#include "cli/names.h"

#include <string.h>

enum { SIZE_FIRST = 64 };

/* FNV-1a. The one there, or the free place. */
static struct name *place_of(const struct names *s, const char *text) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char *c = text; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    size_t i = (size_t)(hash ^ hash >> 32) & (s->size - 1);
    while (s->places[i].text && strcmp(s->places[i].text, text)) i = (i + 1) & (s->size - 1);
    return &s->places[i];
}

static void grow(struct names *s) {
    struct names larger = {.texts = s->texts, .n = s->n, .size = s->size ? 2 * s->size : SIZE_FIRST};
    larger.places = arena_array(&larger.table, larger.size, sizeof *larger.places);
    for (size_t i = 0; i < s->size; i++)
        if (s->places[i].text) *place_of(&larger, s->places[i].text) = s->places[i];
    arena_free(&s->table);
    *s = larger;
}

uint64_t names_add(struct names *s, const char *text, uint64_t line) {
    if (2 * (s->n + 1) > s->size) grow(s);
    struct name *place = place_of(s, text);
    if (place->text) return place->line;
    *place = (struct name){arena_strdup(&s->texts, text), line};
    s->n++;
    return 0;
}

uint64_t names_find(const struct names *s, const char *text) {
    return s->size ? place_of(s, text)->line : 0;
}

void names_free(struct names *s) {
    arena_free(&s->table);
    arena_free(&s->texts);
    *s = (struct names){0};
}

static void leave(void *s) {
    names_free(s);
}

struct names *names_new(struct arena *a) {
    struct names *s = arena_alloc(a, sizeof *s);
    arena_on_free(a, leave, s);
    return s;
}
