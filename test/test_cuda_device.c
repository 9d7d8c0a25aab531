/* The CUDA device, emulated or real: planned again, and on ranges of tokens. */
#include "test/replan.h"
#include "test/tokens.h"

#include "cuda/cuda.h"

static struct device *open_f32(void) {
    return cuda_device_open(DT_F32, -1);
}
static struct device *open_f16(void) {
    return cuda_device_open(DT_F16, -1);
}

static void test_planned_again(void **state) {
    (void)state;
    compare_with_fresh(open_f32);
    compare_with_fresh(open_f16);
}

static void test_token_ranges(void **state) {
    (void)state;
    /* an image at a time or all at once: the same sums, at most in another order */
    compare_ranges(open_f32, 2e-6);
    compare_ranges(open_f16, 0x1p-10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_token_ranges), cmocka_unit_test(test_planned_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
