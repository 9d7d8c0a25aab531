/* The CPU device: planned again, and on ranges of tokens. */
#include "test/replan.h"
#include "test/tokens.h"
#include "test/isas.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/count_device.h"
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

/* What the contract of ops.h does not allow ends the program on every device, the one that counts included. */
static bool dies(struct device *dev, int c_out, enum dtype dtype) {
    struct token_weight *w = calloc(N_WEIGHTS, sizeof *w);
    token_weights(w);
    struct view x = view_alloc(dev, 1, 4, 4, CHANNELS), y = view_alloc_as(dev, dtype, 1, 4, 4, c_out);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        signal(SIGABRT, SIG_DFL);
        dev->ops->conv2d(dev, y, x, &w[5].w, NULL, no_view, no_view, CONV_3X3);
        _exit(0);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    dev->close(dev);
    free(w);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_shapes_checked(void **state) {
    (void)state;
    assert_false(dies(count_device_open(DT_F32), CHANNELS, DT_F32));
    assert_true(dies(count_device_open(DT_F32), CHANNELS + 1, DT_F32));
    assert_true(dies(count_device_open(DT_F32), CHANNELS, DT_BF16));
    assert_true(dies(open_f32(), CHANNELS + 1, DT_F32));
}

static void test_token_ranges(void **state) {
    (void)state;
    /* an image at a time or all at once: the same sums, at most in another order */
    compare_ranges(open_f32, 2e-6);
    if (cpu_has_bf16()) compare_ranges(open_bf16, 0x1p-7);
}

static int run_group(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_token_ranges), cmocka_unit_test(test_shapes_checked),
                                       cmocka_unit_test(test_planned_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return with_each_isa(run_group);
}
