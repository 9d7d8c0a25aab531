/* A set of texts, and which line of a batch each came from. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stdint.h>
#include "engine/base/arena.h"

struct names {
    struct arena texts, table;
    struct name {
        const char *text; /* NULL: free */
        uint64_t line;
    } * places; /* size of them, a power of two; at most half are taken */
    size_t n, size;
};

/* An empty set that goes with the arena. */
struct names *names_new(struct arena *a);
/* 0, and the text (copied) is in the set with its line > 0; or the line it was there with. */
uint64_t names_add(struct names *s, const char *text, uint64_t line);
/* The line it is there with, or 0. */
uint64_t names_find(const struct names *s, const char *text);
/* Empty again. */
void names_free(struct names *s);

#endif
