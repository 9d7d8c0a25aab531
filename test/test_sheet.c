/* The contact sheet: where its pictures and labels come to lie, and texts of any kind. */
#include "test/support.h"

#include <stdbool.h>
#include "engine/base/error.h"
#include "engine/images/sheet.h"

static struct arena arena;

/* Cell i is one colour, i in red; number 2 and those behind 8 are not there. */
static bool plain(void *data, struct arena *a, int cell, struct image *out) {
    const int *size = data;
    if (cell == 2 || cell > 8) return false;
    *out = image_new(a, size[0], size[1], 3);
    for (int i = 0; i < size[0] * size[1]; i++) out->pixels[3 * i] = (uint8_t)(cell + 1);
    return true;
}

static const uint8_t *at(const struct image *m, int x, int y) {
    return m->pixels + 3 * ((size_t)y * (size_t)m->W + (size_t)x);
}

static void test_places(void **state) {
    (void)state;
    int size[2] = {40, 24};
    struct sheet s = {.columns = 2, .rows = 3, .picture = plain, .data = size, .W = 40, .H = 24};
    struct image m = sheet_draw(&arena, &s);
    assert_true(m.W == 4 + 2 * 44 && m.H == 4 + 3 * 28 && m.C == 3);
    static const int corners[6][2] = {{4, 4}, {48, 4}, {4, 32}, {48, 32}, {4, 60}, {48, 60}};
    for (int i = 0; i < 6; i++) {
        int x = corners[i][0], y = corners[i][1], red = i == 2 ? 255 : i + 1;
        assert_int_equal(*at(&m, x, y), red);
        assert_int_equal(*at(&m, x + 39, y + 23), red);
        assert_int_equal(*at(&m, x - 1, y), 255);
        assert_int_equal(*at(&m, x, y - 1), 255);
        if (x + 40 < m.W) assert_int_equal(*at(&m, x + 40, y), 255);
    }
    arena_free(&arena);
}

static bool dark_in(const struct image *m, int x1, int y1, int x2, int y2) {
    for (int y = y1; y < y2; y++)
        for (int x = x1; x < x2; x++)
            if (!at(m, x, y)[0] && !at(m, x, y)[1]) return true;
    return false;
}

static void test_labels(void **state) {
    (void)state;
    int size[2] = {40, 24};
    const char *columns[] = {"I", "MMMMMMMMMMMM"}, *rows[] = {"one\ntwo", ""}, *cells[] = {"a", "b", "c", "d"};
    struct sheet s = {.columns = 2, .rows = 2, .picture = plain, .data = size, .W = 40, .H = 24};
    s.column_labels = columns;
    s.row_labels = rows;
    struct image m = sheet_draw(&arena, &s);
    int left = 4 + 3 * 6 + 4, top = 4 + 2 * 11 + 4; /* three glyphs; twelve letters where six have room are two lines */
    assert_int_equal(*at(&m, left, top), 1);
    /* the I of the first column, pixel by pixel */
    static const uint8_t I[FONT_H] = {14, 4, 4, 4, 4, 4, 14};
    for (int y = 0; y < FONT_H; y++)
        for (int x = 0; x < FONT_W; x++) assert_int_equal(!*at(&m, left + x, 4 + y), I[y] >> (4 - x) & 1);
    assert_true(dark_in(&m, left + 44, 4, left + 84, 13) && !dark_in(&m, left + 84, 0, m.W, 24)); /* its column ends there */
    assert_true(dark_in(&m, left + 74, 15, left + 80, 24) && !dark_in(&m, left, 15, left + 40, 24));
    assert_true(dark_in(&m, 4, top, left, top + 9) && dark_in(&m, 4, top + 11, left, top + 20)); /* two lines */
    assert_false(dark_in(&m, 0, top + 28, left, m.H));
    s.column_labels = s.row_labels = NULL;
    s.cell_labels = cells;
    m = sheet_draw(&arena, &s);
    assert_true(m.H == 4 + 2 * (24 + 11 + 4) && dark_in(&m, 4, 29, 44, 39));
    /* parted where words are; four lines are the most, the last one ends in dots */
    cells[0] = "ab cdefg";
    cells[1] = "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM";
    m = sheet_draw(&arena, &s);
    assert_int_equal(m.H, 4 + 2 * (24 + 4 * 11 + 4));
    assert_true(dark_in(&m, 4, 29, 16, 38) && !dark_in(&m, 22, 29, 46, 38));                                 /* "ab " */
    assert_true(dark_in(&m, 28, 40, 34, 49) && !dark_in(&m, 34, 40, 46, 49) && !dark_in(&m, 4, 51, 46, 71)); /* "cdefg" */
    assert_true(dark_in(&m, 48, 62, 66, 68) && !dark_in(&m, 66, 62, 84, 66) && dark_in(&m, 66, 66, 84, 69)); /* MMM... */
    arena_free(&arena);
}

static int glyphs(const char *text, int max) {
    const uint8_t *out[64];
    return font_text(text, max, out);
}

/* What a prompt may be. */
static void test_texts(void **state) {
    (void)state;
    const uint8_t *plain_e[1], *accented[1], *joined[2], *strange[1];
    assert_int_equal(font_text("e", 1, plain_e), 1);
    assert_int_equal(font_text("\xc3\xa9", 1, accented), 1); /* é */
    assert_int_equal(font_text("e\xcc\x81", 2, joined), 1);  /* e and a mark */
    assert_true(accented[0] == plain_e[0] && joined[0] == plain_e[0]);
    assert_int_equal(font_text("\xe7\x81\xaf", 1, strange), 1); /* 灯 */
    assert_true(strange[0] != plain_e[0]);
    for (int c = 0x21; c < 0x7f; c++) { /* each character has a glyph of its own */
        const uint8_t *own[1], *other[1];
        font_text((char[]){(char)c, 0}, 1, own);
        for (int d = 0x20; d < c; d++) {
            font_text((char[]){(char)d, 0}, 1, other);
            if (!memcmp(own[0], other[0], FONT_H)) fail_msg("%c looks like %c", c, d);
        }
    }
    assert_int_equal(glyphs("", 9), 0);
    assert_int_equal(glyphs("abcdef", 0), 0);
    assert_int_equal(glyphs("abcdef", 4), 4);
    assert_int_equal(glyphs("\xff\xfe\x80", 9), 3);                     /* no UTF-8 */
    assert_int_equal(glyphs("\xef\xb7\xba", 9), 1);                     /* one that stands for 18 */
    assert_int_equal(glyphs("\xe2\x80\x8d\xef\xbb\xbf\xcc\x81", 9), 0); /* nothing to be seen */
    assert_int_equal(glyphs("\xf0\x9f\x90\xbf\x1b[31m", 9), 6);
}

static void test_limits(void **state) {
    (void)state;
    int size[2] = {512, 512};
    struct sheet s = {.columns = 64, .rows = 64, .picture = plain, .data = size, .W = 512, .H = 512};
    struct image m = sheet_draw(&arena, &s);
    assert_true(m.W <= SHEET_SIDE_MAX && m.H <= SHEET_SIDE_MAX && m.W > SHEET_SIDE_MAX * 9 / 10);
    assert_int_equal(*at(&m, 4, 4), 1);
    s.columns = 16, s.rows = 128;
    m = sheet_draw(&arena, &s);
    assert_true(m.H <= SHEET_SIDE_MAX && m.H > SHEET_SIDE_MAX * 9 / 10);
    arena_free(&arena);
    static struct job job;
    s.columns = 4096, s.rows = 1;
    if (job_enter(&job)) {
        sheet_draw(&arena, &s);
        job_leave(&job);
        fail_msg("a sheet of 4096 columns");
    }
    assert_int_equal(job.code, FAIL_USAGE);
    assert_string_equal(job.message, "a sheet of 4096 x 1 pictures of 512x512: expected at most 8192 pixels on a side");
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_labels), cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
