/* Checkpoints whose weights follow from their tensors' names: test/fixtures/synthetic/NAME.json says what is in them (test/reference/
 * synthetic.py). */
#ifndef TEST_SYNTHETIC_H
#define TEST_SYNTHETIC_H

#include "test/files.h"

#include <math.h>
#include <png.h>

#include <cjson/cJSON.h>

#include "engine/base/arena.h"
#include "engine/base/file.h"
#include "engine/files/safetensors.h"

/* ---- values ------------------------------------------------------------------------------------------------------ */

static uint64_t name_hash(const char *name) {
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3;
    return h;
}

/* Value i of the name: in [-1, 1), a multiple of 2^-23 (splitmix64). */
static float noise(uint64_t hash, size_t i) {
    uint64_t z = hash + (i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-23f - 1;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static double gain(const char *name) {
    static const struct {
        const char *end;
        double gain;
    } gains[] = {{"time_emb_proj.weight", 2},           {"q_proj.weight", 1.5},   {"k_proj.weight", 1.5},
                 {"attn2.to_out.0.weight", 0.4},        {"conv2.weight", 0.5},    {"proj_out.weight", 0.5},
                 {"attn1.to_out.0.weight", 0.5},        {"ff.net.2.weight", 0.5}, {"decoder.conv_out.weight", 0.7},
                 {"cond_embedding.conv_out.weight", 16}};
    for (size_t i = 0; i < sizeof gains / sizeof *gains; i++)
        if (ends_in(name, gains[i].end)) return gains[i].gain;
    return 1;
}

static const cJSON *faint, /* the fixture's: parts of names of tensors a thousandth as large */
    *eights;               /* beginnings of names of those whose matrices and filters have values of F8_E4M3, times EIGHT_SCALE */
#define EIGHT_SCALE 0x1p-5f

static bool is_eight(const char *name) {
    const cJSON *part;
    cJSON_ArrayForEach(part, eights) if (!strncmp(name, part->valuestring, strlen(part->valuestring))) return true;
    return false;
}

/* x as F8_E4M3, cut off. */
static uint8_t eight_of(float x) {
    int exponent;
    float part = frexpf(fabsf(x), &exponent); /* from 1/2 to 1 */
    uint8_t sign = x < 0 ? 0x80 : 0;
    return fabsf(x) < 0x1p-6f ? sign | (uint8_t)(fabsf(x) * 512) : sign | (uint8_t)((exponent + 6) << 3) | (uint8_t)((int)(part * 16) - 8);
}

static float eight_value(uint8_t b) {
    int exponent = b >> 3 & 15, part = b & 7;
    float x = exponent ? ldexpf((float)(8 + part), exponent - 10) : ldexpf((float)part, -9);
    return b & 0x80 ? -x : x;
}

static bool is_faint(const char *name) {
    const cJSON *part;
    cJSON_ArrayForEach(part, faint) if (strstr(name, part->valuestring)) return true;
    return false;
}

static float *values(struct arena *a, const char *name, const int64_t *shape, int rank) {
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)shape[i];
    float *x = arena_array(a, n, sizeof *x), base = 0;
    if (rank < 2 && (ends_in(name, ".weight") || ends_in(name, ".running_var"))) base = 1;
    if (rank < 2 && (ends_in(name, "_embeds_weights") || ends_in(name, "head.head.4.bias"))) base = 0.5f; /* thresholds; depths above 0 */
    float scale = rank < 2 ? 0.25f : (float)(sqrt(3.0 * (double)shape[0] / (double)n) * gain(name));
    uint64_t hash = name_hash(name);
    float factor = is_faint(name) ? 0.001f : 1;
    for (size_t i = 0; i < n; i++) x[i] = (base + scale * noise(hash, i)) * factor;
    if (rank > 1 && is_eight(name))
        for (size_t i = 0; i < n; i++) x[i] = eight_value(eight_of(x[i] / EIGHT_SCALE)) * EIGHT_SCALE;
    return x;
}

/* ---- the checkpoint ---------------------------------------------------------------------------------------------- */

static void make_parent(const char *path) {
    char *copy = strdup(path), *slash = strrchr(copy, '/');
    *slash = 0;
    if (mkdir(copy, 0777) != 0 && errno == ENOENT) {
        make_parent(copy);
        mkdir(copy, 0777);
    }
    free(copy);
}

/* A tree of the parts of names, whose leaves are shapes. */
static void add_tensors(struct arena *a, struct st_writer *w, const char *file, const char *prefix, const cJSON *tree) {
    const cJSON *item;
    cJSON_ArrayForEach(item, tree) {
        const char *name = arena_printf(a, "%s%s%s", prefix, *prefix ? "." : "", item->string);
        if (!cJSON_IsArray(item)) {
            add_tensors(a, w, file, name, item);
            continue;
        }
        int64_t shape[8];
        int rank = cJSON_GetArraySize(item);
        for (int i = 0; i < rank; i++) shape[i] = cJSON_GetArrayItem(item, i)->valueint;
        st_writer_add(w, name, DT_F32, rank, shape, values(a, arena_printf(a, "%s:%s", file, name), shape, rank));
    }
}

static void write_weights(const char *dir, const cJSON *file) {
    struct arena a = {0};
    struct st_writer *w = st_writer_new(&a);
    add_tensors(&a, w, file->string, "", file);
    const char *path = path_in(dir, "%s", file->string);
    make_parent(path);
    st_write(w, path);
    arena_free(&a);
}

/* Puts texts about the file into its header, in place of none. */
static void write_metadata(const char *path, const cJSON *metadata) {
    struct arena a = {0};
    size_t n;
    char *file = read_file(&a, path, 1 << 24, &n), *text = cJSON_PrintUnformatted(metadata);
    uint64_t length = 0, more = strlen(text) + strlen("\"__metadata__\":,");
    memcpy(&length, file, sizeof length);
    char *longer = arena_alloc(&a, n + more + 8), *at = longer + 8;
    at += sprintf(at, "{\"__metadata__\":%s,", text);
    memcpy(at, file + 9, n - 9);
    length += more;
    memcpy(longer, &length, sizeof length);
    write_file(path, longer, n + more);
    free(text);
    arena_free(&a);
}

/* The leaf of a tree of the parts of names. */
static const cJSON *leaf(struct arena *a, const cJSON *tree, const char *name) {
    char *rest = arena_strdup(a, name);
    for (char *part; tree && (part = strsep(&rest, ".")) != NULL;) tree = cJSON_GetObjectItemCaseSensitive(tree, part);
    return tree;
}

/* Values of "FILE:NAME" or "TFILE:NAME", the tensor of the file of that number or its transpose, to x, which has room for n; how many. */
static size_t copy_values(struct arena *a, const cJSON *fixture, const char *part, float *x, size_t n) {
    const char *name = strchr(part, ':') + 1;
    bool turned = *part == 'T';
    const cJSON *source = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture, "weights"), atoi(part + turned)), *axes = leaf(a, source, name);
    int64_t shape[8];
    size_t count = 1;
    assert_non_null(axes);
    for (int k = 0; k < cJSON_GetArraySize(axes); k++) count *= (size_t)(shape[k] = cJSON_GetArrayItem(axes, k)->valueint);
    assert_true(count <= n);
    const float *v = values(a, arena_printf(a, "%s:%s", source->string, name), shape, cJSON_GetArraySize(axes));
    size_t columns = turned ? (size_t)shape[1] : 1, rows = count / columns;
    for (size_t k = 0; k < count; k++) x[k] = v[k % rows * columns + k / rows];
    return count;
}

/* As F8_E4M3 with its scale beside it, where it loses nothing by that. */
static bool add_eights(struct arena *a, struct st_writer *w, const char *name, int rank, const int64_t *shape, const float *x, size_t n) {
    static const float scale = EIGHT_SCALE;
    uint8_t *bytes = arena_alloc(a, n);
    if (rank < 2 || !ends_in(name, ".weight")) return false;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = eight_of(x[i] / scale);
        if (eight_value(bytes[i]) * scale != x[i]) return false;
    }
    st_writer_add(w, name, DT_F8_E4M3, rank, shape, bytes);
    st_writer_add(w, arena_printf(a, "%.*sscale_weight", (int)(strlen(name) - strlen("weight")), name), DT_F32, 0, NULL, &scale);
    return true;
}

/* A tree of the parts of names, whose leaves are tensors made of others: [axis…, "FILE:NAME"…]; of none: values of its own. Or a number.
 * How many of them are in fp8. */
static int add_made(struct arena *a, struct st_writer *w, const cJSON *fixture, const char *prefix, const cJSON *tree, bool fp8) {
    int n_eights = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, tree) {
        const char *name = arena_printf(a, "%s%s%s", prefix, *prefix ? "." : "", item->string);
        int64_t shape[8];
        int rank = 0, n_items = cJSON_GetArraySize(item);
        size_t n = 1, at = 0;
        if (cJSON_IsObject(item)) {
            if (strcmp(name, "__metadata__")) n_eights += add_made(a, w, fixture, name, item, fp8);
            continue;
        }
        for (; rank < n_items && cJSON_IsNumber(cJSON_GetArrayItem(item, rank)); rank++)
            n *= (size_t)(shape[rank] = cJSON_GetArrayItem(item, rank)->valueint);
        float *x = rank == n_items ? values(a, name, shape, rank) : arena_array(a, n, sizeof *x);
        if (cJSON_IsNumber(item)) *x = (float)item->valuedouble;
        for (int i = rank; i < n_items; i++) at += copy_values(a, fixture, cJSON_GetArrayItem(item, i)->valuestring, x + at, n - at);
        if (fp8 && add_eights(a, w, name, rank, shape, x, n)) n_eights++;
        else st_writer_add(w, name, DT_F32, rank, shape, x);
    }
    return n_eights;
}

static void write_single(const char *dir, const cJSON *fixture, const cJSON *file, const char *name, bool fp8) {
    struct arena a = {0};
    struct st_writer *w = st_writer_new(&a);
    const char *path = arena_strdup(&a, path_in(dir, "%s", name));
    int n_eights = add_made(&a, w, fixture, "", file, fp8);
    assert_true(!fp8 || n_eights > 100);
    st_write(w, path);
    if (cJSON_HasObjectItem(file, "__metadata__")) write_metadata(path, cJSON_GetObjectItem(file, "__metadata__"));
    arena_free(&a);
}

/* [width, height, 1, x, y, w, h, soft]: a mask, white in the box and fading over so many pixels around it. */
static int mask_level(const cJSON *picture, int x, int y) {
    int n[5];
    for (int i = 0; i < 5; i++) n[i] = cJSON_GetArrayItem(picture, 3 + i)->valueint;
    int dx = x < n[0]           ? n[0] - x
             : x >= n[0] + n[2] ? x - n[0] - n[2] + 1
                                : 0,
        dy = y < n[1]           ? n[1] - y
             : y >= n[1] + n[3] ? y - n[1] - n[3] + 1
                                : 0,
        d = dx > dy ? dx : dy;
    return d > n[4] ? 0 : 255 - 255 * d / (n[4] + 1);
}

static void write_picture(const char *dir, const cJSON *picture) {
    int W = cJSON_GetArrayItem(picture, 0)->valueint, H = cJSON_GetArrayItem(picture, 1)->valueint,
        C = cJSON_GetArrayItem(picture, 2)->valueint, across = (W + 7) / 8;
    struct arena a = {0};
    uint8_t *pixels = arena_array(&a, (size_t)W * (size_t)H, (size_t)C);
    bool mask = cJSON_GetArraySize(picture) > 3;
    for (int c = 0; c < C; c++) {
        uint64_t hash = name_hash(arena_printf(&a, "%s.%d", picture->string, c));
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int level = mask ? mask_level(picture, x, y) : (int)((noise(hash, (size_t)(y / 8 * across + x / 8)) + 1) * 64);
                if (!mask) level += x * 127 / (W > 1 ? W - 1 : 1) * (c + 1) / C + y * 63 / (H > 1 ? H - 1 : 1);
                pixels[((size_t)y * (size_t)W + (size_t)x) * (size_t)C + (size_t)c] = (uint8_t)(level % 256);
            }
    }
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)W,
                     .height = (png_uint_32)H,
                     .format = C == 1   ? PNG_FORMAT_GRAY
                               : C == 3 ? PNG_FORMAT_RGB
                                        : PNG_FORMAT_RGBA};
    must(png_image_write_to_file(&png, path_in(dir, "%s", picture->string), 0, pixels, 0, NULL), picture->string);
    arena_free(&a);
}

/* The fixture's files in dir, an empty folder. */
static void write_checkpoint(const char *dir, const cJSON *fixture) {
    const cJSON *item;
    faint = cJSON_GetObjectItem(fixture, "faint");
    eights = cJSON_GetObjectItem(fixture, "eights");
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "files")) {
        char *text = cJSON_Print(item);
        const char *path = path_in(dir, "%s", item->string);
        make_parent(path);
        write_file(path, text, strlen(text));
        free(text);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "links")) {
        char target[PATH_MAX];
        must(realpath(path_in("test/fixtures", "%s", item->valuestring), target) != NULL, item->valuestring);
        const char *path = path_in(dir, "%s", item->string);
        make_parent(path);
        must(symlink(target, path) == 0, path);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "weights")) write_weights(dir, item);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "single")) write_single(dir, fixture, item, item->string, false);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "fp8"))
        write_single(dir, fixture, cJSON_GetObjectItem(cJSON_GetObjectItem(fixture, "single"), item->valuestring), item->string, true);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(fixture, "pictures")) write_picture(dir, item);
}

static inline cJSON *read_fixture(const char *name) {
    struct arena a = {0};
    size_t length;
    cJSON *fixture = cJSON_Parse(read_file(&a, arena_printf(&a, "test/fixtures/synthetic/%s.json", name), 1 << 24, &length));
    assert_non_null(fixture);
    arena_free(&a);
    return fixture;
}

#endif
