/* Escaping, UTF-8, strict numbers, suggestions; and the element types' conversions. */
#include <math.h>
#include "engine/base/dtype.h"
#include "engine/base/text.h"
#include "test/files.h"

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void expect_escaped(const char *src, size_t n, const char *want) {
    char got[256];
    assert_int_equal(escape_text(got, sizeof got, src, n), strlen(want));
    assert_string_equal(got, want);
}
#define EXPECT_ESCAPED(literal, want) expect_escaped(literal, sizeof(literal) - 1, want)

static void test_escape(void **state) {
    (void)state;
    EXPECT_ESCAPED("plain é 猫 🐈", "plain é 猫 🐈");
    EXPECT_ESCAPED("a\nb\tc\0d\x7f", "a\\x0ab\\x09c\\x00d\\x7f");
    EXPECT_ESCAPED("\x1b[31mred", "\\x1b[31mred");
    EXPECT_ESCAPED("\xc2\x9b", "\\xc2\\x9b");                                                                /* C1: CSI */
    EXPECT_ESCAPED("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b", "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x80\\x8b"); /* bidi, zero width */
    EXPECT_ESCAPED("\xe2\x80\xa8", "\\xe2\\x80\\xa8");                                                       /* line separator */
    EXPECT_ESCAPED("\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81");                                              /* tag characters */
    EXPECT_ESCAPED("\xff\xc0\xafx\xe2\x82", "\\xff\\xc0\\xafx\\xe2\\x82");                                   /* invalid, overlong, cut */
}

/* Every capacity: never more than it holds, never half a character, cut with a mark. */
static void test_escape_cut(void **state) {
    (void)state;
    static const char text[] = "aé\x1b"
                               "b猫\xe2\x80\xaez";
    char whole[64], got[64];
    size_t length = escape_text(whole, sizeof whole, text, sizeof text - 1);
    assert_int_equal(escape_text(NULL, 0, text, sizeof text - 1), 0);
    for (size_t cap = 1; cap <= sizeof got; cap++) {
        memset(got, '#', sizeof got);
        size_t n = escape_text(got, cap, text, sizeof text - 1), bad;
        assert_true(n < cap && got[n] == 0 && strlen(got) == n);
        assert_true(utf8_valid(got, n, &bad));
        if (cap > length) assert_string_equal(got, whole);
        else if (cap >= 4) assert_string_equal(got + n - 3, "…");
    }
}

static void expect_valid(const char *s, size_t n, long bad_at) {
    size_t bad = 99;
    bool valid = utf8_valid(s, n, &bad);
    if (valid != (bad_at < 0) || (!valid && bad != (size_t)bad_at)) fail_msg("utf8_valid: %d at %zu, expected %ld", valid, bad, bad_at);
}
#define EXPECT_VALID(literal, bad_at) expect_valid(literal, sizeof(literal) - 1, bad_at)

static void test_utf8(void **state) {
    (void)state;
    EXPECT_VALID("", -1);
    EXPECT_VALID("a\0b", -1);
    EXPECT_VALID("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf", -1); /* U+10FFFF, U+E000, U+D7FF */
    EXPECT_VALID("ab\x80", 2);
    EXPECT_VALID("\xc0\x80", 0);
    EXPECT_VALID("a\xc1\xbf", 1);
    EXPECT_VALID("\xe0\x9f\xbf", 0);
    EXPECT_VALID("\xed\xa0\x80", 0);
    EXPECT_VALID("\xf0\x8f\xbf\xbf", 0);
    EXPECT_VALID("\xf4\x90\x80\x80", 0);
    EXPECT_VALID("\xf5\x80\x80\x80", 0);
    EXPECT_VALID("x\xe2\x82", 1);
    EXPECT_VALID("\xe2\x28\xa1", 0);
    for (uint32_t cp = 1; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff) continue;
        char s[5] = "";
        uint32_t back;
        int n = utf8_encode(s, cp);
        if (!utf8_valid(s, (size_t)n, NULL) || utf8_decode(s, &back) != n || back != cp) fail_msg("U+%04X", cp);
    }
}

static void test_integers(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", " 7", "7 ", "+7", "7x", "a", "1a", "-1", "0x", "0xg", "1.5", "18446744073709551616", "1e3", "٣", "0x10000000000000000"};
    uint64_t u;
    int64_t i;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (parse_u64(bad[k], &u)) fail_msg("parse_u64 takes '%s'", bad[k]);
    assert_true(parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    assert_true(parse_u64("0xFFfFffFFffFFffFF", &u) && u == UINT64_MAX);
    assert_true(parse_u64("0X1f", &u) && u == 31);
    assert_true(parse_u64("007", &u) && u == 7);
    assert_true(parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_false(parse_i64("9223372036854775808", &i));
    assert_false(parse_i64("-9223372036854775809", &i));
    assert_false(parse_i64("--1", &i) || parse_i64("-", &i) || parse_i64("0x10", &i) || parse_i64("", &i));
}

static void test_doubles(void **state) {
    (void)state;
    static const char *const bad[] = {"",         "-",     ".",  "e5", "1e", "1e+", "nan",   "inf",
                                      "Infinity", "0x1p3", " 1", "1 ", "+1", "7,5", "1e999", "1.2.3"};
    double d;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (parse_double(bad[k], &d)) fail_msg("parse_double takes '%s'", bad[k]);
    assert_true(parse_double("7.5", &d) && d == 7.5);
    assert_true(parse_double("-1e-05", &d) && d == -1e-5);
    assert_true(parse_double(".5", &d) && d == 0.5);
    assert_true(parse_double("5.", &d) && d == 5);
    assert_true(parse_double("1E+2", &d) && d == 100);
}

static void test_suggest(void **state) {
    (void)state;
    static const char *const names[] = {"euler", "ddim", "pndm", "dpmsolver", NULL};
    assert_string_equal(suggest("Eulr", names), "euler");
    assert_string_equal(suggest("dpm-solver", names), "dpmsolver");
    assert_string_equal(suggest("pdnm", names), "pndm"); /* two letters exchanged are one mistake … */
    assert_null(suggest("ddxy", names));                 /* … and two mistakes in four letters too many */
    assert_null(suggest("heun", names));
    assert_null(suggest("", names));
    char longer[200];
    memset(longer, 'e', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_null(suggest(longer, names));
    assert_string_equal(suggest("Eulr", (const char *[]){longer, "euler", NULL}), "euler");
}

/* ---- element types ----------------------------------------------------------------------------------------------- */

/* IEEE 754 binary16 by its definition. */
static double half_value(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double v = exponent == 0 ? ldexp(mantissa, -24) : exponent == 31 ? (mantissa ? NAN : INFINITY) : ldexp(1024 + mantissa, exponent - 25);
    return h & 0x8000 ? -v : v;
}

static void test_half(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        double want = half_value((uint16_t)h), got = (double)f16_to_f32((uint16_t)h);
        if (isnan(want) ? !isnan(got) : !(got == want && signbit(got) == signbit(want))) fail_msg("f16_to_f32(%04x) = %g", h, got);
        uint16_t back = f32_to_f16((float)got);
        if (isnan(want) ? !isnan(half_value(back)) : back != h) fail_msg("f32_to_f16(f16_to_f32(%04x)) = %04x", h, back);
    }
}

/* Between two neighbours: below the middle goes down, above goes up, the middle to the even one. */
static void test_half_rounding(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = half_value((uint16_t)h), high = h == 0x7bff ? 65536 : half_value((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2);
        uint32_t even = h & 1 ? h + 1 : h;
        uint16_t below = f32_to_f16(nextafterf(middle, 0)), at = f32_to_f16(middle), above = f32_to_f16(nextafterf(middle, INFINITY));
        if (below != h || at != even || above != h + 1) fail_msg("around %.9g: %04x %04x %04x", (double)middle, below, at, above);
        if (f32_to_f16(-middle) != (even | 0x8000)) fail_msg("-%.9g", (double)middle);
    }
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
}

static void test_brain_float(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = bf16_to_f32((uint16_t)h);
        uint16_t back = f32_to_bf16(f);
        if (isnan(f) ? !isnan(bf16_to_f32(back)) : back != h) fail_msg("bf16 %04x: %04x", h, back);
    }
    assert_int_equal(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80); /* middle, to even */
    assert_int_equal(f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);
    assert_int_equal(f32_to_bf16(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
    uint32_t bits = 0x7f800001; /* a NaN whose upper half looks infinite */
    float nan;
    memcpy(&nan, &bits, 4);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(nan))));
}

/* All source types, from every misalignment, at lengths around the vector width. */
static void test_bulk(void **state) {
    (void)state;
    static const float want[] = {0, -1.5f, 65504, 0x1p-14f, 0x1p-24f, -0.0f, 3, 1024};
    enum { N = 67 };
    char raw[8 * N + 8];
    float got[N];
    for (enum dtype dtype = DT_F32; dtype <= DT_F64; dtype++)
        for (size_t shift = 0; shift < 8; shift++) {
            size_t size = dtype_table[dtype].size;
            for (size_t i = 0; i < N; i++) {
                float f = want[i % 8];
                double d = (double)f;
                uint16_t half = dtype == DT_F16 ? f32_to_f16(f) : f32_to_bf16(f);
                memcpy(raw + shift + i * size, size == 2 ? (void *)&half : size == 8 ? (void *)&d : (void *)&f, size);
            }
            dtype_to_f32(got, raw + shift, dtype, N);
            for (size_t i = 0; i < N; i++) {
                float expected = dtype == DT_BF16 ? bf16_to_f32(f32_to_bf16(want[i % 8])) : want[i % 8];
                if (!(got[i] == expected)) fail_msg("%s + %zu [%zu]: %g", dtype_table[dtype].name, shift, i, (double)got[i]);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),   cmocka_unit_test(test_escape_cut),    cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_doubles),       cmocka_unit_test(test_suggest),
        cmocka_unit_test(test_half),     cmocka_unit_test(test_half_rounding), cmocka_unit_test(test_brain_float),
        cmocka_unit_test(test_bulk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
