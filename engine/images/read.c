#include "engine/images/read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"

void image_check_size(const struct image_file *f, uint64_t W, uint64_t H) {
    if (W == 0 || H == 0) die(FAIL_DATA, "%s: a picture of %llux%llu pixels", f->name, (unsigned long long)W, (unsigned long long)H);
    if (W > IMAGE_SIDE_MAX || H > IMAGE_SIDE_MAX)
        die(FAIL_DATA, "%s: %llux%llu pixels: expected at most %d on a side", f->name, (unsigned long long)W, (unsigned long long)H,
            IMAGE_SIDE_MAX);
    if (W * H > IMAGE_PLAIN_MAX && W * H / IMAGE_PIXELS_PER_BYTE > f->n)
        die(FAIL_DATA, "%s: %llux%llu pixels in a file of %zu bytes: not believed", f->name, (unsigned long long)W, (unsigned long long)H,
            f->n);
}

static int starts(const struct image_file *f, const char *magic, size_t n) {
    return f->n >= n && !memcmp(f->data, magic, n);
}

/* What a file that is none of ours calls itself. */
static const char *other_format(const struct image_file *f) {
    static const struct {
        size_t n;
        const char *magic, *what;
    } known[] = {
        {4, "GIF8", "a GIF"},         {2, "BM", "a BMP"},   {4, "II*\0", "a TIFF"},
        {4, "MM\0*", "a TIFF"},       {4, "%PDF", "a PDF"}, {8, "\0\0\0\14jP  ", "a JPEG 2000"},
        {2, "\xff\x0a", "a JPEG XL"}, {4, "qoif", "a QOI"}, {4, "8BPS", "a Photoshop file"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts(f, known[i].magic, known[i].n)) return known[i].what;
    if (f->n >= 12 && !memcmp(f->data + 4, "ftypavi", 7)) return "an AVIF";
    if (f->n >= 12 && !memcmp(f->data + 4, "ftyphei", 7)) return "a HEIF";
    return f->n ? "something else" : "an empty file";
}

enum image_format image_format_in(const struct image_file *f) {
    if (starts(f, "\x89PNG\r\n\x1a\n", 8)) return IMAGE_PNG;
    if (starts(f, "\xff\xd8\xff", 3)) return IMAGE_JPEG;
    if (starts(f, "RIFF", 4) && f->n >= 12 && !memcmp(f->data + 8, "WEBP", 4)) return IMAGE_WEBP;
    die(FAIL_DATA, "%s: expected a PNG, JPEG or WebP picture, found %s", f->name, other_format(f));
}

static struct image decode(struct arena *a, struct image_file *f) {
    static struct image (*const decoders[])(struct arena *, struct image_file *) = {
        [IMAGE_PNG] = png_decode, [IMAGE_JPEG] = jpeg_decode, [IMAGE_WEBP] = webp_decode};
    return decoders[image_format_in(f)](a, f);
}

struct image image_decode(struct arena *a, const void *data, size_t n, const char *name) {
    struct image_file f = {.data = data, .n = n, .name = name, .work = image_scratch(a), .orientation = 1};
    struct image stored = decode(a, &f);
    arena_free(f.work);
    return image_orient(a, &stored, f.orientation);
}

static void *read_stdin(struct arena *a, size_t *n) {
    struct buffer b = {.arena = a};
    static char block[1 << 16];
    ssize_t got;
    while ((got = sys.read(STDIN_FILENO, block, sizeof block)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) die(error_code(errno, FAIL_INPUT), "standard input: %s", strerror(errno));
        buffer_add(&b, block, (size_t)got);
        if (b.length > IMAGE_FILE_MAX) die(FAIL_DATA, "standard input: expected at most %d bytes", IMAGE_FILE_MAX);
    }
    *n = b.length;
    return b.data ? b.data : arena_alloc(a, 1);
}

const void *image_file_read(struct arena *a, const char *path, size_t *n, const char **name) {
    bool is_stdin = !strcmp(path, "-");
    *name = is_stdin ? "standard input" : path;
    return is_stdin ? read_stdin(a, n) : read_file(a, path, IMAGE_FILE_MAX, n);
}

struct image image_read(struct arena *a, const char *path) {
    struct arena *file = image_scratch(a);
    const char *name;
    size_t n;
    const void *data = image_file_read(file, path, &n, &name);
    struct image out = image_decode(a, data, n, name);
    arena_free(file);
    return out;
}
