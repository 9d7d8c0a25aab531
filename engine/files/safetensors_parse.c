/* {"NAME": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}, …, "__metadata__": {"k": "v"}} as a stream: no
 * tree, one pass, exact integers. Stricter than the reference reader in two points: unknown fields and names standing
 * twice are refused. */
#include "engine/files/safetensors_parse.h"

#include <stdlib.h>
#include <string.h>
#include "engine/base/checked.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

struct parser {
    struct arena *arena;
    struct st_file *file;
    struct json_scan scan;
    char string[ST_NAME_MAX + 1];
    uint64_t data_begin, data_bytes;
    int capacity;
};

/* Types of the format that no model here has, by their width. */
static const struct {
    const char *name;
    unsigned bits;
} foreign_types[] = {{"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E8M0", 8}, {"C64", 64}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

static _Noreturn void fail_syntax(const struct parser *p, const char *what) {
    die(FAIL_DATA, "%s: header, byte %zu: %s", p->file->path, p->scan.at + 8, what);
}

static enum json_token next(struct parser *p) {
    enum json_token token = json_scan_next(&p->scan);
    if (token == JSON_ERROR) fail_syntax(p, p->scan.error);
    return token;
}

static _Noreturn void fail_tensor(const struct parser *p, const struct tensor *t, const char *what) {
    die(FAIL_DATA, "%s: tensor '%s': %s", p->file->path, t->name, what);
}

/* ---- the three fields -------------------------------------------------------------------------------------------- */

struct fields {
    bool dtype, shape, offsets; /* seen */
    unsigned foreign_bits;      /* of a type that is not ours; its name … */
    const char *foreign_name;
    uint64_t begin, end; /* from the beginning of the data */
};

static void read_dtype(struct parser *p, struct tensor *t, struct fields *fields) {
    if (next(p) != JSON_STRING) fail_tensor(p, t, "dtype: expected a string");
    for (int i = 0; i < DT_COUNT; i++)
        if (strcmp(p->string, dtype_table[i].name) == 0) return t->dtype = (enum dtype)i, (void)0;
    for (size_t i = 0; i < sizeof foreign_types / sizeof *foreign_types; i++) {
        if (strcmp(p->string, foreign_types[i].name) != 0) continue;
        fields->foreign_bits = foreign_types[i].bits;
        fields->foreign_name = foreign_types[i].name;
        return;
    }
    die(FAIL_DATA, "%s: tensor '%s': unknown dtype '%.32s'", p->file->path, t->name, p->string);
}

/* A list of at most max unsigned integers; returns their number. */
static int read_integers(struct parser *p, const struct tensor *t, uint64_t *values, int max, const char *not_integers,
                         const char *too_many) {
    if (next(p) != JSON_ARRAY) fail_tensor(p, t, not_integers);
    int n = 0;
    for (enum json_token token = next(p); token != JSON_ARRAY_END; token = next(p)) {
        if (n == max) fail_tensor(p, t, too_many);
        if (token != JSON_NUMBER || !json_scan_u64(&p->scan, &values[n++])) fail_tensor(p, t, not_integers);
    }
    return n;
}

static void read_shape(struct parser *p, struct tensor *t) {
    uint64_t shape[TENSOR_RANK_MAX];
    t->rank = read_integers(p, t, shape, TENSOR_RANK_MAX, "shape: expected a list of unsigned integers", "more than 8 axes");
    for (int i = 0; i < t->rank; i++) {
        if (shape[i] > INT64_MAX) fail_tensor(p, t, "the size overflows");
        t->shape[i] = (int64_t)shape[i];
    }
}

static void read_offsets(struct parser *p, struct tensor *t, struct fields *fields) {
    static const char expected[] = "data_offsets: expected two unsigned integers";
    uint64_t at[2];
    if (read_integers(p, t, at, 2, expected, expected) != 2) fail_tensor(p, t, expected);
    fields->begin = at[0];
    fields->end = at[1];
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static void mark_seen(struct parser *p, const struct tensor *t, bool *seen) {
    if (*seen) die(FAIL_DATA, "%s: tensor '%s': field '%s' stands twice", p->file->path, t->name, p->string);
    *seen = true;
}

static void read_fields(struct parser *p, struct tensor *t, struct fields *fields) {
    if (next(p) != JSON_OBJECT) fail_tensor(p, t, "expected an object");
    while (next(p) == JSON_KEY) {
        if (strcmp(p->string, "dtype") == 0) mark_seen(p, t, &fields->dtype), read_dtype(p, t, fields);
        else if (strcmp(p->string, "shape") == 0) mark_seen(p, t, &fields->shape), read_shape(p, t);
        else if (strcmp(p->string, "data_offsets") == 0) mark_seen(p, t, &fields->offsets), read_offsets(p, t, fields);
        else die(FAIL_DATA, "%s: tensor '%s': unknown field '%.32s'", p->file->path, t->name, p->string);
    }
    const char *missing = !fields->dtype ? "dtype" : !fields->shape ? "shape" : !fields->offsets ? "data_offsets" : NULL;
    if (missing) die(FAIL_DATA, "%s: tensor '%s': field '%s' is missing", p->file->path, t->name, missing);
}

/* Bits of a whole tensor. An empty axis does not hide the overflow of the others: 0 x 2^62 x 2^62 is refused. */
static bool count_bits(const struct tensor *t, unsigned bits_each, uint64_t *bits) {
    uint64_t n = bits_each;
    bool empty = false;
    for (int i = 0; i < t->rank; i++) {
        empty |= t->shape[i] == 0;
        if (t->shape[i] && !checked_mul(n, (uint64_t)t->shape[i], &n)) return false;
    }
    *bits = empty ? 0 : n;
    return true;
}

static void check_extent(const struct parser *p, struct tensor *t, const struct fields *fields) {
    const char *path = p->file->path;
    uint64_t bits;
    if (!count_bits(t, fields->foreign_bits ? fields->foreign_bits : 8u * dtype_table[t->dtype].size, &bits))
        fail_tensor(p, t, "the size overflows");
    if (bits % 8) fail_tensor(p, t, "does not fill whole bytes");
    if (fields->end < fields->begin) fail_tensor(p, t, "data_offsets: the end lies before the begin");
    if (fields->end > p->data_bytes)
        die(FAIL_DATA, "%s: tensor '%s': data up to byte %ju expected, the file has %ju (download cut short?)", path, t->name,
            (uintmax_t)fields->end, (uintmax_t)p->data_bytes);
    if (fields->end - fields->begin != bits / 8)
        die(FAIL_DATA, "%s: tensor '%s': %ju bytes expected from its shape, data_offsets give %ju", path, t->name, (uintmax_t)bits / 8,
            (uintmax_t)(fields->end - fields->begin));
    if (fields->foreign_bits) die(FAIL_UNSUPPORTED, "%s: tensor '%s': unsupported dtype %s", path, t->name, fields->foreign_name);
    t->bytes = bits / 8;
}

/* Names are printed and compared as C strings: no control characters, not empty. */
static void check_name(const struct parser *p) {
    bool good = p->scan.string_length > 0;
    for (const char *s = p->string; *s; s++) good &= (unsigned char)*s >= 0x20 && *s != 0x7f;
    if (!good)
        die(FAIL_DATA, "%s: header, byte %zu: tensor name '%.64s': expected printable text, not empty", p->file->path, p->scan.at + 8,
            p->string);
}

static void read_tensor(struct parser *p) {
    check_name(p);
    if (p->file->n_tensors == p->capacity) fail_syntax(p, "too many tensors");
    struct st_tensor *t = &p->file->tensors[p->file->n_tensors++];
    struct fields fields = {0};
    t->tensor = (struct tensor){.name = arena_strdup(p->arena, p->string), .read = st_read, .file = p->file};
    read_fields(p, &t->tensor, &fields);
    check_extent(p, &t->tensor, &fields);
    t->begin = p->data_begin + fields.begin;
}

/* Strings of any length, checked and dropped. */
static void read_metadata(struct parser *p) {
    if (next(p) != JSON_OBJECT) fail_syntax(p, "__metadata__: expected an object");
    p->scan.buffer = NULL;
    while (next(p) == JSON_KEY)
        if (next(p) != JSON_STRING) fail_syntax(p, "__metadata__: expected strings");
    p->scan.buffer = p->string;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int compare_offsets(const void *va, const void *vb) {
    const struct st_tensor *a = va, *b = vb;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return a->tensor.bytes < b->tensor.bytes ? -1 : a->tensor.bytes > b->tensor.bytes;
}

/* Every byte of the data belongs to exactly one tensor: nothing can hide in the file, and no size can lie. */
static void check_layout(const struct parser *p) {
    struct st_file *f = p->file;
    uint64_t at = p->data_begin;
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i].tensor;
        uint64_t begin = f->tensors[i].begin;
        if (begin < at) die(FAIL_DATA, "%s: tensors '%s' and '%s' overlap", f->path, f->tensors[i - 1].tensor.name, t->name);
        if (begin > at) die(FAIL_DATA, "%s: %ju bytes before tensor '%s' belong to no tensor", f->path, (uintmax_t)(begin - at), t->name);
        at += t->bytes;
    }
    if (at != f->size) die(FAIL_DATA, "%s: %ju bytes follow the last tensor", f->path, (uintmax_t)(f->size - at));
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const struct tensor *const *)a)->name, (*(const struct tensor *const *)b)->name);
}

static void index_names(struct parser *p) {
    struct st_file *f = p->file;
    f->by_name = arena_array(p->arena, (size_t)f->n_tensors, sizeof *f->by_name);
    for (int i = 0; i < f->n_tensors; i++) f->by_name[i] = &f->tensors[i].tensor;
    qsort(f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, compare_names);
    for (int i = 1; i < f->n_tensors; i++)
        if (strcmp(f->by_name[i - 1]->name, f->by_name[i]->name) == 0) fail_tensor(p, f->by_name[i], "stands twice");
}

void st_parse_header(struct arena *a, struct st_file *f, const char *header, size_t length) {
    enum { ENTRY_MIN = 50 }; /* "a":{"dtype":"U8","shape":[],"data_offsets":[0,0]} */
    size_t most = length / ENTRY_MIN + 1;
    bool metadata_seen = false;
    struct parser *p = arena_alloc(a, sizeof *p);
    p->arena = a;
    p->file = f;
    p->data_begin = 8 + (uint64_t)length;
    p->data_bytes = f->size - p->data_begin;
    p->capacity = most < ST_TENSORS_MAX ? (int)most : ST_TENSORS_MAX;
    f->tensors = arena_array(a, (size_t)p->capacity, sizeof *f->tensors);
    json_scan_begin(&p->scan, header, length, p->string, ST_NAME_MAX);
    if (next(p) != JSON_OBJECT) fail_syntax(p, "expected an object");
    while (next(p) == JSON_KEY) {
        if (strcmp(p->string, "__metadata__") != 0) {
            read_tensor(p);
            continue;
        }
        if (metadata_seen) fail_syntax(p, "__metadata__ stands twice");
        metadata_seen = true;
        read_metadata(p);
    }
    next(p); /* nothing but blanks follows */
    qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, compare_offsets);
    index_names(p); /* after the sort: it points into the array */
    check_layout(p);
}
