/* Bytes that grow: files and texts built in memory. */
#ifndef ENGINE_BASE_BUFFER_H
#define ENGINE_BASE_BUFFER_H

#include <stddef.h>
#include "engine/base/arena.h"

struct buffer {
    struct arena *arena;
    char *data;              /* NUL-terminated once anything was added; NULL before */
    size_t length, capacity; /* capacity may be set before the first byte, to the size expected */
};

void buffer_add(struct buffer *b, const void *data, size_t n);
void buffer_printf(struct buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
