/* Pictures that lie: each row is bytes and the one line that refuses them, or what they are taken for. */
#include "test/support.h"

#include <stdbool.h>
#include <jpeglib.h>
#include <zlib.h>
#include "engine/base/error.h"
#include "engine/images/read.h"

/* ---- building ---------------------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *p;
    size_t n, capacity;
};

static void add(struct bytes *b, const void *p, size_t n) {
    if (b->n + n > b->capacity) b->p = realloc(b->p, b->capacity = 2 * b->capacity + n + 1);
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void add32(struct bytes *b, uint32_t v) {
    add(b, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static void add_chunk(struct bytes *b, const char *type, const void *body, size_t n) {
    add32(b, (uint32_t)n);
    size_t at = b->n;
    add(b, type, 4);
    add(b, body, n);
    add32(b, (uint32_t)crc32(0, b->p + at, (uInt)(b->n - at)));
}

/* A PNG of zeros, of the type and depth, whose IDAT holds n bytes of them; chunks in front of it from `extra`. */
static struct bytes png(uint32_t W, uint32_t H, int depth, int type, size_t n, const char *extra_type, const void *extra, size_t extra_n) {
    struct bytes b = {0}, head = {0};
    uLongf packed = compressBound(n);
    uint8_t *zeros = calloc(1, n + 1), *idat = malloc(packed);
    compress(idat, &packed, zeros, n);
    add(&b, "\x89PNG\r\n\x1a\n", 8);
    add32(&head, W);
    add32(&head, H);
    add(&head, (uint8_t[]){(uint8_t)depth, (uint8_t)type, 0, 0, 0}, 5);
    add_chunk(&b, "IHDR", head.p, head.n);
    if (extra_type) add_chunk(&b, extra_type, extra, extra_n);
    add_chunk(&b, "IDAT", idat, packed);
    add_chunk(&b, "IEND", "", 0);
    free(head.p), free(zeros), free(idat);
    return b;
}

static struct bytes plain_png(uint32_t W, uint32_t H) {
    return png(W, H, 8, 2, (W * 3 + 1) * H, NULL, NULL, 0);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Decodes b in a job of its own; frees it. An empty fragment: accepted. */
static void expect(const char *row, struct bytes b, const char *fragment) {
    static struct arena a; /* outlives the longjmp */
    struct job job;
    error_quiet = 1;
    if (job_enter(&job)) {
        image_decode(&a, b.p, b.n, "x.png");
        job_leave(&job);
        if (*fragment) fail_msg("%s: accepted, expected '%s'", row, fragment);
    } else {
        if (!*fragment || job.code != FAIL_DATA || strncmp(job.message, "x.png: ", 7) != 0 || !strstr(job.message, fragment))
            fail_msg("%s: %d: %s; expected '%s'", row, job.code, job.message, fragment);
        if (a.bytes > 1 << 22) fail_msg("%s: %zu bytes allocated on the way", row, a.bytes);
    }
    error_quiet = 0;
    arena_free(&a);
    free(b.p);
}

static struct bytes cut(struct bytes b, size_t n) {
    b.n = n < b.n ? n : b.n;
    return b;
}

static struct bytes changed(struct bytes b, size_t at, int value) {
    b.p[at] = (uint8_t)value;
    return b;
}

static struct bytes text(const char *s, size_t n) {
    struct bytes b = {0};
    add(&b, s, n);
    return b;
}

static void test_not_pictures(void **state) {
    (void)state;
    expect("empty", text("", 0), "an empty file");
    expect("text", text("hello", 5), "expected a PNG, JPEG or WebP picture, found something else");
    expect("gif", text("GIF89a\1\0\1\0", 10), "found a GIF");
    expect("tiff", text("II*\0....", 8), "found a TIFF");
    expect("signature alone", text("\x89PNG\r\n\x1a\n", 8), "ends before its IEND");
    expect("riff alone", text("RIFF\0\0\0\0WEBP", 12), "webp: ");
    expect("soi alone", text("\xff\xd8\xff", 3), "jpeg: ");
}

static void test_png(void **state) {
    (void)state;
    uint8_t junk[200];
    memset(junk, 0xa5, sizeof junk);
    struct bytes good = plain_png(8, 8);
    size_t whole = good.n;
    free(good.p);
    expect("good", plain_png(8, 8), "");
    for (size_t n = 8; n < whole; n++) expect("cut", cut(plain_png(8, 8), n), "png: ");
    expect("no width", plain_png(0, 8), "a picture of 0x8 pixels");
    expect("no height", plain_png(8, 0), "a picture of 8x0 pixels");
    expect("wide", png(16385, 1, 8, 2, 1, NULL, NULL, 0), "at most 16384 on a side");
    expect("2^31", png(1u << 31, 1, 8, 2, 1, NULL, NULL, 0), "at most 16384 on a side");
    expect("bomb", png(16384, 16384, 8, 2, 1000, NULL, NULL, 0), "not believed");
    expect("few rows", png(8, 8, 8, 2, 25, NULL, NULL, 0), "png: Not enough image data");
    expect("crc of IHDR", changed(plain_png(8, 8), 30, 1), "png: IHDR: CRC error");
    expect("crc of IDAT", changed(plain_png(8, 8), whole - 13, 1), "png: ");
    expect("junk profile", png(8, 8, 8, 2, 200, "iCCP", junk, sizeof junk), "");
    expect("junk exif", png(8, 8, 8, 2, 200, "eXIf", junk, sizeof junk), "");
    expect("junk text", png(8, 8, 8, 2, 200, "zTXt", junk, sizeof junk), "");
    expect("no palette", png(8, 8, 8, 3, 72, NULL, NULL, 0), "png: IDAT: Missing PLTE before IDAT");
    expect("depth 3", png(8, 8, 3, 0, 72, NULL, NULL, 0), "png: ");
    expect("unknown and critical", png(8, 8, 8, 2, 200, "ABCD", junk, 4), "png: ABCD: unhandled critical chunk");
    struct bytes many = {0}, tail = plain_png(8, 8);
    add(&many, tail.p, 33);
    for (int i = 0; i < 1000000; i++) add_chunk(&many, "tEXt", "a", 1);
    add(&many, tail.p + 33, tail.n - 33);
    free(tail.p);
    expect("a million chunks", many, "");
    struct bytes trailed = plain_png(8, 8);
    add(&trailed, junk, sizeof junk);
    expect("trailing garbage", trailed, "");
    struct bytes long_chunk = plain_png(8, 8);
    expect("chunk of 4 GB", changed(long_chunk, 33, 0xff), "ends within a chunk");
}

/* ---- JPEG and WebP: damage to a good file of the fixture ---- */

static struct bytes fixture_file(struct arena *a, const char *kind) {
    struct st_file *f = st_open(a, "test/fixtures/images/images.safetensors");
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i].tensor;
        if (strncmp(t->name, "file:", 5) != 0 || !strstr(t->name, kind) || !strstr(t->name, ".in")) continue;
        struct bytes b = {malloc(t->bytes), t->bytes, t->bytes};
        if (tensor_read(t, b.p) != 0) fail_msg("cannot read %s", t->name);
        st_close(f);
        return b;
    }
    fail_msg("no %s", kind);
    return (struct bytes){0};
}

static size_t find(struct bytes b, const void *what, size_t n) {
    const uint8_t *at = memmem(b.p, b.n, what, n);
    assert_non_null(at);
    return (size_t)(at - b.p);
}

/* A progressive file of n scans: the coefficient of no frequency, then one after the other. */
static struct bytes jpeg_of_scans(int n) {
    static jpeg_scan_info scans[1 + 3 * 63] = {{3, {0, 1, 2}, 0, 0, 0, 0}};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *file = NULL;
    unsigned long size = 0;
    for (int i = 1; i < n; i++) scans[i] = (jpeg_scan_info){1, {(i - 1) / 63}, (i - 1) % 63 + 1, (i - 1) % 63 + 1, 0, 0};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file, &size);
    jpeg.image_width = jpeg.image_height = 8;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg.scan_info = scans;
    jpeg.num_scans = n;
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 8; y++) jpeg_write_scanlines(&jpeg, &(JSAMPROW){(uint8_t[24]){0}}, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return (struct bytes){file, size, size};
}

static void test_jpeg(void **state) {
    (void)state;
    struct arena a = {0};
    struct bytes good = fixture_file(&a, "jpeg");
    const struct bytes copy = good;
    size_t sof = find(good, "\xff\xc2", 2);
#define FRESH text((const char *)copy.p, copy.n)
    expect("good", FRESH, "");
    for (size_t n = 3; n < copy.n; n += 7) expect("cut", cut(FRESH, n), "jpeg: ");
    expect("no height", changed(changed(FRESH, sof + 5, 0), sof + 6, 0), "jpeg: Empty JPEG image");
    expect("tall", changed(FRESH, sof + 5, 0x7f), "at most 16384 on a side");
    expect("bomb", changed(changed(FRESH, sof + 5, 0x3f), sof + 7, 0x3f), "not believed");
    expect("12 bits", changed(FRESH, sof + 4, 12), "jpeg: Unsupported JPEG data precision 12");
    expect("2 components", changed(changed(FRESH, sof + 9, 2), sof + 3, 14), "jpeg: ");
    struct bytes trailed = FRESH;
    add(&trailed, "garbage", 7);
    expect("trailing garbage", trailed, "");
    expect("100 scans", jpeg_of_scans(100), "");
    expect("101 scans", jpeg_of_scans(101), "jpeg: expected at most 100 scans");
    free(good.p);
    arena_free(&a);
}

static void test_webp(void **state) {
    (void)state;
    struct arena a = {0};
    const struct bytes copy = fixture_file(&a, "webp");
    expect("good", FRESH, "");
    for (size_t n = 12; n < copy.n / 2; n += 5) expect("cut", cut(FRESH, n), "webp: ");
    static const char animated[] = "RIFF\x2a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x07\0\0\x07\0\0ANIM\x06\0\0\0\0\0\0\0\0\0";
    expect("animated", text(animated, sizeof animated - 1), "an animation; expected a single picture");
    static const char empty[] = "RIFF\x12\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff";
    expect("canvas of 2^24", text(empty, sizeof empty - 1), "webp: ");
    free(copy.p);
    arena_free(&a);
}

static void test_missing(void **state) {
    (void)state;
    struct arena a = {0};
    struct job job;
    if (job_enter(&job)) {
        image_read(&a, "test/no-such.png");
        fail_msg("read");
    }
    assert_int_equal(job.code, FAIL_INPUT);
    assert_string_equal(job.message, "test/no-such.png: No such file or directory");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_pictures), cmocka_unit_test(test_png),     cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_webp),         cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
