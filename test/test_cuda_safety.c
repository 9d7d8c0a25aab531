/* The safety checker on the CUDA device, emulated or real, in half precision. */
#include "test/scenes.h"
#include "test/synthetic.h"

#include "cuda/cuda.h"
#include "engine/pipelines/safety.h"

static int n_taps;

static void expect_half(struct device *dev, const char *name, struct view y) {
    (void)dev;
    if (y.dtype != DT_F16) fail_msg("%s: %s", name, dtype_table[y.dtype].name);
    n_taps++;
}

/* Its picture is of the pipeline's type, as clip_input.to(dtype) makes it, and so is all behind it. */
static void test_checker_type(void **state) {
    (void)state;
    struct arena a = {0};
    cJSON *fixture = read_fixture("safety-checker");
    const char *dir = arena_strdup(&a, temp_dir());
    write_checkpoint(dir, fixture);
    struct settings settings = {.model = dir,
                                .prompt = "a red house",
                                .seed = 3,
                                .count = 1,
                                .steps = 1,
                                .guidance = NAN,
                                .clip_skip = -1,
                                .width = 16,
                                .height = 16};
    struct request *r = open_request(&a, &settings, cuda_device_open(DT_F16, -1));
    size_t n;
    uint8_t *rgb = pixels_new(&a, r, &n);
    draw(r, 0, rgb);
    r->model->device->tap = expect_half;
    safety_flags(r, &a, rgb);
    assert_int_equal(n_taps, r->model->safety->vision.layers.n + 4);
    model_close(r->model);
    remove_tree(dir);
    cJSON_Delete(fixture);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_checker_type)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
