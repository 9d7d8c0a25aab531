/* A resident model on the CUDA device, emulated or real. */
#include "test/resident.h"

#include "cuda/cuda.h"

static struct device *open_f16(void) {
    return cuda_device_open(DT_F16, -1);
}

static void test_requests(void **state) {
    (void)state;
    compare_with_fresh("test/fixtures/tiny-sd1", open_f16, 2);
}

/* Where a part lay, another comes to lie: nothing of the first may be left. */
static void test_offloaded(void **state) {
    (void)state;
    offloaded = 2;
    compare_with_fresh("test/fixtures/tiny-sd1", open_f16, 7);
    offloaded = 0;
    compare_broken_off("test/fixtures/tiny-sd1", open_f16);
}

static struct device *open_f32(void) {
    return cuda_device_open(DT_F32, -1);
}

/* Our own kernels sum alike whatever the batch is, as far as no product is cut up by its number of rows: in f32, without cuBLASLt. The
 * program relies on it for nothing (images_alone), but what is drawn at once has to be right. */
static void test_together(void **state) {
    (void)state;
    struct settings s = first_settings("test/fixtures/tiny-sd1");
    struct device *device = open_f32();
    assert_false(device->images_alone);
    s.scheduler = "euler_a";
    s.guidance_rescale = 0.7;
    s.height = 24;
    s.count = 3;
    compare_together(&s, device, 3);
}

static void test_remembered(void **state) {
    (void)state;
    compare_remembered("test/fixtures/tiny-sd1", open_f16);
}

static void test_failures(void **state) {
    (void)state;
    compare_after_failures("test/fixtures/tiny-sd1", open_f16);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests), cmocka_unit_test(test_offloaded), cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_remembered), cmocka_unit_test(test_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
