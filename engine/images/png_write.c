/* libpng's low-level API only: most of its security bugs of the last years are in png_image_*.
 *
 * zlib level 1 with Z_HUFFMAN_ONLY and the Paeth filter: pictures have next to no repeated strings, so searching for them costs eight
 * times the time and gains 2 % of size (512x512: 9 ms instead of 45). */
#include <png.h>
#include <string.h>
#include <zlib.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/write.h"

enum { IDAT_BYTES = 1 << 20 };

static void sink_write(png_structp png, png_bytep data, size_t n) {
    buffer_add(png_get_io_ptr(png), data, n);
}

static void sink_flush(png_structp png) {
    (void)png;
}

static _Noreturn void png_failed(png_structp png, png_const_charp message) {
    (void)png;
    die(FAIL_INTERNAL, "png: %s", message);
}

static void png_warned(png_structp png, png_const_charp message) {
    (void)png;
    warn("png: %s", message);
}

/* libpng's and zlib's own memory comes from the arena too, so dying inside them leaks nothing. */
static png_voidp png_alloc(png_structp png, png_alloc_size_t n) {
    return arena_alloc(png_get_mem_ptr(png), n);
}

static void png_release(png_structp png, png_voidp p) {
    (void)png, (void)p;
}

/* The text in Latin-1, or NULL where it has characters that tEXt must not hold. */
static char *to_latin1(struct arena *a, const char *text) {
    char *out = arena_alloc(a, strlen(text) + 1), *o = out;
    uint32_t cp;
    for (; *text; *o++ = (char)cp) {
        text += utf8_decode(text, &cp);
        bool printable = cp == '\n' || (cp >= 0x20 && cp < 0x7f) || (cp >= 0xa1 && cp <= 0xff);
        if (!printable) return NULL;
    }
    return out;
}

static void add_comments(struct arena *a, png_structp png, png_infop info, struct image_comments comments) {
    png_text *texts = arena_array(a, (size_t)comments.n, sizeof *texts);
    for (int i = 0; i < comments.n; i++) {
        const struct image_comment *c = &comments.items[i];
        char *latin1 = c->international ? NULL : to_latin1(a, c->text);
        texts[i].compression = latin1 ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        texts[i].key = (char *)c->keyword;
        texts[i].text = latin1 ? latin1 : (char *)c->text;
        texts[i].text_length = latin1 ? strlen(latin1) : 0;
        texts[i].itxt_length = latin1 ? 0 : strlen(c->text);
    }
    png_set_text(png, info, texts, comments.n);
}

static void set_compression(png_structp png) {
    png_set_compression_level(png, 1);
    png_set_compression_strategy(png, Z_HUFFMAN_ONLY);
    png_set_compression_buffer_size(png, IDAT_BYTES);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_PAETH);
}

const void *png_encode(struct arena *a, const struct image *image, struct image_comments comments, size_t *size) {
    int W = image->W, H = image->H;
    size_t row = (size_t)W * (size_t)image->C;
    struct buffer file = {.arena = a, .capacity = row * (size_t)H / 2 + 4096};
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_warned, a, png_alloc, png_release);
    if (!png) die(FAIL_INTERNAL, "png: library of another version than the %s headers", PNG_LIBPNG_VER_STRING);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &file, sink_write, sink_flush);
    png_set_IHDR(png, info, (uint32_t)W, (uint32_t)H, 8, image->C == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    add_comments(a, png, info, comments);
    set_compression(png);
    png_write_info(png, info);
    for (int y = 0; y < H; y++) png_write_row(png, image->pixels + (size_t)y * row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    *size = file.length;
    return file.data;
}
