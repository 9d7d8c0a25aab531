#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include "cli/metadata.h"

static struct arena arena;

static const struct metadata plain = {
    .prompt = "a squirrel",
    .model = "/home/me/sd15/",
    .scheduler_class = "PNDMScheduler",
    .steps = 20,
    .width = 512,
    .height = 768,
    .clip_skip = -1,
    .guidance = 7.5,
    .seed = UINT64_MAX,
    .dtype = "fp32",
    .device = "cpu",
};

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static void test_infotext(void **state) {
    (void)state;
    struct metadata m = plain;
    assert_string_equal(metadata_infotext(&arena, &m),
                        "a squirrel\n"
                        "Steps: 20, Sampler: PLMS, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, Model: sd15, RNG: CPU, "
                        "Version: diffuse 0.1.0");
    m.prompt = "line one\nline two: with, marks";
    m.negative = "ugly";
    m.model_hash = "cc6cb27103417325ff94f52b7a5d2dde45a7515b25c255d8e396c90014281516";
    m.scheduler_class = "EulerDiscreteScheduler";
    m.schedule_type = "Karras";
    m.clip_skip = 1;
    m.rng = RNG_CUDA;
    m.eta = 0.25;
    m.guidance = 7;
    m.seed = 7;
    assert_string_equal(metadata_infotext(&arena, &m),
                        "line one\nline two: with, marks\n"
                        "Negative prompt: ugly\n"
                        "Steps: 20, Sampler: Euler, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 512x768, Model hash: cc6cb27103, "
                        "Model: sd15, Clip skip: 2, Eta DDIM: 0.25, Version: diffuse 0.1.0");
    m.prompt = m.negative = "";
    assert_int_equal(strncmp(metadata_infotext(&arena, &m), "Steps: 20", 9), 0);
}

static void test_infotext_quotes(void **state) {
    (void)state;
    struct metadata m = plain;
    m.model = "x/my: \"model\", v\\1\n";
    assert_non_null(strstr(metadata_infotext(&arena, &m), ", Model: \"my: \\\"model\\\", v\\\\1\\n\", RNG: CPU"));
    m.model = "x/a \"quoted\" name";
    assert_non_null(strstr(metadata_infotext(&arena, &m), ", Model: a \"quoted\" name, RNG: CPU"));
    m.model = "x/b\xff";
    assert_non_null(strstr(metadata_infotext(&arena, &m), ", Model: \"b\xef\xbf\xbd\", RNG: CPU"));
}

/* The reader's own regular expression (parse_generation_parameters) finds every pair again. */
static void test_infotext_is_read_back(void **state) {
    (void)state;
    static const char *const want[][2] = {
        {"Steps", "20"},      {"Sampler", "PLMS"},
        {"CFG scale", "7.5"}, {"Seed", "18446744073709551615"},
        {"Size", "512x768"},  {"Model", "\"a, b: c \\\"d\\\"\""},
        {"RNG", "CPU"},       {"Version", "diffuse 0.1.0"},
    };
    struct metadata m = plain;
    m.model = "a, b: c \"d\"";
    const char *s = strrchr(metadata_infotext(&arena, &m), '\n') + 1;
    regex_t pair;
    regmatch_t at[3];
    int n = 0;
    static const char pattern[] = "^[[:space:]]*([[:alnum:]_][[:alnum:]_ /-]+):[[:space:]]*(\"(\\\\.|[^\\\\\"])+\"|[^,]*)(,|$)";
    assert_int_equal(regcomp(&pair, pattern, REG_EXTENDED), 0);
    for (; *s && regexec(&pair, s, 3, at, 0) == 0; s += at[0].rm_eo, n++) {
        assert_true(n < 8);
        assert_string_equal(arena_printf(&arena, "%.*s", at[1].rm_eo - at[1].rm_so, s + at[1].rm_so), want[n][0]);
        assert_string_equal(arena_printf(&arena, "%.*s", at[2].rm_eo - at[2].rm_so, s + at[2].rm_so), want[n][1]);
    }
    regfree(&pair);
    assert_int_equal(n, 8);
}

static const char *comment(const struct metadata *m, const char *level, const char *keyword, int *n) {
    struct png_comment comments[METADATA_COMMENTS_MAX];
    const char *text = NULL;
    *n = metadata_comments(&arena, m, level, comments);
    for (int i = 0; i < *n; i++)
        if (!strcmp(comments[i].keyword, keyword)) text = comments[i].text;
    return text;
}

static void test_json(void **state) {
    (void)state;
    struct metadata m = plain;
    int n;
    m.prompt = "\"a\\b\"\n\t\x01\x7f\xc2\x9b \xf0\x9f\x90\xbf \xff";
    m.model = "org/name";
    m.revision = "abc";
    m.rng = RNG_CUDA;
    m.rng_sms = 108;
    m.rng_dtype = DT_F16;
    m.guidance = 0.1;
    const char *text = comment(&m, "full", "diffuse", &n);
    for (const char *s = text; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) fail_msg("byte %d of the JSON is a control character", (int)(s - text));
    assert_non_null(strstr(text, "\"prompt\":\"\\\"a\\\\b\\\"\\n\\t\\u0001\\u007f\\u009b \xf0\x9f\x90\xbf \xef\xbf\xbd\""));
    assert_non_null(strstr(text, "\"seed\":18446744073709551615,"));
    cJSON *o = cJSON_ParseWithOpts(text, NULL, 1);
    assert_non_null(o);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "model")), "org/name");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "rng")), "cuda:108");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "rng_dtype")), "fp16");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "guidance")) == 0.1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "negative")));
    assert_int_equal(cJSON_GetObjectItem(o, "clip_skip")->valueint, 0);
    cJSON_Delete(o);
}

static void test_levels(void **state) {
    (void)state;
    int n;
    assert_non_null(comment(&plain, "full", "parameters", &n));
    assert_int_equal(n, 3);
    assert_non_null(strstr(comment(&plain, "full", "XML:com.adobe.xmp", &n), "/trainedAlgorithmicMedia\""));
    assert_string_equal(comment(&plain, "minimal", "Software", &n), "diffuse 0.1.0");
    assert_non_null(comment(&plain, "minimal", "XML:com.adobe.xmp", &n));
    assert_int_equal(n, 2);
    assert_null(comment(&plain, "none", "Software", &n));
    assert_int_equal(n, 0);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0, "0"},
        {7, "7"},
        {0.1, "0.1"},
        {1e300, "1e+300"},
        {1.0 / 3, "0.3333333333333333"},
        {-2.5, "-2.5"},
        {4503599627370495.5, "4503599627370495.5"},
    };
    char text[NUMBER_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        number_text(text, cases[i].x);
        assert_string_equal(text, cases[i].text);
    }
    float_text(text, 0.1f);
    assert_string_equal(text, "0.1");
    float_text(text, 16777217.0f / 3);
    assert_string_equal(text, "5592405.5");
    struct json_out j = {.text.arena = &arena};
    json_out_open(&j, NULL, '[');
    json_out_number(&j, NULL, NAN);
    json_out_float(&j, NULL, -INFINITY);
    json_out_close(&j, '[');
    assert_string_equal(j.text.data, "[null,null]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infotext), cmocka_unit_test(test_infotext_quotes), cmocka_unit_test(test_infotext_is_read_back),
        cmocka_unit_test(test_json),     cmocka_unit_test(test_levels),          cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
