/* libpng's low-level API. The chunks are walked here first: sizes are checked before libpng sees them, orientation is found, and libpng is
 * then told to skip whatever is not needed for the pixels, compressed text and profiles above all. */
#include <png.h>

#include <stdbool.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/images/containers.h"

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

struct chunks {
    int exif, xmp; /* orientations, 0 where there is none */
    bool animated;
};

/* iTXt: keyword 0, compressed, method, language 0, translated keyword 0, text. Compressed packets are not asked. */
static int itxt_orientation(const uint8_t *p, size_t n) {
    static const char keyword[] = "XML:com.adobe.xmp";
    if (n < sizeof keyword + 2 || memcmp(p, keyword, sizeof keyword) != 0 || p[sizeof keyword] != 0) return 0;
    const uint8_t *end = p + n, *text = p + sizeof keyword + 2;
    for (int i = 0; i < 2 && text; i++) text = (text = memchr(text, 0, (size_t)(end - text))) ? text + 1 : NULL;
    return text ? xmp_orientation(text, (size_t)(end - text)) : 0;
}

static void see_chunk(struct chunks *c, const uint8_t *type, const uint8_t *body, size_t n) {
    if (!memcmp(type, "eXIf", 4)) c->exif = exif_orientation(body, n);
    else if (!memcmp(type, "iTXt", 4)) c->xmp = c->xmp ? c->xmp : itxt_orientation(body, n);
    else if (!memcmp(type, "acTL", 4)) c->animated = true;
}

static struct chunks walk(const struct image_file *f) {
    struct chunks c = {0};
    size_t at = PNG_CHUNKS;
    for (bool first = true, last = false; !last; first = false) {
        struct image_chunk chunk = png_chunk(f, &at);
        if (first && (chunk.n != 13 || memcmp(chunk.type, "IHDR", 4) != 0)) die(FAIL_DATA, "%s: png: expected IHDR first", f->name);
        if (first) image_check_size(f, big32(chunk.body), big32(chunk.body + 4));
        see_chunk(&c, chunk.type, chunk.body, chunk.n);
        last = !memcmp(chunk.type, "IEND", 4);
    }
    if (at < f->n) warn("%s: png: %zu bytes after the end are ignored", f->name, f->n - at);
    if (c.animated) warn("%s: png: animated: its first picture is taken", f->name);
    return c;
}

/* ---- libpng ------------------------------------------------------------------------------------------------------ */

struct source {
    const struct image_file *f;
    size_t at;
};

static void source_read(png_structp png, png_bytep to, size_t n) {
    struct source *s = png_get_io_ptr(png);
    if (n > s->f->n - s->at) die(FAIL_DATA, "%s: png: the file ends too soon", s->f->name);
    memcpy(to, s->f->data + s->at, n);
    s->at += n;
}

static _Noreturn void failed(png_structp png, png_const_charp message) {
    const struct image_file *f = png_get_error_ptr(png);
    die(FAIL_DATA, "%s: png: %s", f->name, message);
}

static void warned(png_structp png, png_const_charp message) {
    (void)png, (void)message;
}

/* libpng's and zlib's own memory comes from the arena too, so dying inside them leaks nothing. */
static png_voidp alloc(png_structp png, png_alloc_size_t n) {
    return arena_alloc(png_get_mem_ptr(png), n);
}

static void release(png_structp png, png_voidp p) {
    (void)png, (void)p;
}

/* To 8 bits a channel as Pillow goes: the high byte of 16, but of grey, which keeps both; palettes stay indices, alpha goes. */
static void set_transforms(png_structp png, int color_type, int depth) {
    if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_packing(png);
    if (color_type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (color_type != PNG_COLOR_TYPE_GRAY && depth == 16) png_set_strip_16(png);
    if (color_type & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(png);
    png_set_interlace_handling(png);
}

static void read_rows(struct arena *work, png_structp png, uint8_t *to, size_t stride, int H) {
    png_bytepp rows = arena_array(work, (size_t)H, sizeof *rows);
    for (int y = 0; y < H; y++) rows[y] = to + (size_t)y * stride;
    png_read_image(png, rows);
    png_read_end(png, NULL);
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

static void from_grey(uint8_t *rgb, const uint8_t *grey, size_t n) {
    for (size_t i = 0; i < n; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
}

/* Pillow's I;16 to RGB: not the high byte but everything from 255 on white. */
static void from_grey16(uint8_t *rgb, const uint8_t *grey, size_t n, const char *name) {
    bool cut = false;
    for (size_t i = 0; i < n; i++) {
        int v = grey[2 * i] << 8 | grey[2 * i + 1];
        cut |= v > 255;
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = (uint8_t)(v > 255 ? 255 : v);
    }
    if (cut)
        warn("%s: png: 16-bit grey: all values from 255 on are white, as in Pillow; save it with 8 bits for a picture with shades", name);
}

/* Indices beyond the palette are black. */
static void from_palette(uint8_t *rgb, const uint8_t *index, size_t n, png_const_structp png, png_infop info) {
    png_colorp palette = NULL;
    int n_colors = 0;
    uint8_t table[256][3] = {{0}};
    png_get_PLTE(png, info, &palette, &n_colors);
    for (int i = 0; i < n_colors && i < 256; i++)
        table[i][0] = palette[i].red, table[i][1] = palette[i].green, table[i][2] = palette[i].blue;
    for (size_t i = 0; i < n; i++) memcpy(rgb + 3 * i, table[index[i]], 3);
}

struct image png_decode(struct arena *a, struct image_file *f) {
    struct chunks chunks = walk(f);
    struct source source = {.f = f};
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, f, failed, warned, f->work, alloc, release);
    if (!png) die(FAIL_INTERNAL, "png: library of another version than the %s headers", PNG_LIBPNG_VER_STRING);
    png_infop info = png_create_info_struct(png);
    png_set_read_fn(png, &source, source_read);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_QUIET_USE);
    png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    png_read_info(png, info);
    int W = (int)png_get_image_width(png, info), H = (int)png_get_image_height(png, info);
    int color_type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    set_transforms(png, color_type, depth);
    png_read_update_info(png, info);
    size_t stride = png_get_rowbytes(png, info), n = (size_t)W * (size_t)H;
    bool direct = stride == (size_t)W * 3;
    struct image out = image_new(a, W, H, 3);
    uint8_t *raw = direct ? out.pixels : arena_array(f->work, stride, (size_t)H);
    read_rows(f->work, png, raw, stride, H);
    if (color_type == PNG_COLOR_TYPE_PALETTE) from_palette(out.pixels, raw, n, png, info);
    else if (!direct && stride == (size_t)W * 2) from_grey16(out.pixels, raw, n, f->name);
    else if (!direct) from_grey(out.pixels, raw, n);
    png_destroy_read_struct(&png, &info, NULL);
    f->orientation = chunks.exif ? chunks.exif : chunks.xmp ? chunks.xmp : 1;
    return out;
}
