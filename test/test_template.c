#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "cli/template.h"
#include "engine/base/error.h"

static struct arena arena;
static struct job job;

static const struct template_fields plain = {.seed = 42,
                                             .n = 3,
                                             .prompt = "A Red  Fox!",
                                             .model = "org/sd-1.5@main",
                                             .scheduler = "dpm++2m",
                                             .steps = 20,
                                             .width = 512,
                                             .height = 768};

static void expect_resolved(const char *output, int count, const char *want) {
    if (!job_enter(&job)) fail_msg("%s: %s", output ? output : "(none)", job.message);
    assert_string_equal(template_resolve(&arena, output, count), want);
    job_leave(&job);
}

static void expect_refused(const char *output, const char *message) {
    if (job_enter(&job)) {
        const char *got = template_resolve(&arena, output, 1);
        job_leave(&job);
        fail_msg("%s: accepted as %s", output, got);
    }
    assert_int_equal(job.code, FAIL_USAGE);
    assert_string_equal(job.message, message);
}

static const char *expand(const char *template, const struct template_fields *fields) {
    if (!job_enter(&job)) return NULL;
    const char *path = template_expand(&arena, template, fields);
    job_leave(&job);
    return path;
}

static void expect_expanded(const char *template, const char *want) {
    const char *path = expand(template, &plain);
    if (!path) fail_msg("%s: %s", template, job.message);
    assert_string_equal(path, want);
}

static void test_resolve(void **state) {
    (void)state;
    expect_resolved(NULL, 1, "diffuse-{seed}.png");
    expect_resolved(NULL, 9, "diffuse-{seed}.png");
    expect_resolved("dir/", 9, "dir/diffuse-{seed}.png");
    expect_resolved("/", 1, "/diffuse-{seed}.png");
    expect_resolved("a.png", 1, "a.png");
    expect_resolved("a.png", 2, "a-{seed}.png");
    expect_resolved("a.b/c", 2, "a.b/c-{seed}");
    expect_resolved(".png", 2, ".png-{seed}");
    expect_resolved("{steps}.png", 2, "{steps}-{seed}.png");
    expect_resolved("{{seed}.png", 2, "{{seed}-{seed}.png");
    expect_resolved("{n}.png", 2, "{n}.png");
    expect_resolved("{seed}/a.png", 2, "{seed}/a.png");
    expect_resolved("a.PNG", 1, "a.PNG");
}

static void test_refused(void **state) {
    (void)state;
    expect_refused("{foo}.png", "--output: unknown field '{foo}'");
    expect_refused("{}.png", "--output: unknown field '{}'");
    expect_refused("{seedx}", "--output: unknown field '{seedx}'");
    expect_refused("{SEED}", "--output: unknown field '{SEED}'");
    expect_refused("a{", "--output: '{': expected '}'");
    expect_refused("a{seed", "--output: '{seed': expected '}'");
    expect_refused("a.gif", "--output: 'a.gif': expected a name ending in .png, .jpg or .webp");
    expect_refused("a.Tiff", "--output: 'a.Tiff': expected a name ending in .png, .jpg or .webp");
}

static void test_fields(void **state) {
    (void)state;
    expect_expanded("diffuse-{seed}.png", "diffuse-42.png");
    expect_expanded("{n}-{steps}-{w}x{h}", "3-20-512x768");
    expect_expanded("{slug}", "a-red-fox");
    expect_expanded("{model}/{scheduler}", "sd-1.5/dpm++2m");
    expect_expanded("{{seed}}{{{{", "{seed}}{{");
    expect_expanded("}%s%n", "}%s%n");
    assert_string_equal(expand("{slug}-{model}-{scheduler}", &(struct template_fields){.seed = 1}), "untitled-_-_");
    char name[301] = "";
    memset(name, 'm', 300);
    const char *path = expand("{model}", &(struct template_fields){.model = name});
    assert_true(strlen(path) == 255 && strspn(path, "m") == 255);
}

static void expect_slug(const char *prompt, const char *want) {
    struct template_fields fields = plain;
    fields.prompt = prompt;
    assert_string_equal(expand("{slug}", &fields), want);
}

static void test_slug(void **state) {
    (void)state;
    char many[1000] = "", cut[400] = "";
    for (int i = 0; i < 100; i++)
        strcat(many, "\xe2\x82\xac"
                     "\xc3\xa9"); /* a currency sign is no letter */
    for (int i = 0; i < 20; i++) strcat(strcat(cut, i ? "-" : ""), "\xc3\xa9");
    expect_slug("", "untitled");
    expect_slug("  ../../etc/passwd\n", "etc-passwd");
    expect_slug("-rf \x1b[31m", "rf-31m");
    expect_slug("I\xc4\xb0 \xe7\x8c\xab, cat", "i\xc4\xb0-\xe7\x8c\xab-cat"); /* only ASCII is lowered, whatever the locale */
    expect_slug("a/b\\c:d*e", "a-b-c-d-e");
    expect_slug(many, cut);
    memset(many, 'a', 61), many[61] = 0;
    memset(cut, 'a', 60), cut[60] = 0;
    expect_slug(many, cut);
    expect_slug("\xe2\x80\xae"
                "evil\xe2\x80\xae",
                "evil"); /* right-to-left override */
}

static void expect_model(const char *model, const char *want) {
    struct template_fields fields = plain;
    fields.model = model;
    assert_string_equal(expand("{model}", &fields), want);
}

static void test_model(void **state) {
    (void)state;
    expect_model("/models/my model/", "my_model");
    expect_model("sd15", "sd15");
    expect_model("org/name", "name");
    expect_model("org/name@refs/pr/1", "1"); /* a revision with slashes looks like a path; still a safe name */
    expect_model("..", "_.");
    expect_model(".", "_");
    expect_model("-x", "_x");
    expect_model("/", "_");
    expect_model("", "_");
    expect_model("a\nb\xff", "a_b_");
}

static void test_lengths(void **state) {
    (void)state;
    char *long_name = calloc(1, 70000);
    memset(long_name, 'a', 255);
    assert_non_null(expand(long_name, &plain));
    memset(long_name, 'a', 256);
    assert_null(expand(long_name, &plain));
    assert_int_equal(job.code, FAIL_USAGE);
    strcpy(long_name + 250, "{seed}/{seed}");
    assert_non_null(expand(long_name, &plain));
    for (int i = 0; i < 10000; i++) memcpy(long_name + 6 * i, "{seed}", 6);
    long_name[60000] = 0;
    assert_null(expand(long_name, &plain));
    assert_int_equal(job.code, FAIL_USAGE);
    assert_non_null(strstr(job.message, "longer than 4095 bytes"));
    free(long_name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve), cmocka_unit_test(test_refused), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_slug),    cmocka_unit_test(test_model),   cmocka_unit_test(test_lengths),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
