/* Host memory by lifetime: everything parsed from one checkpoint, one request, one test lives in one arena and goes with it. */
#ifndef ENGINE_BASE_ARENA_H
#define ENGINE_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena_exit;
struct arena { /* all zero is an empty arena */
    struct arena_block *last;
    size_t bytes; /* handed out so far */
    struct arena_exit *exits;
};

/* n zeroed bytes, 64-byte aligned from 64 bytes on, 16-byte below; never NULL. Dies with FAIL_MEMORY. */
void *arena_alloc(struct arena *a, size_t n);
/* n zeroed items of `size` bytes; the product is checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Has arena_free call leave(data) first, latest registered first: descriptors and foreign memory go with the arena, after die() too. */
void arena_on_free(struct arena *a, void (*leave)(void *data), void *data);
/* Frees every block; the arena is empty again. */
void arena_free(struct arena *a);

#endif
