#include "engine/files/embedding.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/files/lone_file.h"

enum { BYTES_MAX = 64 << 20 };

/* Of an open file: it is small. */
static void hash(struct embedding *e) {
    if (e->file->size > BYTES_MAX) die(FAIL_UNSUPPORTED, "%s: more than %d bytes: not an embedding", e->path, BYTES_MAX);
    int error = sha256_open_file(e->file->fd, e->file->size, e->sha256);
    if (error) die(FAIL_IO, "%s: %s", e->path, strerror(error));
}

static const char *stem(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return arena_printf(a, "%.*s", (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)), name);
}

/* Small enough to look at all of it. */
static void check_values(const struct embedding *e, const struct tensor *t) {
    struct arena own = {0};
    size_t n = tensor_count(t), i = 0;
    float *x = arena_array(&own, n, sizeof *x);
    int error = tensor_read(t, x);
    while (!error && i < n && isfinite(x[i])) i++;
    arena_free(&own);
    if (error) die(FAIL_IO, "%s: %s", e->path, strerror(error));
    if (i < n) die(FAIL_DATA, "%s: tensor '%s': value %zu of %zu is not finite", e->path, t->name, i, n);
}

/* Its own word, or NULL: the file's name. */
static const char *word_of(const char *tensor, enum embedding_place *place) {
    static const char *const nameless[] = {"emb_params", "*", "string_to_param.*", "string_to_param"};
    *place = !strcmp(tensor, "clip_l") ? EMBEDDING_FIRST : !strcmp(tensor, "clip_g") ? EMBEDDING_SECOND : EMBEDDING_ANY;
    for (size_t i = 0; i < sizeof nameless / sizeof *nameless; i++)
        if (!strcmp(tensor, nameless[i])) return NULL;
    return *place == EMBEDDING_ANY ? tensor : NULL;
}

static void add_part(struct arena *a, struct embedding *e, const struct tensor *t) {
    struct embedding_part *p = &e->parts[e->n_parts++];
    int64_t n = t->rank == 2 ? t->shape[0] : 1, width = t->rank ? t->shape[t->rank - 1] : 0;
    if (t->rank < 1 || t->rank > 2 || n < 1 || width < 1 || width > 65536)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected vectors, [n,width] or [width]", e->path, t->name);
    if (n > EMBEDDING_VECTORS_MAX)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': %jd vectors; expected at most %d", e->path, t->name, (intmax_t)n, EMBEDDING_VECTORS_MAX);
    if (e->n_parts > 1 && n != e->n)
        die(FAIL_DATA, "%s: tensor '%s': %jd vectors, but the other has %d", e->path, t->name, (intmax_t)n, e->n);
    const char *word = word_of(t->name, &p->place);
    e->token = word ? word : stem(a, e->path);
    e->n = (int)n;
    p->width = (int)width;
    p->vectors = tensor_sum(a, tensor_reshape(a, t, 2, (const int64_t[]){n, width}), NULL, 0);
    check_values(e, p->vectors);
}

struct embedding *embedding_open(struct arena *a, const char *path) {
    struct embedding *e = arena_alloc(a, sizeof *e);
    e->path = lone_file(a, "--embedding FILE", path, "learned_embeds.safetensors");
    e->file = st_open(a, e->path);
    const struct tensor *first = st_find(e->file, "clip_l"), *second = st_find(e->file, "clip_g");
    bool pair = first && second && e->file->n_tensors == 2;
    if (!pair && e->file->n_tensors != 1)
        die(FAIL_UNSUPPORTED, "%s: not an embedding: expected one tensor, or clip_l and clip_g, found %d", e->path, e->file->n_tensors);
    hash(e);
    add_part(a, e, pair ? first : e->file->by_name[0]);
    if (pair) add_part(a, e, second);
    return e;
}
