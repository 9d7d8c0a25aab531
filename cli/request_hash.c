#include "cli/request_hash.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "cli/json_out.h"
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/sys.h"
#include "engine/images/write.h"

static void close_descriptor(void *fd) {
    close(*(int *)fd);
}

/* Of the file's contents; NULL stays NULL. */
static const char *file_hash(struct arena *a, const char *path) {
    enum { PIECE = 64 << 10 };
    if (!path) return NULL;
    struct arena own = {0};
    uint64_t size;
    int *fd = arena_alloc(a, sizeof *fd);
    *fd = open_regular(path, &size);
    arena_on_free(&own, close_descriptor, fd);
    char *piece = arena_alloc(&own, PIECE), *hex = arena_alloc(a, SHA256_HEX);
    struct sha256 h;
    sha256_begin(&h);
    int error = 0;
    for (uint64_t at = 0; at < size && !error; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        error = read_at(*fd, piece, n, at);
        if (!error) sha256_add(&h, piece, n);
    }
    arena_free(&own);
    if (error) die(error_code(error, FAIL_IO), "%s: %s", path, strerror(error));
    sha256_end(&h, hex);
    return hex;
}

/* Those that are not the default, so that a new one changes no older hash. */
static void write_settings(struct json_out *j, const struct settings *s) {
    struct settings usual = settings_defaults(j->text.arena);
    for (const struct field *f = settings_fields; f < settings_fields + n_settings_fields; f++) {
        if (!f->recorded || (f->only_with_image && !s->image)) continue;
        if (!field_same(j->text.arena, f, s, &usual)) f->kind->write(j, f->name, f, s);
    }
}

const char *request_hash(struct arena *a, const struct options *o, uint64_t seed, const char *model) {
    struct settings s = o->settings;
    enum image_format format = image_format_of(o->output);
    if (s.image && !strcmp(s.image, "-")) return NULL;
    struct arena own = {0};
    struct json_out j = {.text.arena = &own};
    s.seed = seed;
    s.image = file_hash(a, s.image);
    s.mask = file_hash(a, s.mask);
    s.latents = file_hash(a, s.latents);
    if (s.negative && !*s.negative) s.negative = NULL;
    s.refiner = s.config = s.vae = NULL; /* these paths are the model's */
    json_out_open(&j, NULL, '{');
    write_settings(&j, &s);
    if (!seed) json_out_u64(&j, "seed", seed);
    if (strcmp(o->dtype, "auto")) json_out_string(&j, "dtype", o->dtype);
    if (format) json_out_u64(&j, "format", (uint64_t)format);
    if (format) json_out_u64(&j, "quality", (uint64_t)(o->quality ? o->quality : QUALITY_DEFAULT));
    json_out_string(&j, "model", model);
    json_out_close(&j, '{');
    char *hex = arena_alloc(a, SHA256_HEX);
    sha256(j.text.data, j.text.length, hex);
    arena_free(&own);
    return hex;
}
