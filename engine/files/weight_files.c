#include "engine/files/weight_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/sys.h"

enum { INDEX_BYTES_MAX = 16 << 20, SHARDS_MAX = 1024, INDEX_TENSORS_MAX = 65536, TENSOR_NAME_MAX = 512, LIST_MAX = 8 };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* ---- the shard index --------------------------------------------------------------------------------------------- */

struct entry {
    const char *tensor;
    int shard;
};

struct shard_index {
    const char *path;
    struct arena *arena;
    struct json_scan scan;
    char string[TENSOR_NAME_MAX + 1];
    int n_entries, n_shards;
    struct entry *entries;
    const char *shards[SHARDS_MAX]; /* in order of first mention */
    int sorted[SHARDS_MAX];         /* the same by name */
};

static _Noreturn void fail_index(const struct shard_index *x, const char *what) {
    size_t line, column;
    json_scan_place(&x->scan, x->scan.at, &line, &column);
    die(FAIL_DATA, "%s: line %zu column %zu: %s", x->path, line, column, what);
}

static enum json_token next(struct shard_index *x) {
    enum json_token token = json_scan_next(&x->scan);
    if (token == JSON_ERROR) fail_index(x, x->scan.error);
    return token;
}

/* A file beside the index and nowhere else. */
static void check_shard_name(const struct shard_index *x, const char *name) {
    bool plain = *name != '.' && strlen(name) <= 255 && ends_with(name, ".safetensors");
    for (const char *s = name; *s; s++) plain &= (unsigned char)*s >= 0x20 && *s != 0x7f && *s != '/' && *s != '\\';
    if (!plain) die(FAIL_DATA, "%s: shard '%.64s': expected a plain file name ending in .safetensors", x->path, name);
}

/* The number of the shard called x->string, a new one if need be. */
static int shard_number(struct shard_index *x) {
    int low = 0, high = x->n_shards;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(x->string, x->shards[x->sorted[middle]]);
        if (order == 0) return x->sorted[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    check_shard_name(x, x->string);
    if (x->n_shards == SHARDS_MAX) fail_index(x, "too many shards");
    memmove(x->sorted + low + 1, x->sorted + low, (size_t)(x->n_shards - low) * sizeof *x->sorted);
    x->sorted[low] = x->n_shards;
    x->shards[x->n_shards] = arena_strdup(x->arena, x->string);
    return x->n_shards++;
}

static void read_weight_map(struct shard_index *x) {
    if (next(x) != JSON_OBJECT) fail_index(x, "weight_map: expected an object");
    while (next(x) == JSON_KEY) {
        if (x->n_entries == INDEX_TENSORS_MAX) fail_index(x, "too many tensors");
        struct entry *e = &x->entries[x->n_entries++];
        e->tensor = arena_strdup(x->arena, x->string);
        if (next(x) != JSON_STRING) fail_index(x, "weight_map: expected file names");
        e->shard = shard_number(x);
    }
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->tensor, ((const struct entry *)b)->tensor);
}

static struct shard_index *index_read(struct arena *a, const char *path) {
    struct shard_index *x = arena_alloc(a, sizeof *x);
    size_t length;
    const char *text = read_file(a, path, INDEX_BYTES_MAX, &length);
    bool seen = false;
    x->path = path;
    x->arena = a;
    x->entries = arena_array(a, length / 8 < INDEX_TENSORS_MAX ? length / 8 + 1 : INDEX_TENSORS_MAX, sizeof *x->entries);
    json_scan_begin(&x->scan, text, length, x->string, TENSOR_NAME_MAX);
    if (next(x) != JSON_OBJECT) fail_index(x, "expected an object");
    while (next(x) == JSON_KEY) {
        if (strcmp(x->string, "weight_map") != 0) {
            if (json_scan_skip(&x->scan, next(x)) == JSON_ERROR) fail_index(x, x->scan.error);
            continue;
        }
        if (seen) fail_index(x, "weight_map stands twice");
        seen = true;
        read_weight_map(x);
    }
    next(x); /* nothing but blanks follows */
    if (!x->n_entries) die(FAIL_DATA, "%s: %s", path, seen ? "weight_map is empty" : "weight_map is missing");
    qsort(x->entries, (size_t)x->n_entries, sizeof *x->entries, compare_entries);
    for (int i = 1; i < x->n_entries; i++)
        if (strcmp(x->entries[i - 1].tensor, x->entries[i].tensor) == 0)
            die(FAIL_DATA, "%s: tensor '%s' stands twice", path, x->entries[i].tensor);
    return x;
}

/* Index and shards tell the same story: every tensor is in the shard it is mapped to, and in no other. */
static void check_shards(const struct component *c, const struct shard_index *x) {
    for (int i = 0; i < x->n_entries; i++)
        if (!st_find(c->files[x->entries[i].shard], x->entries[i].tensor))
            die(FAIL_DATA, "%s: tensor '%s' is not in %s", x->path, x->entries[i].tensor, x->shards[x->entries[i].shard]);
    for (int s = 0; s < c->n_files; s++)
        for (int i = 0; i < c->files[s]->n_tensors; i++) {
            struct entry key = {c->files[s]->tensors[i].tensor.name, s};
            const struct entry *e = bsearch(&key, x->entries, (size_t)x->n_entries, sizeof key, compare_entries);
            if (e && e->shard != s)
                die(FAIL_DATA, "%s: tensor '%s' is in two shards, %s and %s", x->path, e->tensor, x->shards[e->shard], x->shards[s]);
        }
}

/* ---- hints ------------------------------------------------------------------------------------------------------- */

const char *download_hint(struct arena *a, const struct checkpoint *c) {
    const char *model = c->name, *at = strchr(model, '@');
    if (!c->revision) return "the download is incomplete";
    if (!at) return arena_printf(a, "hf download %s", model);
    return arena_printf(a, "hf download %.*s --revision %s", (int)(at - model), model, at + 1);
}

/* A file whose name ends so, in dir or, `depth` levels down, in its folders. */
static bool any_file(struct arena *a, const char *dir, const char *end, int depth) {
    DIR *d = sys.opendir(dir);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        found = ends_with(e->d_name, end);
        if (depth && e->d_name[0] != '.') found |= any_file(a, arena_printf(a, "%s/%s", dir, e->d_name), end, depth - 1);
    }
    if (d) closedir(d);
    return found;
}

bool download_interrupted(struct arena *a, const struct checkpoint *c) {
    const char *dir = c->revision ? arena_printf(a, "%s/../../blobs", c->dir) : arena_printf(a, "%s/.cache/huggingface/download", c->dir);
    return any_file(a, dir, ".incomplete", !c->revision);
}

const char *pickle_in(struct arena *a, const char *dir) {
    static const char *const suffixes[] = {".bin", ".ckpt", ".pt", ".pth", ".pkl"};
    DIR *d = sys.opendir(dir);
    const char *found = NULL;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
            if (ends_with(e->d_name, suffixes[i])) found = arena_strdup(a, e->d_name);
    if (d) closedir(d);
    return found;
}

/* "fp16" where dir holds BASE.fp16.safetensors, else NULL. */
static const char *variant_in(struct arena *a, const char *dir, const char *base) {
    static const char suffix[] = ".safetensors";
    DIR *d = sys.opendir(dir);
    const char *found = NULL;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        size_t n = strlen(e->d_name), skip = strlen(base) + 1;
        if (strncmp(e->d_name, base, skip - 1) != 0 || e->d_name[skip - 1] != '.' || !ends_with(e->d_name, suffix)) continue;
        if (n <= skip + sizeof suffix - 1) continue;
        found = arena_printf(a, "%.*s", (int)(n - skip - (sizeof suffix - 1)), e->d_name + skip);
    }
    if (d) closedir(d);
    return found;
}

static _Noreturn void fail_absent(const struct component *c, const char *base, const struct checkpoint *checkpoint) {
    const char *pickle = pickle_in(c->arena, c->dir);
    if (pickle)
        die_hint(FAIL_UNSUPPORTED, "load it in diffusers and call save_pretrained(DIR, safe_serialization=True)",
                 "%s: only pickle weights (%s), which are never loaded; expected %s.safetensors", c->dir, pickle, base);
    const char *variant = variant_in(c->arena, c->dir, base);
    die_hint(FAIL_INPUT, variant ? arena_printf(c->arena, "--variant %s", variant) : download_hint(c->arena, checkpoint),
             "%s/%s.safetensors: missing%s", c->dir, base,
             download_interrupted(c->arena, checkpoint) ? ": the download was interrupted" : "");
}

/* ---- choosing and opening ---------------------------------------------------------------------------------------- */

static void open_single(struct component *c, const char *path) {
    c->n_files = 1;
    c->files = arena_alloc(c->arena, sizeof *c->files);
    c->files[0] = st_open(c->arena, path);
    c->dialect = &dialect_old_attention; /* not tried for sharded files, which are younger */
}

static void open_shards(struct component *c, const char *index_path, const struct checkpoint *checkpoint) {
    struct shard_index *x = index_read(c->arena, index_path);
    const char **paths = arena_array(c->arena, (size_t)x->n_shards, sizeof *paths), *missing = "";
    int n_missing = 0;
    for (int i = 0; i < x->n_shards; i++) {
        paths[i] = arena_printf(c->arena, "%s/%s", c->dir, x->shards[i]);
        if (file_exists(paths[i])) continue;
        if (n_missing++ < LIST_MAX) missing = arena_printf(c->arena, "%s%s%s", missing, *missing ? ", " : "", x->shards[i]);
    }
    if (n_missing)
        die_hint(FAIL_INPUT, download_hint(c->arena, checkpoint), "%s: %d of %d shards missing: %s%s", c->dir, n_missing, x->n_shards,
                 missing, n_missing > LIST_MAX ? ", …" : "");
    c->files = arena_array(c->arena, (size_t)x->n_shards, sizeof *c->files);
    for (int i = 0; i < x->n_shards; i++) c->files[i] = st_open(c->arena, paths[i]), c->n_files++;
    check_shards(c, x);
}

/* Opens DIR/BASE… if it is there. Index before single file, as diffusers; both spellings of a variant's index. */
static bool open_named(struct component *c, const char *base, const char *variant, const struct checkpoint *checkpoint) {
    struct arena *a = c->arena;
    const char *indexes[2] = {NULL, NULL}, *single;
    if (variant) {
        indexes[0] = arena_printf(a, "%s/%s.safetensors.index.%s.json", c->dir, base, variant);
        indexes[1] = arena_printf(a, "%s/%s.safetensors.%s.index.json", c->dir, base, variant);
        single = arena_printf(a, "%s/%s.%s.safetensors", c->dir, base, variant);
    } else {
        indexes[0] = arena_printf(a, "%s/%s.safetensors.index.json", c->dir, base);
        single = arena_printf(a, "%s/%s.safetensors", c->dir, base);
    }
    for (int i = 0; i < 2; i++)
        if (indexes[i] && name_exists(indexes[i])) return open_shards(c, indexes[i], checkpoint), true;
    return name_exists(single) ? (open_single(c, single), true) : false;
}

void weight_files_open(struct component *c, const char *variant, const struct checkpoint *checkpoint) {
    const char *base = component_from(c, "diffusers") ? "diffusion_pytorch_model" : "model";
    if (variant && open_named(c, base, variant, checkpoint)) c->variant = variant;
    else if (!open_named(c, base, NULL, checkpoint)) fail_absent(c, base, checkpoint);
}
