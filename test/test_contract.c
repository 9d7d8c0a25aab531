/* The contract of the ops (engine/ops.h): what each may be given, and that anything else stops the program there and not in a kernel. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/device.h"
#include "engine/ops_check.h"
#include "engine/weights.h"

enum { N = 2, H = 4, W = 6, C = 8 };

static float values[64 * N * H * W * C];

static struct view view_of(int n, int h, int w, int c) {
    return view_dense(values, DT_F32, n, h, w, c);
}

static struct view other_type(struct view v) {
    v.dtype = DT_BF16;
    return v;
}

/* Images that lie apart. */
static struct view apart(struct view v) {
    v.image *= 2;
    return v;
}

static struct weight vector(int n) {
    return (struct weight){.kind = WEIGHT_VECTOR, .rank = 1, .shape = {n}};
}

static struct weight matrix(int k, int c) {
    return (struct weight){.kind = WEIGHT_MATRIX, .rank = 2, .shape = {k, c}};
}

static struct weight filter(int k, int c, int r, int s) {
    return (struct weight){.kind = WEIGHT_CONV, .rank = 4, .shape = {k, c, r, s}};
}

/* Makes call number `which`, of those that keep the contract or of those that break it; returns how many there are. */
static int make_call(int which, bool right) {
    static const struct ops none;
    struct device device = {.own = &none}, *dev = &device;
    const struct ops *o = &ops_checked;
    int n = 0;
    struct view x = view_of(N, H, W, C), row = view_of(N, 1, 1, C), one_row = view_of(1, 1, 1, C), wide = view_of(N, H, W, 2 * C);
    struct view bad_h = x, bad_ld = x, bad_image = x, empty = x, flat = view_of(1, 1, N * H * W, C);
    bad_h.H = 0, bad_ld.ld = C - 1, bad_image.image = (size_t)H * W * C - 1, empty.N = 0;
    struct weight v = vector(C), v2 = vector(2 * C), short_v = vector(C - 1), m = matrix(C, C), m2 = matrix(2 * C, C),
                  tall = matrix(C + 1, C);
    struct weight thin = matrix(C, C - 1), f = filter(C, C, 3, 3), f1 = filter(C, C, 3, 1), f_out = filter(C + 1, C, 3, 3);
    struct weight f_in = filter(C, C + 1, 3, 3), f17 = filter(C, C, 17, 17);
    struct conv_shape same = {.stride = 1, .upsample = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}, up = same, half = same,
                      none_up = same, no_stride = same, minus[4] = {same, same, same, same}, pool = {.stride = 2, .upsample = 1};
    up.upsample = 2, half.stride = 2, none_up.upsample = 3, no_stride.stride = 0;
    minus[0].top = minus[1].left = minus[2].bottom = minus[3].right = -1;
    struct latents l = {.N = N, .H = H, .W = W, .C = C};
    struct sched_row *rows = NULL;
    uint8_t *bytes = (uint8_t *)values;
    int32_t ids[4] = {0};
#define CALL(keeps, call)                                        \
    do {                                                         \
        if (right == (keeps) && n++ == which) return o->call, n; \
    } while (0)
#define RIGHT(call) CALL(true, call)
#define WRONG(call) CALL(false, call)
    RIGHT(linear(dev, x, x, &m, &v, ACT_NONE, no_view));
    RIGHT(linear(dev, flat, x, &m, NULL, ACT_SILU, x));
    RIGHT(linear(dev, apart(x), x, &m, NULL, ACT_NONE, x));
    WRONG(linear(dev, bad_h, x, &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, bad_ld, x, &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, bad_image, x, &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, empty, x, &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, row, &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, other_type(x), &m, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &tall, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &thin, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &v, &v, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &m, &short_v, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &m, &m, ACT_NONE, no_view));
    WRONG(linear(dev, x, x, &m, &v, ACT_NONE, row));
    WRONG(linear(dev, x, x, &m, &v, ACT_NONE, other_type(x)));
    WRONG(linear(dev, x, x, &m, &v, ACT_RELU, no_view));
    WRONG(linear(dev, apart(x), flat, &m, &v, ACT_NONE, no_view));
    RIGHT(linear_geglu(dev, x, x, &m2, &v2));
    RIGHT(linear_geglu(dev, x, apart(x), &m2, &v2));
    WRONG(linear_geglu(dev, x, x, &m, &v2));
    WRONG(linear_geglu(dev, x, x, &m2, &v));
    RIGHT(conv2d(dev, x, x, &f, &v, row, x, same));
    RIGHT(conv2d(dev, apart(x), x, &f, NULL, one_row, no_view, same));
    RIGHT(conv2d(dev, view_of(N, 2 * H, 2 * W, C), x, &f, NULL, no_view, no_view, up));
    RIGHT(conv2d(dev, view_of(N, 2 * H - 1, 2 * W - 1, C), x, &f, NULL, no_view, no_view, up));
    WRONG(conv2d(dev, view_of(N, 2 * H - 2, 2 * W, C), x, &f, NULL, no_view, no_view, up));
    WRONG(conv2d(dev, view_of(N, 2 * H, 2 * W + 1, C), x, &f, NULL, no_view, no_view, up));
    RIGHT(conv2d(dev, view_of(N, H / 2, W / 2, C), x, &f, NULL, no_view, no_view, half));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, no_view, half));
    WRONG(conv2d(dev, view_of(1, H, W, C), x, &f, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &m, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f_out, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f_in, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f1, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f17, NULL, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, no_view, none_up));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, no_view, no_stride));
    for (int i = 0; i < 4; i++) WRONG(conv2d(dev, x, x, &f, NULL, no_view, no_view, minus[i]));
    WRONG(conv2d(dev, x, x, &f, &short_v, no_view, no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, view_of(3, 1, 1, C), no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, view_of(N, 2, 1, C), no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, view_of(N, 1, 2, C), no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, view_of(N, 1, 1, C - 1), no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, other_type(row), no_view, same));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, view_of(N, W, H, C), same));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, view_of(1, H, W, C), same));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, view_of(N, H, W + 1, C), same));
    WRONG(conv2d(dev, x, x, &f, NULL, no_view, wide, same));
    RIGHT(group_norm(dev, x, x, &v, &v, 4, 1e-5F, true));
    RIGHT(group_norm(dev, apart(x), x, &v, &v, 4, 1e-5F, false));
    WRONG(group_norm(dev, x, x, &v, &v, 3, 1e-5F, true));
    WRONG(group_norm(dev, x, x, &v, &v, 0, 1e-5F, true));
    WRONG(group_norm(dev, flat, x, &v, &v, 4, 1e-5F, true));
    WRONG(group_norm(dev, x, x, &v, &short_v, 4, 1e-5F, true));
    RIGHT(layer_norm(dev, flat, x, &v, &v, 1e-5F));
    RIGHT(layer_norm(dev, x, apart(x), &v, &v, 1e-5F));
    WRONG(layer_norm(dev, wide, x, &v, &v, 1e-5F));
    WRONG(layer_norm(dev, x, x, &short_v, &v, 1e-5F));
    RIGHT(attention(dev, x, x, row, row, 2, false));
    RIGHT(attention(dev, x, x, one_row, one_row, 8, false));
    WRONG(attention(dev, x, x, x, x, 3, false));
    WRONG(attention(dev, x, x, x, x, 0, false));
    WRONG(attention(dev, x, x, x, row, 2, false));
    WRONG(attention(dev, x, x, view_of(3, 1, 4, C), view_of(3, 1, 4, C), 2, false));
    WRONG(attention(dev, flat, x, x, x, 2, false));
    WRONG(attention(dev, x, x, wide, wide, 2, false));
    WRONG(attention(dev, x, x, other_type(x), other_type(x), 2, false));
    RIGHT(embed(dev, view_of(1, 1, 4, C), ids, &m, &m));
    RIGHT(embed(dev, view_of(1, 1, 4, C), ids, &m, NULL));
    WRONG(embed(dev, x, ids, &m, NULL));
    WRONG(embed(dev, view_of(1, 1, 4, C), ids, &thin, NULL));
    WRONG(embed(dev, view_of(1, 1, C + 1, C), ids, &m, &m));
    RIGHT(timestep_embed(dev, one_row, values, true, 0));
    WRONG(timestep_embed(dev, view_of(1, 1, 1, 7), values, true, 0));
    WRONG(timestep_embed(dev, row, values, true, 0));
    RIGHT(silu(dev, flat, x));
    RIGHT(silu(dev, x, apart(x)));
    WRONG(silu(dev, wide, x));
    RIGHT(modulate(dev, x, x, row, one_row, ACT_NONE));
    RIGHT(modulate(dev, apart(x), x, no_view, row, ACT_SILU));
    WRONG(modulate(dev, x, x, x, no_view, ACT_NONE));
    WRONG(modulate(dev, x, x, no_view, x, ACT_NONE));
    WRONG(modulate(dev, x, x, row, row, ACT_QUICK_GELU));
    RIGHT(add(dev, x, x, flat, 1));
    RIGHT(add(dev, x, apart(x), x, 1));
    WRONG(add(dev, x, apart(x), flat, 1));
    WRONG(add(dev, x, x, wide, 1));
    WRONG(add(dev, x, row, x, 1));
    RIGHT(resize(dev, view_of(N, 7, 5, C), x, INTERPOLATE_CENTERS));
    RIGHT(resize(dev, view_of(N, 7, 5, C), apart(x), INTERPOLATE_NEAREST));
    WRONG(resize(dev, view_of(1, 7, 5, C), x, INTERPOLATE_CENTERS));
    WRONG(resize(dev, wide, x, INTERPOLATE_CENTERS));
    RIGHT(max_pool(dev, view_of(N, H / 2, W / 2, C), x, 2, pool));
    RIGHT(max_pool(dev, view_of(N, H / 2, W / 2, C), apart(x), 2, pool));
    WRONG(max_pool(dev, x, x, 2, pool));
    WRONG(max_pool(dev, view_of(N, H / 2, W / 2, C), x, 0, pool));
    WRONG(max_pool(dev, view_of(N, H, W, C), x, 1, same));
    RIGHT(model_input(dev, x, values, 1));
    WRONG(model_input(dev, apart(x), values, 1));
    RIGHT(set_schedule(dev, rows, 1, 0));
    WRONG(set_schedule(dev, rows, 0, 0));
    WRONG(set_schedule(dev, rows, 1, -1));
    WRONG(set_schedule(dev, rows, 1, SCHED_HISTORY + 1));
    RIGHT(next_row(dev, row, x));
    WRONG(next_row(dev, row, wide));
    RIGHT(row_input(dev, x, &l, 1));
    WRONG(row_input(dev, x, &l, 2));
    WRONG(row_input(dev, wide, &l, 1));
    RIGHT(sched_step(dev, &l, x, (struct guidance){0}));
    RIGHT(sched_step(dev, &l, wide, (struct guidance){0}));
    WRONG(sched_step(dev, &l, view_of(4 * N, H, W, C), (struct guidance){0}));
    WRONG(sched_step(dev, &l, view_of(3, H, W, C), (struct guidance){0}));
    WRONG(sched_step(dev, &l, view_of(N, W, H, C), (struct guidance){0}));
    RIGHT(to_rgb8(dev, bytes, view_of(1, H, W, 3)));
    WRONG(to_rgb8(dev, bytes, view_of(1, H, W, 2)));
    RIGHT(upload(dev, apart(x), values));
    RIGHT(upload(dev, x, values));
    WRONG(upload(dev, bad_ld, values));
    RIGHT(download(dev, values, apart(x)));
    RIGHT(download(dev, values, x));
    WRONG(download(dev, values, empty));
    RIGHT(upload_latents(dev, values, values, N, H, W, C));
    RIGHT(download_latents(dev, values, values, N, H, W, C));
    return n;
}

/* Of gcc's coverage, where it is built in: what a process did that dies is written before. */
extern void __gcov_dump(void) __attribute__((weak));

static void count(int signal) {
    (void)signal;
    if (__gcov_dump) __gcov_dump();
}

/* The signal it dies by, 0: none. */
static int signal_of(int which, bool right) {
    int status;
    pid_t pid = fork();
    if (!pid) {
        close(2);
        signal(SIGABRT, count);
        make_call(which, right);
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_contract(void **state) {
    (void)state;
    int n = make_call(-1, false);
    assert_true(n > 70);
    for (int i = 0; i < n; i++)
        if (signal_of(i, false) != SIGABRT) fail_msg("wrong call %d is taken", i);
    n = make_call(-1, true);
    for (int i = 0; i < n; i++)
        if (make_call(i, true) != i + 1) fail_msg("right call %d is not made", i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_contract)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
