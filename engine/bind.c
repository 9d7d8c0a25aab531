#include "engine/bind.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"

struct binder *binder_new(const struct component *c) {
    struct binder *b = arena_alloc(c->arena, sizeof *b);
    *b = (struct binder){.component = c, .arena = c->arena};
    return b;
}

enum { SHAPE_TEXT = 21 * TENSOR_RANK_MAX + 3 };

/* "[320,4,3,3]" */
static const char *shape_text(char text[SHAPE_TEXT], const int64_t *shape, int rank) {
    size_t n = 1;
    strcpy(text, "[");
    for (int i = 0; i < rank; i++) n += (size_t)snprintf(text + n, SHAPE_TEXT - n, "%s%jd", i ? "," : "", (intmax_t)shape[i]);
    strcpy(text + n, "]");
    return text;
}

/* A 1x1 convolution is a matrix: trailing axes of one do not count. A vector is a table of one row. */
static bool same_shape(const int64_t *a, int rank_a, const int64_t *b, int rank_b) {
    if (rank_a == 2 && rank_b == 1) return a[0] == 1 && a[1] == b[0];
    if (rank_a == rank_b || (rank_a == 2 && rank_b == 4) || (rank_a == 4 && rank_b == 2)) {
        for (int i = 0; i < rank_a || i < rank_b; i++)
            if ((i < rank_a ? a[i] : 1) != (i < rank_b ? b[i] : 1)) return false;
        return true;
    }
    return false;
}

static bool is_float(enum dtype dtype) {
    return dtype == DT_F32 || dtype == DT_F16 || dtype == DT_BF16 || dtype == DT_F64;
}

/* The tensor, checked; NULL if it is missing, which is remembered. */
static const struct tensor *bind(struct binder *b, const int64_t *shape, int rank, const char *name) {
    const struct tensor *t = component_find(b->component, name);
    char expected[SHAPE_TEXT], found[SHAPE_TEXT];
    if (!t) {
        if (b->n_missing < BINDER_NAMED) b->missing[b->n_missing] = arena_strdup(b->arena, name);
        b->n_missing++;
        return NULL;
    }
    if (!same_shape(shape, rank, t->shape, t->rank))
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected %s, found %s", t->file->path, t->name, shape_text(expected, shape, rank),
            shape_text(found, t->shape, t->rank));
    if (!is_float(t->dtype))
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': unsupported dtype %s, expected F32, F16, BF16 or F64", t->file->path, t->name,
            dtype_table[t->dtype].name);
    return t;
}

static struct weight *weight_new(struct binder *b, enum weight_kind kind, const int64_t *shape, int rank, const char *const names[],
                                 const struct tensor **parts, int n_parts) {
    struct weight *w = arena_alloc(b->arena, sizeof *w);
    const char **copies = arena_array(b->arena, (size_t)n_parts, sizeof *copies);
    for (int i = 0; i < n_parts; i++) copies[i] = arena_strdup(b->arena, names[i]);
    *w = (struct weight){.kind = kind, .name = copies[0], .rank = rank, .parts = parts, .names = copies, .n_parts = n_parts};
    memcpy(w->shape, shape, (size_t)rank * sizeof *shape);
    if (b->last) b->last->next = w;
    else b->first = w;
    b->last = w;
    return w;
}

struct weight *weight_get(struct binder *b, enum weight_kind kind, const int64_t *shape, int rank, const char *fmt, ...) {
    char name[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const struct tensor **parts = arena_alloc(b->arena, sizeof *parts);
    parts[0] = bind(b, shape, rank, name);
    return weight_new(b, kind, shape, rank, (const char *[]){name}, parts, 1);
}

void weight_made_of(struct binder *b, struct weight *w, const struct tensor *t) {
    const struct tensor **parts = arena_alloc(b->arena, sizeof *parts);
    parts[0] = t;
    w->parts = parts;
}

struct weight *weight_get_stacked(struct binder *b, enum weight_kind kind, int n, const char *const names[], const int64_t rows[],
                                  int64_t columns) {
    const struct tensor **parts = arena_array(b->arena, (size_t)n, sizeof *parts);
    int64_t shape[2] = {0, columns};
    int rank = columns ? 2 : 1;
    for (int i = 0; i < n; i++) {
        parts[i] = bind(b, (const int64_t[]){rows[i], columns}, rank, names[i]);
        shape[0] += rows[i];
    }
    return weight_new(b, kind, shape, rank, names, parts, n);
}

/* ---- what is missing --------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the parts bound, sorted. */
static const char **bound_names(const struct binder *b, size_t *n) {
    size_t count = 0;
    for (const struct weight *w = b->first; w; w = w->next) count += (size_t)w->n_parts;
    const char **names = arena_array(b->arena, count + 1, sizeof *names);
    *n = 0;
    for (const struct weight *w = b->first; w; w = w->next)
        for (int i = 0; i < w->n_parts; i++)
            if (w->parts[i]) names[(*n)++] = w->parts[i]->name;
    qsort(names, *n, sizeof *names, compare_names);
    return names;
}

/* "unet.conv_in.weight" of "conv_in.weight". */
static bool is_within(const char *name, const char *inner) {
    size_t n = strlen(name), m = strlen(inner);
    return n > m && name[n - m - 1] == '.' && !strcmp(name + n - m, inner);
}

/* A tensor nobody asked for whose name is nearly the missing one's, or has it behind a prefix; or NULL. */
static const char *neighbour(const struct binder *b, const char *missing) {
    const struct component *c = b->component;
    size_t n_bound, n = 0, most = 1;
    const char **bound = bound_names(b, &n_bound);
    for (int i = 0; i < c->n_files; i++) most += (size_t)c->files[i]->n_tensors;
    const char **spare = arena_array(b->arena, most, sizeof *spare);
    for (int i = 0; i < c->n_files; i++)
        for (int j = 0; j < c->files[i]->n_tensors; j++) {
            const char *name = c->files[i]->by_name[j]->name;
            if (!bsearch(&name, bound, n_bound, sizeof *bound, compare_names)) spare[n++] = name;
        }
    for (size_t i = 0; i < n; i++)
        if (is_within(spare[i], missing)) return spare[i];
    return b->n_missing <= BINDER_NAMED ? suggest(missing, spare) : NULL;
}

void binder_check(const struct binder *b) {
    const struct component *c = b->component;
    if (!b->n_missing) return;
    const char *list = "", *near = neighbour(b, b->missing[0]);
    for (int i = 0; i < b->n_missing && i < BINDER_NAMED; i++) list = arena_printf(b->arena, "%s%s%s", list, i ? ", " : "", b->missing[i]);
    if (b->n_missing > BINDER_NAMED) list = arena_printf(b->arena, "%s, …", list);
    if (near) list = arena_printf(b->arena, "%s; found '%s', which is nobody's", list, near);
    die_hint(FAIL_UNSUPPORTED,
             c->variant ? "the variant's files may be incomplete: try without --variant"
             : near     ? NULL
                        : "is it a --variant, or another class?",
             "%s: %d tensor%s missing: %s", c->n_files == 1 ? c->files[0]->path : c->dir, b->n_missing, b->n_missing > 1 ? "s" : "", list);
}
