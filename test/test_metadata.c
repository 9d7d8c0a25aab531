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
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "schedulers/scheduler.h"

static struct arena arena;

static struct settings settings;
static struct metadata plain;

static int set_up(void **state) {
    (void)state;
    settings = (struct settings){
        .prompt = "a squirrel", .model = "/home/me/sd15/", .steps = 20, .width = 512, .height = 768, .clip_skip = -1, .guidance = 7.5};
    plain = (struct metadata){
        .settings = &settings, .seed = UINT64_MAX, .scheduler_class = "PNDMScheduler", .sampler = "PLMS", .dtype = "fp32", .device = "cpu"};
    return 0;
}

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
    settings.prompt = "line one\nline two: with, marks";
    settings.negative = "ugly";
    m.sampler = "Euler";
    m.schedule_type = "Karras";
    settings.clip_skip = 1;
    settings.rng = RNG_CUDA;
    settings.eta = 0.25;
    settings.guidance = 7;
    m.seed = 7;
    assert_string_equal(metadata_infotext(&arena, &m),
                        "line one\nline two: with, marks\n"
                        "Negative prompt: ugly\n"
                        "Steps: 20, Sampler: Euler, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 512x768, "
                        "Model: sd15, Clip skip: 2, Eta DDIM: 0.25, Version: diffuse 0.1.0");
    settings.prompt = settings.negative = "";
    assert_int_equal(strncmp(metadata_infotext(&arena, &m), "Steps: 20", 9), 0);
}

static void test_infotext_quotes(void **state) {
    (void)state;
    struct metadata m = plain;
    settings.model = "x/my: \"model\", v\\1\n";
    assert_non_null(strstr(metadata_infotext(&arena, &m), ", Model: \"my: \\\"model\\\", v\\\\1\\n\", RNG: CPU"));
    settings.model = "x/a \"quoted\" name";
    assert_non_null(strstr(metadata_infotext(&arena, &m), ", Model: a \"quoted\" name, RNG: CPU"));
    settings.model = "x/b\xff";
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
    settings.model = "a, b: c \"d\"";
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
    struct image_comment comments[METADATA_COMMENTS_MAX];
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
    settings.prompt = "\"a\\b\"\n\t\x01\x7f\xc2\x9b \xf0\x9f\x90\xbf \xff";
    settings.model = "org/name";
    m.revision = "abc";
    settings.rng = RNG_CUDA;
    settings.rng_gpu = (struct rng_gpu){108, 2048};
    settings.rng_dtype = DT_F16;
    settings.guidance = 0.1;
    const char *text = comment(&m, "full", "diffuse", &n);
    for (const char *s = text; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) fail_msg("byte %d of the JSON is a control character", (int)(s - text));
    assert_non_null(strstr(text, "\"prompt\":\"\\\"a\\\\b\\\"\\n\\t\\u0001\\u007f\\u009b \xf0\x9f\x90\xbf \xef\xbf\xbd\""));
    assert_non_null(strstr(text, "\"seed\":18446744073709551615,"));
    cJSON *o = cJSON_ParseWithOpts(text, NULL, 1);
    assert_non_null(o);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "model")), "org/name");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "sampler")), "PLMS");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "rng")), "cuda:108");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "rng_dtype")), "fp16");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "guidance")) == 0.1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "negative")));
    assert_int_equal(cJSON_GetObjectItem(o, "clip_skip")->valueint, 0);
    cJSON_Delete(o);
}

/* ---- settings from JSON ------------------------------------------------------------------------------------------ */

static struct settings read_settings(const char *text) {
    struct settings s = settings_defaults(&arena);
    settings_from_json(&arena, &s, json_parse_line(&arena, text, strlen(text), "jobs: line 3"), NULL);
    return s;
}

static void expect_refused(const char *text, int code, const char *message) {
    struct job job;
    if (job_enter(&job)) {
        read_settings(text);
        job_leave(&job);
        fail_msg("%s is taken", text);
    }
    if (job.code != code || strcmp(job.message, message))
        fail_msg("%s:\n got  %d %s\n want %d %s", text, job.code, job.message, code, message);
}

static void test_settings_from_json(void **state) {
    (void)state;
    struct settings s =
        read_settings("{\"prompt\":\"a cat\",\"negative\":null,\"seed\":9007199254740991,\"steps\":7,\"guidance\":2.5,"
                      "\"guidance_rescale\":0.25,\"width\":64,\"height\":72,\"scheduler\":\"euler:karras\",\"rng\":\"cuda:40\","
                      "\"rng-dtype\":\"bf16\",\"clip_skip\":2,\"vae-dtype\":\"fp16\",\"strict\":true}");
    assert_string_equal(s.prompt, "a cat");
    assert_null(s.negative);
    assert_true(s.seed_given && s.seed == 9007199254740991u && s.steps == 7 && s.guidance == 2.5 && s.guidance_rescale == 0.25);
    assert_true(s.width == 64 && s.height == 72 && s.rng == RNG_CUDA && s.rng_gpu.n_sms == 40 && s.rng_dtype == DT_BF16 &&
                s.clip_skip == 2);
    assert_string_equal(s.scheduler, "euler:karras");
    assert_true(s.vae_dtype_given && s.vae_dtype == DT_F16 && s.strict);
    s = read_settings("{\"prompt\":\"\\\"seed\\\":1\",\"seed\":9007199254740993}");
    assert_true(s.seed == 9007199254740993u); /* no double */
    s = read_settings("{\"seed\":18446744073709551615}");
    assert_true(s.seed == UINT64_MAX);
    s = read_settings("{\"seed\":\"18446744073709551615\",\"size\":\"64x72\",\"strict\":false}");
    assert_true(s.seed == UINT64_MAX && s.width == 64 && s.height == 72 && !s.strict);
    s = read_settings("{}");
    assert_true(isnan(s.guidance) && s.count == 1 && s.rng_gpu.n_sms == 0 && !s.seed_given && !s.prompt && s.width == 0);
}

static void test_bad_settings_in_json(void **state) {
    (void)state;
    expect_refused("{\"setps\":7}", FAIL_DATA, "jobs: line 3 column 2: unknown key \"setps\"");
    expect_refused("{\"dtype\":\"fp16\"}", FAIL_DATA, "jobs: line 3 column 2: unknown key \"dtype\"");
    expect_refused(" {\t\"prompt\": \"{\\\",\" , \"negative\":[],\"stre\\u006egth\":{\"a\":1}}", FAIL_DATA,
                   "jobs: line 3 column 23: field 'negative': expected a string, found a list");
    expect_refused("{\"lora\":[\"a\",{}],\"x\":[1,[2]]}", FAIL_DATA,
                   "jobs: line 3 column 2: field 'lora': expected a list of strings, found an object");
    expect_refused("{\"lora\":[\"a,\",\"}\"] ,\"\\u0078\":1}", FAIL_DATA, "jobs: line 3 column 21: unknown key \"x\"");
    expect_refused("{\"prompt\":7}", FAIL_DATA, "jobs: line 3 column 2: field 'prompt': expected a string, found 7");
    expect_refused("{\"guidance\":[1]}", FAIL_DATA, "jobs: line 3 column 2: field 'guidance': expected a number, found a list");
    expect_refused("{\"strict\":1}", FAIL_DATA, "jobs: line 3 column 2: field 'strict': expected true or false, found 1");
    expect_refused("{\"steps\":0}", FAIL_USAGE, "jobs: line 3 column 2: steps: expected a whole number from 1 to 1000000, found '0'");
    expect_refused("{\"steps\":1.5}", FAIL_USAGE, "jobs: line 3 column 2: steps: expected a whole number from 1 to 1000000, found '1.5'");
    expect_refused("{\"steps\":\"x\"}", FAIL_USAGE, "jobs: line 3 column 2: steps: expected a whole number from 1 to 1000000, found 'x'");
    expect_refused("{\"guidance\":-1}", FAIL_USAGE, "jobs: line 3 column 2: guidance: expected a number from 0 to 100, found '-1'");
    expect_refused("{\"seed\":18446744073709551616}", FAIL_USAGE,
                   "jobs: line 3 column 2: seed: expected a whole number from 0 to 18446744073709551615, found '18446744073709551616'");
    expect_refused("{\"seed\":1e20}", FAIL_USAGE,
                   "jobs: line 3 column 2: seed: expected a whole number from 0 to 18446744073709551615, found '1e20'");
    expect_refused("{\"height\":64,\"size\":\"64x64\"}", FAIL_DATA, "jobs: line 3 column 2: size and height: expected one of them");
    expect_refused("{\"size\":\"64x64\",\"width\":64}", FAIL_DATA, "jobs: line 3 column 17: size and width: expected one of them");
    expect_refused("{\"rng\":\"gpuu\"}", FAIL_USAGE, "jobs: line 3 column 2: rng: expected cpu or cuda, found 'gpuu'");
    expect_refused("{\"scheduler\":\"eulr\"}", FAIL_USAGE, "jobs: line 3 column 2: scheduler: unknown scheduler 'eulr'");
}

/* What is recorded can be asked for again: every recorded row comes back as it was. */
static void comes_back(const char *text) {
    struct settings s = read_settings(text);
    struct json_out j = {.text.arena = &arena};
    json_out_open(&j, NULL, '{');
    settings_write(&j, &s);
    json_out_close(&j, '{');
    assert_string_equal(j.text.data, text);
}

/* What is about a picture to begin from is only told of pictures that did. */
static void test_settings_come_back(void **state) {
    (void)state;
    comes_back(
        "{\"prompt\":\"a\",\"negative\":\"b\",\"seed\":3,\"steps\":4,\"guidance\":5.5,\"guidance_rescale\":0.5,"
        "\"width\":64,\"height\":72,\"scheduler\":\"ddim\",\"eta\":0.5,\"clip_skip\":1,\"rng\":\"cuda:7x1024\","
        "\"rng_dtype\":\"fp16\",\"latents\":\"c\",\"lora_lenient\":false,\"config\":null,\"vae\":null,\"variant\":\"d\",\"vae_dtype\":\"bf16\"}");
    comes_back(
        "{\"prompt\":\"a\",\"negative\":null,\"seed\":3,\"steps\":4,\"guidance\":5.5,\"guidance_rescale\":0,\"width\":64,"
        "\"height\":72,\"scheduler\":null,\"eta\":0,\"clip_skip\":0,\"rng\":\"cpu\",\"rng_dtype\":\"fp32\",\"image\":\"x.png\","
        "\"strength\":0.5,\"mask\":\"m.png\",\"depth\":null,\"image_guidance\":null,\"invert_mask\":true,\"mask_blur\":2,\"resize\":\"crop\",\"latents\":null,\"lora_lenient\":false,\"config\":null,\"vae\":null,"
        "\"variant\":null}");
}

/* A1111's words for the schedulers, and for what their options make of them. */
static void test_sampler_names(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"pndm", "PLMS", NULL},
        {"ddim", "DDIM", NULL},
        {"ddpm", "DDPM", NULL},
        {"euler", "Euler", NULL},
        {"euler_a", "Euler a", NULL},
        {"heun", "Heun", NULL},
        {"lms", "LMS", NULL},
        {"kdpm2", "DPM2", NULL},
        {"kdpm2_a", "DPM2 a", NULL},
        {"dpm++2m", "DPM++ 2M", NULL},
        {"dpm++2s", "DPM++ 2S", NULL},
        {"unipc", "UniPC", NULL},
        {"deis", "DEIS", NULL},
        {"lcm", "LCM", NULL},
        {"tcd", "TCD", NULL},
        {"EDMEulerScheduler", "Euler", "Karras"},
        {"EDMDPMSolverMultistepScheduler,sigma_schedule=exponential", "DPM++ 2M", "Exponential"},
        {"dpm++2m,karras", "DPM++ 2M", "Karras"},
        {"euler,exponential", "Euler", "Exponential"},
        {"dpm++2m,beta", "DPM++ 2M", "Beta"},
        {"dpm++2m,algorithm_type=sde-dpmsolver++,karras", "DPM++ 2M SDE", "Karras"},
        {"dpm++2m,algorithm_type=sde-dpmsolver++,solver_order=3", "DPM++ 3M SDE", NULL},
        {"dpm++2m,algorithm_type=dpmsolver", "DPMSolverMultistepScheduler", NULL},
        {"dpm++2s,algorithm_type=sde-dpmsolver++", "DPM++ SDE", NULL},
    };
    for (int i = 0; schedulers[i]; i++) assert_non_null(schedulers[i]->sampler);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *overrides[8] = {NULL};
        char *rest = arena_strdup(&arena, cases[i][0]), *name = strsep(&rest, ",");
        for (int n = 0; rest; n++) overrides[n] = strsep(&rest, ",");
        const struct scheduler *used;
        struct json *stored = json_parse(&arena, "{}", 2, "test");
        struct sched_config *config =
            sched_config_load(&arena, stored, "test", "DDIMScheduler", scheduler_find(name), FIXUP_NONE, overrides, &used);
        assert_string_equal(sched_config_sampler(config, used), cases[i][1]);
        const char *type = sched_config_schedule_type(config);
        assert_string_equal(type ? type : "none", cases[i][2] ? cases[i][2] : "none");
    }
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
        cmocka_unit_test_setup(test_infotext, set_up),
        cmocka_unit_test_setup(test_infotext_quotes, set_up),
        cmocka_unit_test_setup(test_infotext_is_read_back, set_up),
        cmocka_unit_test_setup(test_json, set_up),
        cmocka_unit_test_setup(test_levels, set_up),
        cmocka_unit_test_setup(test_numbers, set_up),
        cmocka_unit_test(test_settings_from_json),
        cmocka_unit_test(test_bad_settings_in_json),
        cmocka_unit_test(test_settings_come_back),
        cmocka_unit_test(test_sampler_names),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
