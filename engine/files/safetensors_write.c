#include "engine/files/safetensors.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "engine/base/file.h"

struct entry {
    const char *header; /* "NAME":{"dtype":…,"shape":[…] without the offsets */
    const void *data;
    uint64_t bytes;
    struct entry *next;
};

struct st_writer {
    struct arena *arena;
    struct entry *first, **last;
    size_t header_bytes; /* an upper bound */
    uint64_t data_bytes;
};

struct st_writer *st_writer_new(struct arena *a) {
    struct st_writer *w = arena_alloc(a, sizeof *w);
    *w = (struct st_writer){.arena = a, .last = &w->first};
    return w;
}

/* Names are ours: nothing in them needs a JSON escape. */
static void check_name(const char *name) {
    for (; *name; name++) assert(*name >= 0x20 && *name < 0x7f && *name != '"' && *name != '\\');
}

void st_writer_add(struct st_writer *w, const char *name, enum dtype dtype, int rank, const int64_t *shape, const void *data) {
    struct entry *e = arena_alloc(w->arena, sizeof *e);
    const char *axes = "";
    e->bytes = dtype_table[dtype].size;
    check_name(name);
    for (int i = 0; i < rank; i++) {
        axes = arena_printf(w->arena, "%s%s%jd", axes, i ? "," : "", (intmax_t)shape[i]);
        e->bytes *= (uint64_t)shape[i];
    }
    e->header = arena_printf(w->arena, "\"%s\":{\"dtype\":\"%s\",\"shape\":[%s]", name, dtype_table[dtype].name, axes);
    e->data = data;
    w->data_bytes += e->bytes;
    w->header_bytes += strlen(e->header) + 80;
    *w->last = e;
    w->last = &e->next;
}

void st_write(struct st_writer *w, const char *path) {
    size_t header_max = w->header_bytes + 16;
    char *file = arena_alloc(w->arena, 8 + header_max + w->data_bytes), *text = file + 8;
    size_t n = 0;
    uint64_t at = 0;
    text[n++] = '{';
    for (struct entry *e = w->first; e; e = e->next, text[n++] = e ? ',' : '}') {
        n += (size_t)snprintf(text + n, header_max - n, "%s,\"data_offsets\":[%ju,%ju]}", e->header, (uintmax_t)at,
                              (uintmax_t)(at + e->bytes));
        at += e->bytes;
    }
    if (!w->first) text[n++] = '}';
    while (n % 8) text[n++] = ' '; /* the data begin on a multiple of 8 */
    for (int i = 0; i < 8; i++) file[i] = (char)(n >> 8 * i);
    char *data = text + n;
    for (struct entry *e = w->first; e; data += e->bytes, e = e->next)
        if (e->bytes) memcpy(data, e->data, e->bytes);
    publish_file(w->arena, path, file, (size_t)(data - file), EXISTS_OVERWRITE);
}
