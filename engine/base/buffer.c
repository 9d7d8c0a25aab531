#include "engine/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Makes room for n more bytes and a NUL. */
static void reserve(struct buffer *b, size_t n) {
    if (b->data && n < b->capacity - b->length) return;
    if (b->data || n >= b->capacity) b->capacity = 2 * b->capacity + n + 64;
    char *grown = arena_alloc(b->arena, b->capacity);
    if (b->length) memcpy(grown, b->data, b->length);
    b->data = grown;
}

void buffer_add(struct buffer *b, const void *data, size_t n) {
    reserve(b, n);
    memcpy(b->data + b->length, data, n);
    b->length += n;
    b->data[b->length] = 0;
}

void buffer_printf(struct buffer *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    reserve(b, (size_t)n);
    vsnprintf(b->data + b->length, (size_t)n + 1, fmt, again);
    b->length += (size_t)n;
    va_end(again);
    va_end(ap);
}
