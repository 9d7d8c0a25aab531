#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/images/write.h"

struct file {
    const uint8_t *data;
    size_t size, at;
};

static void read_file_bytes(png_structp png, png_bytep data, size_t n) {
    struct file *f = png_get_io_ptr(png);
    if (n > f->size - f->at) png_error(png, "read beyond the end");
    memcpy(data, f->data + f->at, n);
    f->at += n;
}

struct decoded {
    png_structp png;
    png_infop info;
    png_bytepp rows;
};

static struct decoded decode(struct file *f) {
    struct decoded d = {png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL), NULL, NULL};
    d.info = png_create_info_struct(d.png);
    if (setjmp(png_jmpbuf(d.png))) fail_msg("libpng cannot read the file");
    png_set_read_fn(d.png, f, read_file_bytes);
    png_read_png(d.png, d.info, PNG_TRANSFORM_IDENTITY, NULL);
    d.rows = png_get_rows(d.png, d.info);
    return d;
}

static uint8_t *random_pixels(int W, int H, int noise) {
    uint8_t *rgb = malloc((size_t)W * (size_t)H * 3);
    uint32_t r = 1;
    for (int i = 0; i < W * H * 3; i++) rgb[i] = (uint8_t)(i / 7 + (noise ? (int)((r = r * 1664525 + 1013904223) >> 24) : 0));
    return rgb;
}

static void expect_pixels(const struct decoded *d, const uint8_t *rgb, int W, int H) {
    assert_int_equal(png_get_image_width(d->png, d->info), W);
    assert_int_equal(png_get_image_height(d->png, d->info), H);
    assert_int_equal(png_get_color_type(d->png, d->info), PNG_COLOR_TYPE_RGB);
    assert_int_equal(png_get_bit_depth(d->png, d->info), 8);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < W * 3; i++)
            if (d->rows[y][i] != rgb[(size_t)y * (size_t)W * 3 + (size_t)i])
                fail_msg("%dx%d: pixel [%d,%d] channel %d: got %d, want %d", W, H, y, i / 3, i % 3, d->rows[y][i],
                         rgb[(size_t)y * (size_t)W * 3 + (size_t)i]);
}

static const struct image_comment comments[] = {
    {"parameters", "caf\xc3\xa9\nSteps: 20", false},         /* Latin-1: tEXt */
    {"parameters", "\xe7\x8c\xab, \xf0\x9f\x90\xbf", false}, /* not Latin-1: iTXt */
    {"parameters", "a\x1b[31m", false},                      /* not printable: iTXt */
    {"parameters", "\xc2\x85", false},                       /* a control of Latin-1, and its blank: iTXt */
    {"parameters", "\xc2\xa0", false},
    {"diffuse", "{\"prompt\":\"a\"}", true},
    {"Software", "", false},
};
enum { N_COMMENTS = sizeof comments / sizeof *comments };

static const void *encode(struct arena *a, uint8_t *rgb, int W, int H, int n_comments, size_t *size) {
    struct image image = {W, H, 3, rgb};
    return png_encode(a, &image, (struct image_comments){comments, n_comments}, size);
}

static void round_trip(int W, int H, int noise) {
    struct arena a = {0};
    size_t size;
    uint8_t *rgb = random_pixels(W, H, noise);
    const void *data = encode(&a, rgb, W, H, 0, &size);
    struct file f = {data, size, 0};
    struct decoded d = decode(&f);
    expect_pixels(&d, rgb, W, H);
    assert_int_equal(f.at, size);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(rgb);
    arena_free(&a);
}

static void test_pixels(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {3, 5}, {8, 8}, {257, 129}, {1000, 3}, {1, 4096}, {512, 512}, {1024, 768}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int noise = 0; noise < 2; noise++) round_trip(sizes[i][0], sizes[i][1], noise);
}

static void test_comments(void **state) {
    (void)state;
    struct arena a = {0};
    size_t size;
    uint8_t *rgb = random_pixels(16, 8, 1);
    const void *data = encode(&a, rgb, 16, 8, N_COMMENTS, &size);
    struct file f = {data, size, 0};
    struct decoded d = decode(&f);
    png_textp texts;
    int n;
    expect_pixels(&d, rgb, 16, 8);
    png_get_text(d.png, d.info, &texts, &n);
    assert_int_equal(n, N_COMMENTS);
    for (int i = 0; i < n; i++) {
        static const char *const want[N_COMMENTS] = {"caf\xe9\nSteps: 20"};
        static const int international[] = {0, 1, 1, 1, 1, 1, 0};
        assert_string_equal(texts[i].key, comments[i].keyword);
        assert_int_equal(texts[i].compression, international[i] ? PNG_ITXT_COMPRESSION_NONE : PNG_TEXT_COMPRESSION_NONE);
        assert_string_equal(texts[i].text, want[i] ? want[i] : comments[i].text);
    }
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(rgb);
    arena_free(&a);
}

/* Text stands before the pixels, where a reader of the first bytes finds it, and nothing depends on the time or the machine. */
static void test_chunks(void **state) {
    (void)state;
    struct arena a = {0};
    size_t size, again;
    uint8_t *rgb = random_pixels(300, 200, 1);
    const uint8_t *data = encode(&a, rgb, 300, 200, N_COMMENTS, &size);
    const uint8_t *same = encode(&a, rgb, 300, 200, N_COMMENTS, &again);
    char order[256] = "";
    for (size_t at = 8; at < size;) {
        uint32_t length = (uint32_t)data[at] << 24 | (uint32_t)data[at + 1] << 16 | (uint32_t)data[at + 2] << 8 | data[at + 3];
        strncat(order, (const char *)data + at + 4, 4);
        at += length + 12;
        strcat(order, at == size ? "." : " ");
    }
    assert_string_equal(order, "IHDR tEXt iTXt iTXt iTXt iTXt iTXt tEXt IDAT IEND.");
    assert_int_equal(size, again);
    assert_memory_equal(data, same, size);
    free(rgb);
    arena_free(&a);
}

/* libpng's own complaint ends in die(), and the arena holds all that was allocated. */
static void test_failure(void **state) {
    (void)state;
    struct arena a = {0};
    struct job job;
    size_t size;
    if (job_enter(&job)) {
        encode(&a, (uint8_t[1]){0}, 0, 1, 0, &size);
        job_leave(&job);
        fail_msg("an image of width 0 was written");
    }
    assert_int_equal(job.code, FAIL_INTERNAL);
    assert_true(!strncmp(job.message, "png: ", 5));
    arena_free(&a);
}

int main(void) {
    error_quiet = 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pixels), cmocka_unit_test(test_comments), cmocka_unit_test(test_chunks),
                                       cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
