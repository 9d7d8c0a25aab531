/* The CUDA device, emulated or real, planned again. */
#include "test/replan.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planned_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
