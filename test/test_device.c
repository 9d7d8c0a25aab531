/* The CPU device, planned again. */
#include "test/replan.h"

#include "engine/cpu/cpu.h"

static struct device *open_f32(void) {
    return cpu_device_open(DT_F32, 2);
}
static struct device *open_bf16(void) {
    return cpu_device_open(DT_BF16, 2);
}

static void test_planned_again(void **state) {
    (void)state;
    compare_with_fresh(open_f32);
    if (cpu_has_bf16()) compare_with_fresh(open_bf16);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planned_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
