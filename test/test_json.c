/* The pull reader, the tree of small documents and its getters. */
#include <math.h>
#include <sys/time.h>
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "test/files.h"

/* ---- pull reader ------------------------------------------------------------------------------------------------- */

/* Tokens as letters: { } [ ] k s n t f 0, ! for an error, . for the end. */
static const char *tokens_of(const char *text, size_t length, struct json_scan *s, char *buffer, size_t string_max) {
    static char letters[4096];
    size_t n = 0;
    enum json_token token;
    json_scan_begin(s, text, length, buffer, string_max);
    do {
        token = json_scan_next(s);
        letters[n++] = ".{}[]ksntf0!"[token];
    } while (token != JSON_END && token != JSON_ERROR && n < sizeof letters - 1);
    letters[n] = 0;
    return letters;
}

static void expect_tokens(const char *text, const char *want) {
    struct json_scan s;
    char buffer[65];
    const char *got = tokens_of(text, strlen(text), &s, buffer, 64);
    if (strcmp(got, want) != 0) fail_msg("%s: expected %s, found %s (%s)", text, want, got, s.error ? s.error : "");
    if (json_scan_next(&s) != (strchr(want, '!') ? JSON_ERROR : JSON_END)) fail_msg("%s: another token after the last", text);
}

static void test_tokens(void **state) {
    (void)state;
    expect_tokens("{}", "{}.");
    expect_tokens(" \t\r\n{ \"a\" : [ 1 , true ,false, null,\"x\" ] , \"b\":{} } \n", "{k[ntf0s]k{}}.");
    expect_tokens("[[],[[]],{}]", "[[][[]]{}].");
    expect_tokens("-0.5e+10", "n.");
    expect_tokens("\"\"", "s.");
    expect_tokens("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]].");
    expect_tokens("[[[[[[[[[[[[[[[[[", "[[[[[[[[[[[[[[[[!");
}

static void expect_error(const char *text, size_t length, size_t at, const char *error) {
    struct json_scan s;
    char buffer[17];
    const char *got = tokens_of(text, length, &s, buffer, 16);
    if (!strchr(got, '!')) fail_msg("%s: accepted", text);
    if (s.at != at || !strstr(s.error, error)) fail_msg("%s: expected '%s' at %zu, found '%s' at %zu", text, error, at, s.error, s.at);
}
#define EXPECT_ERROR(literal, at, error) expect_error(literal, sizeof(literal) - 1, at, error)

static void test_scan_errors(void **state) {
    (void)state;
    EXPECT_ERROR("", 0, "ends too soon");
    EXPECT_ERROR("{", 1, "expected a key");
    EXPECT_ERROR("{\"a\"}", 4, "expected ':'");
    EXPECT_ERROR("{\"a\":}", 5, "expected a value");
    EXPECT_ERROR("{\"a\":1,}", 7, "expected a key");
    EXPECT_ERROR("{\"a\":1 \"b\":2}", 7, "expected ',' or '}'");
    EXPECT_ERROR("[1,]", 3, "expected a value");
    EXPECT_ERROR("[1 2]", 3, "expected ',' or ']'");
    EXPECT_ERROR("[1}", 2, "expected ',' or ']'");
    EXPECT_ERROR("{]", 1, "expected a key");
    EXPECT_ERROR("{} x", 3, "something follows");
    EXPECT_ERROR("{}\0", 2, "something follows");
    EXPECT_ERROR("{'a':1}", 1, "expected a key");
    EXPECT_ERROR("[tru]", 1, "expected a value");
    EXPECT_ERROR("[truex]", 5, "expected ','");
    EXPECT_ERROR("[NaN]", 1, "expected a value");
    EXPECT_ERROR("[Infinity]", 1, "expected a value");
    EXPECT_ERROR("[-Infinity]", 2, "bad number");
    EXPECT_ERROR("[+1]", 1, "expected a value");
    EXPECT_ERROR("[01]", 2, "expected ','");
    EXPECT_ERROR("[1.]", 3, "bad number");
    EXPECT_ERROR("[.5]", 1, "expected a value");
    EXPECT_ERROR("[1e]", 3, "bad number");
    EXPECT_ERROR("[-]", 2, "bad number");
    EXPECT_ERROR("[0x10]", 2, "expected ','");
    EXPECT_ERROR("[\"a", 3, "string without end");
    EXPECT_ERROR("[\"\\", 3, "bad escape");
    EXPECT_ERROR("[\"\\x\"]", 3, "bad escape");
    EXPECT_ERROR("[\"\\0\"]", 3, "bad escape");
    EXPECT_ERROR("[\"\\u12\"]", 6, "bad \\u escape");
    EXPECT_ERROR("[\"\\ud800\"]", 8, "surrogate");
    EXPECT_ERROR("[\"\\udc00\\ud800\"]", 8, "surrogate");
    EXPECT_ERROR("[\"\\ud800\\udbff\"]", 14, "surrogate");
    EXPECT_ERROR("[\"\\ud800\\ue000\"]", 14, "surrogate");
    EXPECT_ERROR("[\"\\u0000\"]", 8, "\\u0000");
    EXPECT_ERROR("[\"a\nb\"]", 3, "control character");
    EXPECT_ERROR("[\"a\0b\"]", 3, "control character");
    EXPECT_ERROR("[\"a\xff\"]", 3, "not UTF-8");
    EXPECT_ERROR("[\"a\xe2\x82\"]", 3, "not UTF-8");
    EXPECT_ERROR("[\"12345678901234567\"]", 19, "too long");
}

static void test_strings(void **state) {
    (void)state;
    static const char text[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é\"";
    struct json_scan s;
    char buffer[65];
    assert_string_equal(tokens_of(text, strlen(text), &s, buffer, 64), "s.");
    assert_string_equal(s.string, "\"\\/\b\f\n\r\té😀é");
    assert_int_equal(s.string_length, strlen(s.string));
    assert_string_equal(tokens_of("[\"1234\"]", 8, &s, buffer, 4), "[s].");
    assert_string_equal(tokens_of("[\"12345\"]", 9, &s, buffer, 4), "[!");
    assert_string_equal(tokens_of("[\"12345\"]", 9, &s, NULL, 0), "[s].");
}

static void test_u64(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool fits;
        uint64_t value;
    } cases[] = {{"0", true, 0},
                 {"18446744073709551615", true, UINT64_MAX},
                 {"18446744073709551616", false, 0},
                 {"-1", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0},
                 {"9007199254740993", true, 9007199254740993}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_scan s;
        uint64_t value = 0;
        json_scan_begin(&s, cases[i].text, strlen(cases[i].text), NULL, 0);
        assert_int_equal(json_scan_next(&s), JSON_NUMBER);
        if (json_scan_u64(&s, &value) != cases[i].fits || value != cases[i].value) fail_msg("%s: %ju", cases[i].text, (uintmax_t)value);
    }
}

static void test_skip(void **state) {
    (void)state;
    static const char text[] = "{\"a\":{\"long string, not kept\":[1,{\"b\":[]}]},\"c\":1}";
    struct json_scan s;
    char buffer[5];
    size_t line, column;
    json_scan_begin(&s, text, strlen(text), buffer, 4);
    assert_int_equal(json_scan_next(&s), JSON_OBJECT);
    assert_int_equal(json_scan_next(&s), JSON_KEY);
    assert_int_equal(json_scan_skip(&s, json_scan_next(&s)), JSON_OBJECT_END);
    assert_int_equal(json_scan_next(&s), JSON_KEY);
    assert_string_equal(s.string, "c");
    assert_int_equal(json_scan_skip(&s, json_scan_next(&s)), JSON_NUMBER);
    assert_int_equal(json_scan_next(&s), JSON_OBJECT_END);
    json_scan_begin(&s, "{\"a\":[1,}", 9, buffer, 4);
    json_scan_next(&s), json_scan_next(&s);
    assert_int_equal(json_scan_skip(&s, json_scan_next(&s)), JSON_ERROR);
    json_scan_begin(&s, "{\n\n  \"é\"", 9, buffer, 4);
    json_scan_place(&s, 1000, &line, &column); /* the end, at most */
    json_scan_place(&s, 5, &line, &column);
    assert_true(line == 3 && column == 3);
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

static struct arena arena;

static struct json *parse(const char *text) {
    return json_parse(&arena, text, strlen(text), "dir/x.json");
}

static void test_getters(void **state) {
    (void)state;
    struct json *o = parse("{\"i\":-3,\"big\":9007199254740991,\"x\":1e-05,\"inf\":-Infinity,\"up\":Infinity,\"t\":"
                           "true,\"s\":\"é\",\"z\":null,"
                           "\"list\":[1,2,3],\"names\":[\"a\",null],\"o\":{\"inner\":4}, \"whole\": 4.0}");
    assert_int_equal(json_int(o, "i", 0, -10, 10), -3);
    assert_int_equal(json_int(o, "big", 0, 0, INT64_MAX), 9007199254740991);
    assert_int_equal(json_int(o, "whole", 0, 0, 9), 4);
    assert_int_equal(json_int(o, "absent", 7, 0, 1), 7);
    assert_int_equal(json_int(o, "z", 7, 0, 1), 7);
    assert_true(json_number(o, "x", 0, 0, 1) == 1e-5);
    assert_true(json_number(o, "inf", 0, -INFINITY, 0) == -INFINITY);
    assert_true(json_number(o, "up", 0, 0, INFINITY) == INFINITY);
    assert_true(json_bool(o, "t", false) && json_bool(o, "absent", true));
    assert_false(json_bool(o, "z", true)); /* null */
    assert_string_equal(json_string(o, "s", NULL), "é");
    assert_null(json_string(o, "z", NULL));
    assert_true(json_has(o, "z") && json_is_null(o, "z") && !json_has(o, "absent") && json_is_null(o, "absent"));
    assert_true(json_is_array(o, "list") && !json_is_array(o, "s") && !json_is_array(o, "absent"));
    assert_false(json_has(o, "I")); /* keys are case-sensitive */
    int64_t integers[3];
    double numbers[3];
    const char *names[2];
    assert_int_equal(json_int_array(o, "list", integers, 3, 1, 3, false), 3);
    assert_int_equal(integers[2], 3);
    assert_int_equal(json_int_array(o, "i", integers, 3, -3, 3, true), 1);
    assert_int_equal(integers[0], -3);
    assert_int_equal(json_int_array(o, "absent", integers, 3, 0, 1, true), -1);
    int counts[3];
    int64_t rows[3 * 2];
    static const char lists[] = "{\"l\": [1, [2, 3], [4]]}";
    struct json *nested = json_parse(&arena, lists, sizeof lists - 1, "x.json");
    assert_int_equal(json_int_lists(nested, "l", rows, counts, 3, 2, 0, 9), 3);
    assert_true(rows[0] == 1 && rows[2] == 2 && rows[3] == 3 && rows[4] == 4 && counts[0] == 0 && counts[1] == 2 && counts[2] == 1);
    assert_int_equal(json_int_lists(nested, "absent", rows, counts, 3, 2, 0, 9), -1);
    assert_dies(65, "expected lists of 1 to 1 items, found 2", json_int_lists(nested, "l", rows, counts, 3, 1, 0, 9));
    assert_dies(65, "expected an integer from 0 to 3, found 4", json_int_lists(nested, "l", rows, counts, 3, 2, 0, 3));
    assert_int_equal(json_number_array(o, "list", numbers, 3), 3);
    assert_int_equal(json_string_array(o, "names", names, 2), 2);
    assert_string_equal(names[0], "a");
    assert_null(names[1]);
    struct json *inner = json_object(&arena, o, "o");
    assert_int_equal(json_int(inner, "inner", 0, 0, 9), 4);
    assert_null(json_object(&arena, o, "z"));
    assert_int_equal(json_n_keys(o), 12);
    assert_string_equal(json_key(o, 1), "big");
    assert_string_equal(json_path(inner), "dir/x.json");
    assert_dies(65, "dir/x.json: field 'o.inner': expected a string, found 4", json_string(inner, "inner", NULL));
    arena_free(&arena);
}

static void test_getter_failures(void **state) {
    (void)state;
    struct json *o = parse("{\"half\":4.5,\"s\":\"4\",\"t\":true,\"big\":9007199254740993,\"list\":[1,2,3],\"o\":{},"
                           "\"inf\":Infinity,\"mixed\":[1,\"a\"],"
                           "\"esc\":\"\\u001b[31m\"}");
    int64_t integers[3];
    double numbers[3];
    const char *names[3];
    assert_dies(65, "dir/x.json: field 'half': expected an integer from 1 to 9, found 4.5", json_int(o, "half", 0, 1, 9));
    assert_dies(65, "field 's': expected an integer from 1 to 9, found \"4\"", json_int(o, "s", 0, 1, 9));
    assert_dies(65, "found true", json_int(o, "t", 0, 1, 9));
    assert_dies(65, "'big'", json_int(o, "big", 0, 1, INT64_MAX));
    assert_dies(65, "found a list", json_int(o, "list", 0, 1, 9));
    assert_dies(65, "found an object", json_number(o, "o", 0, 1, 9));
    assert_dies(65, "expected a number from 0 to 1, found 4.5", json_number(o, "half", 0, 0, 1));
    assert_dies(65, "found inf", json_number(o, "inf", 0, 0, 1));
    assert_dies(65, "expected true or false, found \"4\"", json_bool(o, "s", false));
    assert_dies(65, "expected a string, found 4.5", json_string(o, "half", NULL));
    assert_dies(65, "expected an object, found a list", json_object(&arena, o, "list"));
    assert_dies(65, "expected at most 2 items, found 3", json_int_array(o, "list", integers, 2, 0, 9, false));
    assert_dies(65, "expected an integer from 0 to 2, found 3", json_int_array(o, "list", integers, 3, 0, 2, false));
    assert_dies(65, "expected a list, found 4.5", json_int_array(o, "half", integers, 3, 0, 9, false));
    assert_dies(65, "expected an integer from 0 to 9, found \"a\"", json_int_array(o, "mixed", integers, 3, 0, 9, false));
    assert_dies(65, "finite", json_number_array(o, "mixed", numbers, 3));
    assert_dies(65, "expected a list of strings, found 1", json_string_array(o, "mixed", names, 3));
    assert_dies(65, "found \"\\x1b[31m\"", json_int(o, "esc", 0, 1, 9));
    arena_free(&arena);
}

static void test_documents(void **state) {
    (void)state;
    assert_dies(65, "dir/x.json: line 1 column 1: expected an object", parse("[]"));
    assert_dies(65, "line 3 column 2", parse("{\n\"a\":1,\n }"));
    assert_dies(65, "key 'a' stands twice", parse("{\"a\":1,\"a\":1}"));
    assert_dies(65, "key 'a' stands twice", parse("{\"b\":{\"a\":1,\"\\u0061\":1}}"));
    assert_dies(65, "number out of range", parse("{\"a\":1e999}"));
    assert_dies(65, "number too long", parse("{\"a\":0.1234567890123456789012345678901234567890123456789012345678901234567890}"));
    assert_dies(65, "expected a value", parse("{\"a\":NaN}"));
    assert_dies(65, "expected a value", parse("{\"a\":infinity}"));
    assert_dies(65, "expected ','", parse("{\"a\":Infinityx}"));
    assert_int_equal(json_n_keys(parse("{\"a\":{\"x\":1},\"b\":{\"x\":1}, \"A\": 1}")), 3); /* not twice in one object */
    static char many[70000] = "{\"a\":[0";
    for (int i = 0; i < 20000; i++) strcat(many + 2 * i, ",0");
    strcat(many, "]}");
    assert_dies(65, "too many values", parse(many));
    arena_free(&arena);
}

/* As many keys as there may be, each asked for by number and by name: in time that grows with their number. Where it grew with the square,
   so many rounds would take minutes, and SIGPROF ends them. */
static void test_many_keys(void **state) {
    (void)state;
    enum { N = 19900, ROUNDS = 100, CPU_SECONDS = 30 };
    char *text = arena_alloc(&arena, 24 * N), *end = text;
    for (int i = 0; i < N; i++) end += sprintf(end, "%s\"key-%d\":%d", i ? "," : "{", i * 7919 % N, i);
    strcpy(end, "}");
    struct json *o = parse(text);
    assert_int_equal(json_n_keys(o), N);
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = CPU_SECONDS}, NULL);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < N; i++) assert_true(json_int(o, json_key(o, i), -1, 0, N) == i);
    setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    assert_true(!json_has(o, "key-") && !json_has(o, "key-19900") && json_key(o, N) == NULL);
    arena_free(&arena);
}

static void test_files(void **state) {
    (void)state;
    const char *dir = temp_dir();
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/x.json", dir);
    assert_dies(66, "x.json: No such file", json_load(&arena, path));
    write_file(path, "{\"a\":1}\n", 8);
    assert_int_equal(json_int(json_load(&arena, path), "a", 0, 0, 9), 1);
    must(truncate(path, (1 << 20) + 1) == 0, path);
    assert_dies(65, "1048577 bytes, expected at most 1048576", json_load(&arena, path));
    remove_tree(dir);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_scan_errors),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_getter_failures),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
