#include "engine/base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/sys.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { BLOCK_BYTES = 0 }; /* every allocation a block of its own, so that overruns are seen */
#else
enum { BLOCK_BYTES = 64 << 10 };
#endif

enum { LINE = 64 };

struct arena_block {
    struct arena_block *next;
    size_t used, capacity; /* of the bytes behind this header */
};

struct arena_exit {
    void (*leave)(void *data);
    void *data;
    struct arena_exit *next;
};

/* calloc: large blocks come from the kernel as zero pages and cost nothing until touched. */
static struct arena_block *block_new(size_t capacity) {
    struct arena_block *b = capacity > SIZE_MAX - sizeof *b ? NULL : sys.calloc(1, sizeof *b + capacity);
    if (!b) die(FAIL_MEMORY, "out of memory: %zu bytes", capacity);
    b->capacity = capacity;
    return b;
}

/* The place of n bytes in block b, or NULL if it is full. */
static void *block_take(struct arena_block *b, size_t n, size_t align) {
    uintptr_t base = (uintptr_t)(b + 1);
    size_t at = ((base + b->used + align - 1) & ~(uintptr_t)(align - 1)) - base;
    if (at > b->capacity || n > b->capacity - at) return NULL;
    b->used = at + n;
    return (char *)base + at;
}

void *arena_alloc(struct arena *a, size_t n) {
    if (n > SIZE_MAX / 2) die(FAIL_MEMORY, "out of memory: %zu bytes", n);
    if (!n) n = 1;
    size_t align = n >= LINE ? LINE : 16;
    void *p = a->last ? block_take(a->last, n, align) : NULL;
    if (!p) {
        bool shared = n <= BLOCK_BYTES / 4;
        struct arena_block *b = block_new(shared ? BLOCK_BYTES : n + align);
        p = block_take(b, n, align);
        if (shared || !a->last) { /* a large block goes behind the current one, which keeps filling */
            b->next = a->last;
            a->last = b;
        } else {
            b->next = a->last->next;
            a->last->next = b;
        }
    }
    a->bytes += n;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) die(FAIL_MEMORY, "out of memory: %zu items of %zu bytes", n, size);
    return arena_alloc(a, bytes);
}

char *arena_strdup(struct arena *a, const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(arena_alloc(a, n), s, n);
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0) vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return s;
}

void arena_on_free(struct arena *a, void (*leave)(void *data), void *data) {
    struct arena_exit *e = arena_alloc(a, sizeof *e);
    *e = (struct arena_exit){leave, data, a->exits};
    a->exits = e;
}

void arena_free(struct arena *a) {
    for (struct arena_exit *e = a->exits; e; e = e->next) e->leave(e->data);
    for (struct arena_block *b = a->last, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}
