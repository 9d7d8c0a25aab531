#include "engine/images/comments.h"

#include <string.h>
#include <zlib.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/containers.h"

enum { KEYWORD_MAX = 79, TAG_SOFTWARE = 0x131, TAG_EXIF_IFD = 0x8769, TAG_MAKER_NOTE = 0x927c, TAG_USER_COMMENT = 0x9286 };

const char *comment_text(struct image_comments comments, const char *keyword) {
    for (int i = 0; i < comments.n; i++)
        if (!strcmp(comments.items[i].keyword, keyword)) return comments.items[i].text;
    return NULL;
}

/* ---- one text ---------------------------------------------------------------------------------------------------- */

struct reader {
    struct arena *a;
    const struct image_file *f;
    struct image_comment *items; /* COMMENTS_MAX */
    int n;
};

/* The bytes up to a NUL as UTF-8: as they are where they are that, else as Latin-1. */
static const char *to_utf8(struct arena *a, const uint8_t *p, size_t n) {
    n = strnlen((const char *)p, n);
    struct buffer b = {.arena = a};
    buffer_add(&b, "", 0);
    bool latin1 = !utf8_valid((const char *)p, n, NULL);
    if (!latin1) buffer_add(&b, p, n);
    for (size_t i = 0; latin1 && i < n; i++) {
        char bytes[4];
        buffer_add(&b, bytes, (size_t)utf8_encode(bytes, p[i]));
    }
    return b.data;
}

static uint32_t unit(const uint8_t *p, bool big_endian) {
    return (uint32_t)p[!big_endian] << 8 | p[big_endian];
}

/* UTF-16 up to a NUL; halves of pairs that stand alone become U+FFFD. */
static const char *from_utf16(struct arena *a, const uint8_t *p, size_t n, bool big_endian) {
    struct buffer b = {.arena = a};
    buffer_add(&b, "", 0);
    for (size_t i = 0; i + 1 < n; i += 2) {
        uint32_t cp = unit(p + i, big_endian), low = i + 3 < n ? unit(p + i + 2, big_endian) : 0;
        char bytes[4];
        if (!cp) break;
        if (cp >= 0xd800 && cp < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        } else if (cp >= 0xd800 && cp < 0xe000) {
            cp = 0xfffd;
        }
        buffer_add(&b, bytes, (size_t)utf8_encode(bytes, cp));
    }
    return b.data;
}

static void check_length(const struct reader *r, const char *keyword, size_t n) {
    if (n > COMMENT_MAX) die(FAIL_DATA, "%s: text '%s': expected at most %d bytes, found more", r->f->name, keyword, COMMENT_MAX);
}

static void add(struct reader *r, const char *keyword, const char *text) {
    if (r->n == COMMENTS_MAX) die(FAIL_DATA, "%s: expected at most %d texts, found more", r->f->name, COMMENTS_MAX);
    r->items[r->n++] = (struct image_comment){.keyword = keyword, .text = text};
}

/* ---- Exif -------------------------------------------------------------------------------------------------------- */

/* Eight bytes say which characters; "UNICODE" is UTF-16 of either order, which nobody says: most texts are mostly Latin, whose high bytes
 * are 0. */
static const char *user_comment(struct reader *r, const uint8_t *p, size_t n) {
    size_t high_first = 0, low_first = 0;
    if (memcmp(p, "UNICODE", 8) != 0) return to_utf8(r->a, p + 8, n - 8);
    for (size_t i = 8; i + 1 < n; i += 2) high_first += !p[i], low_first += !p[i + 1];
    return from_utf16(r->a, p + 8, n - 8, high_first >= low_first);
}

static void add_entry(struct reader *r, const struct tiff *t, const struct tiff_entry *e) {
    const uint8_t *p = tiff_bytes(t, e);
    size_t n = e->count;
    if (!p || !n) return;
    check_length(r, "Exif", n);
    if (e->tag == TAG_USER_COMMENT && n > 8) add(r, "parameters", user_comment(r, p, n));
    else if (e->tag == TAG_MAKER_NOTE && n > 8 && !memcmp(p, "diffuse", 8)) add(r, "diffuse", to_utf8(r->a, p + 8, n - 8));
    else if (e->tag == TAG_SOFTWARE) add(r, "Software", to_utf8(r->a, p, n));
    else if (e->type == TIFF_ASCII && n > 7 && !memcmp(p, "prompt:", 7)) add(r, "prompt", to_utf8(r->a, p + 7, n - 7));
}

static void read_exif(struct reader *r, const uint8_t *exif, size_t n) {
    struct tiff t;
    struct tiff_entry e;
    size_t inner = 0;
    if (!tiff_open(&t, exif, n)) return;
    for (size_t i = 0; tiff_entry(&t, t.ifd, i, &e); i++) {
        if (e.tag == TAG_EXIF_IFD && e.count == 1 && e.type == TIFF_LONG) inner = tiff_number(&t, &e);
        else add_entry(r, &t, &e);
    }
    for (size_t i = 0; inner && tiff_entry(&t, inner, i, &e); i++) add_entry(r, &t, &e);
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

static voidpf zlib_alloc(voidpf arena, uInt n, uInt size) {
    return arena_array(arena, n, size);
}

static void zlib_free(voidpf arena, voidpf p) {
    (void)arena, (void)p;
}

/* At most COMMENT_MAX bytes come of it, whatever it says. */
static const char *unpack(struct reader *r, const char *keyword, const uint8_t *p, size_t n) {
    struct arena *work = image_scratch(r->a);
    z_stream z = {.next_in = (Bytef *)p, .avail_in = (uInt)n, .zalloc = zlib_alloc, .zfree = zlib_free, .opaque = work};
    uint8_t *out = arena_alloc(work, COMMENT_MAX + 1);
    z.next_out = out;
    z.avail_out = COMMENT_MAX + 1;
    int status = inflateInit(&z) == Z_OK ? inflate(&z, Z_FINISH) : Z_MEM_ERROR;
    check_length(r, keyword, z.total_out);
    if (status != Z_STREAM_END) die(FAIL_DATA, "%s: png: text '%s': malformed compressed data", r->f->name, keyword);
    const char *text = to_utf8(r->a, out, z.total_out);
    arena_free(work);
    return text;
}

/* keyword 0 text; keyword 0 method packed text; keyword 0 packed? method language 0 translated keyword 0 text. */
static void read_text(struct reader *r, const struct image_chunk *c) {
    char type = (char)(c->type[0]);
    const uint8_t *end = c->body + c->n, *p = memchr(c->body, 0, c->n);
    if (!p || p == c->body || p - c->body > KEYWORD_MAX) return;
    const char *keyword = to_utf8(r->a, c->body, (size_t)(p++ - c->body));
    bool packed = type == 'z' || (type == 'i' && end - p >= 2 && p[0] == 1);
    int skip = type == 'z' ? 1 : type == 'i' ? 2 : 0;
    if (end - p < skip || (packed && p[skip - 1] != 0)) return;
    p += skip;
    for (int i = 0; i < 2 && type == 'i' && p; i++) p = (p = memchr(p, 0, (size_t)(end - p))) ? p + 1 : NULL;
    if (!p) return;
    size_t n = (size_t)(end - p);
    if (!packed) check_length(r, keyword, n);
    add(r, keyword, packed ? unpack(r, keyword, p, n) : to_utf8(r->a, p, n));
}

static void check_crc(const struct reader *r, const struct image_chunk *c) {
    const uint8_t *stored = c->body + c->n;
    uint32_t crc = (uint32_t)crc32(0, c->type, (uInt)c->n + 4);
    for (int i = 0; i < 4; i++)
        if (stored[i] != (uint8_t)(crc >> (24 - 8 * i))) die(FAIL_DATA, "%s: png: %.4s: CRC error", r->f->name, (const char *)c->type);
}

static void read_png(struct reader *r) {
    struct image_chunk c;
    size_t at = PNG_CHUNKS;
    do {
        c = png_chunk(r->f, &at);
        bool text = !memcmp(c.type, "tEXt", 4) || !memcmp(c.type, "zTXt", 4) || !memcmp(c.type, "iTXt", 4);
        bool exif = !memcmp(c.type, "eXIf", 4);
        if (text || exif) check_crc(r, &c);
        if (text) read_text(r, &c);
        if (exif) read_exif(r, c.body, c.n);
    } while (memcmp(c.type, "IEND", 4) != 0);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

/* Markers 0xff NN, most with a length, up to the scan. */
static void read_jpeg(struct reader *r) {
    const uint8_t *p = r->f->data;
    for (size_t at = 2, n; r->f->n - at >= 4; at += n) {
        if (p[at] != 0xff) die(FAIL_DATA, "%s: jpeg: expected a marker at byte %zu", r->f->name, at);
        n = 1;
        if (p[at + 1] == 0xff) continue; /* padding */
        if (p[at + 1] == 0xda || p[at + 1] == 0xd9) return;
        n = 2 + (size_t)(p[at + 2] << 8 | p[at + 3]);
        if (n < 4 || n > r->f->n - at) break;
        if (p[at + 1] == 0xe1 && n >= 10 && !memcmp(p + at + 4, "Exif\0\0", 6)) read_exif(r, p + at + 4, n - 4);
    }
    die(FAIL_DATA, "%s: jpeg: the file ends too soon", r->f->name);
}

static void read_webp(struct reader *r) {
    struct image_chunk c;
    for (size_t at = WEBP_CHUNKS; webp_chunk(r->f, &at, &c);)
        if (!memcmp(c.type, "EXIF", 4)) read_exif(r, c.body, c.n);
}

struct image_comments image_comments_read(struct arena *a, const void *data, size_t n, const char *name) {
    struct image_file f = {.data = data, .n = n, .name = name};
    struct reader r = {.a = a, .f = &f, .items = arena_array(a, COMMENTS_MAX, sizeof *r.items)};
    switch (image_format_in(&f)) {
    case IMAGE_PNG: read_png(&r); break;
    case IMAGE_JPEG: read_jpeg(&r); break;
    case IMAGE_WEBP: read_webp(&r); break;
    }
    return (struct image_comments){r.items, r.n};
}
