/* A resident model on the CPU. */
#include "test/resident.h"
#include "test/synthetic.h"

#include <stdio.h>
#include <unistd.h>
#include "cli/option_table.h"
#include "cli/together.h"
#include "engine/cpu/cpu.h"

static struct device *open_f32(void) {
    return cpu_device_open(DT_F32, 2);
}
static struct device *open_bf16(void) {
    return cpu_device_open(DT_BF16, 2);
}

static void test_requests(void **state) {
    (void)state;
    compare_with_fresh("test/fixtures/tiny-sd1", open_f32, 1);
    compare_with_fresh("test/fixtures/tiny-sd2", open_f32, 1);
    if (cpu_has_bf16()) compare_with_fresh("test/fixtures/tiny-sd1", open_bf16, 1);
}

/* Base and refiner share a device: what one prepares there is lost when the other draws. */
static void test_refined(void **state) {
    (void)state;
    cJSON *fixture = read_fixture("xl-refined");
    char *dir = strdup(temp_dir()), *second = strdup(path_in(dir, "refiner"));
    write_checkpoint(dir, fixture);
    compare_with_fresh(dir, open_f32, 1);
    compare_all_together(dir, open_f32);
    refiner = second;
    compare_with_fresh(dir, open_f32, 1);
    compare_all_together(dir, open_f32);
    refiner = NULL;
    remove_tree(dir);
    free(dir);
    free(second);
    cJSON_Delete(fixture);
}

/* A part of the model at a time in memory: always, and in turn with all of it. */
static void test_offloaded(void **state) {
    (void)state;
    cJSON *fixture = read_fixture("xl-refined");
    char *dir = strdup(temp_dir()), *second = strdup(path_in(dir, "refiner"));
    write_checkpoint(dir, fixture);
    for (offloaded = 1; offloaded <= 2; offloaded++) {
        compare_with_fresh("test/fixtures/tiny-sd1", open_f32, 1);
        refiner = second;
        compare_with_fresh(dir, open_f32, 1);
        refiner = NULL;
    }
    offloaded = 0;
    compare_broken_off("test/fixtures/tiny-sd1", open_f32);
    refiner = second;
    compare_broken_off(dir, open_f32);
    refiner = NULL;
    compare_little_memory(dir, open_f32);
    remove_tree(dir);
    free(dir);
    free(second);
    cJSON_Delete(fixture);
}

static void test_remembered(void **state) {
    (void)state;
    compare_remembered("test/fixtures/tiny-sd1", open_f32);
    if (cpu_has_bf16()) compare_remembered("test/fixtures/tiny-sd1", open_bf16);
    compare_pushed_out("test/fixtures/tiny-sd1", open_f32);
}

static void test_failures(void **state) {
    (void)state;
    compare_after_failures("test/fixtures/tiny-sd1", open_f32);
}

static void test_together(void **state) {
    (void)state;
    compare_all_together("test/fixtures/tiny-sd1", open_f32);
    compare_all_together("test/fixtures/tiny-sd2", open_f32);
    compare_beside_flawed("test/fixtures/tiny-sd1", open_f32);
}

/* Tasks, their files beside the checkpoint, and what else of a request the pictures share. */
static void test_tasks_together(void **state) {
    (void)state;
    static const struct {
        const char *fixture, *image, *mask;
        int mask_crop;
    } tasks[] = {
        {"image-to-image", "in.png", NULL, -1},     {"inpaint", "in.png", "mask.png", -1},  {"inpaint", "in.png", "mask.png", 8},
        {"inpaint-nine", "in.png", "mask.png", -1}, {"depth-to-image", "in.png", NULL, -1}, {"instruct-pix2pix", "in.png", NULL, -1},
        {"safety-checker", NULL, NULL, -1},         {"told-guidance", NULL, NULL, -1},      {"grey", NULL, NULL, -1}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        cJSON *fixture = read_fixture(tasks[i].fixture);
        char *dir = strdup(temp_dir()), *image = strdup(path_in(dir, "%s", tasks[i].image ? tasks[i].image : "")),
             *mask = strdup(path_in(dir, "%s", tasks[i].mask ? tasks[i].mask : ""));
        write_checkpoint(dir, fixture);
        struct settings s = first_settings(dir);
        s.scheduler = i % 2 ? "euler_a" : NULL;
        if (tasks[i].image) s.image = image, s.strength = NAN, s.image_guidance = NAN;
        if (tasks[i].mask) s.mask = mask;
        if (!strcmp(tasks[i].fixture, "grey")) s.prompt = NULL, s.guidance = NAN;
        s.mask_crop_given = tasks[i].mask_crop >= 0;
        s.mask_crop = tasks[i].mask_crop;
        compare_together(&s, open_f32(), 3);
        remove_tree(dir);
        free(dir), free(image), free(mask);
        cJSON_Delete(fixture);
    }
}

/* What together_plan says of a request. */
static const char *said(struct arena *a, struct request *r, const struct options *o) {
    enum { SAID_MAX = 4096 };
    char *text = arena_alloc(a, SAID_MAX);
    FILE *file = tmpfile();
    int err = dup(STDERR_FILENO);
    assert_true(file && err >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    together_plan(r, o);
    dup2(err, STDERR_FILENO);
    close(err);
    rewind(file);
    text[fread(text, 1, SAID_MAX - 1, file)] = 0;
    fclose(file);
    return text;
}

/* Of several pictures as many are drawn at once as fit beside the weights, each taken for as much as one alone; fewer than were asked for
 * is told. A byte less than for so many, and it is one less. */
static void test_little_memory(void **state) {
    (void)state;
    enum { COUNT = 7 };
    struct arena a = {0};
    struct settings s = first_settings("test/fixtures/tiny-sd1");
    struct request *r = open_request(&a, &s, open_f32());
    struct memory_plan one = model_memory(r->model);
    uint64_t each = one.activations + one.scratch;
    model_close(r->model);
    s.count = COUNT;
    for (int n = 1; n <= COUNT; n++)
        for (int i = 0; i < 6; i++) {
            s.batch_size = i % 2 ? COUNT : 0;
            struct options o = {.settings = s, .verbose = i % 2 == 0};
            struct model *m = model_open_both(&a, &s);
            model_use(m, open_f32());
            m->device->memory_free = little_memory;
            few_bytes = i < 4 ? one.weights + (size_t)n * each + (i < 2 ? 0 : each - 1) : 0; /* of 0 nothing is known */
            r = request_open(&a, m, &s);
            const char *text = said(&a, r, &o), *told = arena_printf(&a, "pictures drawn at once: %d\n", few_bytes ? n : COUNT);
            assert_int_equal(r->pictures, few_bytes ? n : COUNT);
            assert_false(m->stages->on);
            if (o.verbose) assert_non_null(strstr(text, told));
            else if (r->pictures == COUNT) assert_string_equal(text, "");
            else
                assert_string_equal(
                    text, arena_printf(&a, "diffuse: warning: --batch-size %d: pictures drawn at once: %d: memory is short\n", COUNT, n));
            model_close(m);
        }
    arena_free(&a);
}

/* Plans that are no more than asked for: none where the last was of the same shape. */
static void test_forecasts(void **state) {
    (void)state;
    struct arena a = {0};
    struct settings s = first_settings("test/fixtures/tiny-sd1");
    s.height = s.width = 64;
    struct model *m = open_request(&a, &s, open_f32())->model;
    const int widths[] = {64, 64, 32, 32, 64}, plans[] = {1, 1, 2, 2, 3};
    for (int i = 0; i < 5; i++) {
        s.seed = (uint64_t)i;
        s.width = widths[i];
        request_plan(request_open(&a, m, &s));
        assert_int_equal(m->n_plans, plans[i]);
    }
    model_close(m);
    arena_free(&a);
}

/* What was planned and never loaded is forgotten, and with it not how the weights lie that are there. */
static void test_planned_between(void **state) {
    (void)state;
    struct arena a = {0};
    struct settings s = first_settings("test/fixtures/tiny-sd1");
    const int sizes[] = {16, 24, 128, 16, 128};
    struct model *m = model_open_both(&a, &s);
    model_use(m, open_f32());
    for (int i = 0; i < 5; i++) {
        s.width = s.height = sizes[i];
        struct request *r = request_open(&a, m, &s);
        request_plan(r);
        if (i % 4) continue;
        model_load(m);
        size_t n, n_fresh;
        uint8_t *rgb = pixels_new(&a, r, &n), *fresh = draw_fresh(&a, &s, open_f32(), &n_fresh);
        draw(r, 0, rgb);
        assert_int_equal(n, n_fresh);
        assert_memory_equal(rgb, fresh, n);
    }
    model_close(m);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests),       cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_tasks_together), cmocka_unit_test(test_refined),
                                       cmocka_unit_test(test_offloaded),      cmocka_unit_test(test_remembered),
                                       cmocka_unit_test(test_failures),       cmocka_unit_test(test_little_memory),
                                       cmocka_unit_test(test_forecasts),      cmocka_unit_test(test_planned_between)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
