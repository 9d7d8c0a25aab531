/* torch's generators, value by value.
 *     test_rng            the project's own vectors in test/fixtures/rng
 *     test_rng FILE…      any files of that format: cpu[], cpu_half[], cuda[], cpu_sequence_seed0[] */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "engine/base/arena.h"
#include "engine/base/file.h"
#include "engine/base/rng.h"

/* torch's vector logarithm and sine differ from libm's by up to 3 ulp of values below 6; a GPU's fast sine by a little
 * more. */
static const double cpu_tolerance = 1e-6, cuda_tolerance = 2e-6;

static int n_failures, n_checked;

static void expect_near(const char *what, size_t i, double got, double want, double tolerance) {
    n_checked++;
    if (fabs(got - want) <= tolerance) return;
    if (n_failures++ < 20) print_error("%s: value %zu: expected %.9g, found %.9g\n", what, i, want, got);
}

static double number(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItem(o, key);
    assert_true(cJSON_IsNumber(v));
    return v->valuedouble;
}

/* `first` or `last` of a case against the same end of x. */
static void check_end(const char *what, const cJSON *values, const float *x, size_t n, bool last, double tolerance) {
    size_t count = (size_t)cJSON_GetArraySize(values), at = 0;
    assert_true(count > 0 && count <= n);
    const cJSON *v;
    cJSON_ArrayForEach(v, values) {
        size_t i = (last ? n - count : 0) + at++;
        expect_near(what, i, (double)x[i], v->valuedouble, tolerance);
    }
}

static void check_draw(const char *path, const char *list, const cJSON *c, enum rng_kind kind, double tolerance) {
    size_t n = (size_t)number(c, "n");
    uint64_t seed = (uint64_t)number(c, "seed");
    const cJSON *gpu = cJSON_GetObjectItem(c, "gpu");
    char what[256];
    snprintf(what, sizeof what, "%s: %s: seed %llu n %zu", path, list, (unsigned long long)seed, n);
    float *x = malloc(n * sizeof *x);
    struct rng r;
    rng_init(&r, kind, seed, gpu ? rng_gpu_named(gpu->valuestring) : rng_gpu_h100);
    rng_normal(&r, x, n, DT_F32);
    check_end(what, cJSON_GetObjectItem(c, "first"), x, n, false, tolerance);
    check_end(what, cJSON_GetObjectItem(c, "last"), x, n, true, tolerance);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i], squares += (double)x[i] * (double)x[i];
    expect_near(what, n, sum, number(c, "sum"), tolerance * (double)n);
    expect_near(what, n, squares, number(c, "sumsq"), 10 * tolerance * (double)n);
    free(x);
}

/* All values of a half-precision draw. They are f32 normals rounded once, so one may fall on the other side of a
 * rounding boundary: half a unit in the last place of its type. Vectors of torch before 2.15, which drew fewer random
 * bits for these types, are of another generator: named and not compared. */
static void check_half(const char *path, const cJSON *c) {
    const char *type = cJSON_GetObjectItem(c, "dtype")->valuestring, *torch = cJSON_GetObjectItem(c, "torch")->valuestring;
    const cJSON *values = cJSON_GetObjectItem(c, "values"), *v;
    if (strncmp(torch, "2.15.", 5)) {
        print_message("%s: cpu_half: %s: SKIPPED: a vector of torch %s, another generator than 2.15's\n", path, type, torch);
        return;
    }
    enum dtype dtype = strcmp(type, "float16") ? DT_BF16 : DT_F16;
    float x[4096];
    size_t n = (size_t)number(c, "n"), at = 0;
    assert_true(n <= sizeof x / sizeof *x && cJSON_GetArraySize(values) == (int)n);
    struct rng r;
    rng_init(&r, RNG_CPU, (uint64_t)number(c, "seed"), (struct rng_gpu){0});
    rng_normal(&r, x, n, dtype);
    char what[256];
    snprintf(what, sizeof what, "%s: cpu_half: %s seed %.0f n %zu", path, type, number(c, "seed"), n);
    cJSON_ArrayForEach(v, values) {
        int exponent;
        frexp(v->valuedouble, &exponent);
        double ulp = ldexp(1, exponent - (dtype == DT_F16 ? 11 : 8));
        expect_near(what, at, (double)x[at], v->valuedouble, ulp);
        at++;
    }
}

/* Draws of several sizes from one generator, in order. */
static void check_sequence(const char *path, const cJSON *sequence) {
    struct rng r;
    rng_init(&r, RNG_CPU, 0, (struct rng_gpu){0});
    const cJSON *c;
    int step = 0;
    cJSON_ArrayForEach(c, sequence) {
        size_t n = (size_t)number(c, "n");
        float *x = malloc(n * sizeof *x);
        char what[256];
        snprintf(what, sizeof what, "%s: cpu_sequence_seed0: draw %d", path, step++);
        rng_normal(&r, x, n, DT_F32);
        check_end(what, cJSON_GetObjectItem(c, "first"), x, n, false, cpu_tolerance);
        free(x);
    }
}

static void check_file(void **state) {
    const char *path = *state;
    struct arena a = {0};
    size_t length;
    char *text = read_file(&a, path, 64 << 20, &length);
    cJSON *root = cJSON_Parse(text);
    if (!root) fail_msg("%s: not JSON", path);
    const cJSON *c;
    n_failures = n_checked = 0;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cpu")) check_draw(path, "cpu", c, RNG_CPU, cpu_tolerance);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cuda")) check_draw(path, "cuda", c, RNG_CUDA, cuda_tolerance);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cpu_half")) check_half(path, c);
    check_sequence(path, cJSON_GetObjectItem(root, "cpu_sequence_seed0"));
    cJSON_Delete(root);
    arena_free(&a);
    if (n_failures) fail_msg("%s: %d of %d values differ", path, n_failures, n_checked);
    if (!n_checked) fail_msg("%s: nothing in it to check", path);
}

/* The cached second value of a small draw survives a large draw; a copy of the state goes on alike. */
static void test_spare_survives(void **state) {
    (void)state;
    struct rng a, b;
    float one, two[2], many[32];
    rng_init(&a, RNG_CPU, 7, (struct rng_gpu){0});
    b = a;
    rng_normal(&a, two, 2, DT_F32);
    rng_normal(&b, &one, 1, DT_F32);
    assert_true(one == two[0]);
    rng_normal(&b, many, 32, DT_F32);
    rng_normal(&b, &one, 1, DT_F32);
    assert_true(one == two[1]);
}

/* Consecutive CUDA draws continue the stream: the second starts at the next counter. */
static void test_cuda_offset(void **state) {
    (void)state;
    struct rng r;
    float x[512], y[512];
    rng_init(&r, RNG_CUDA, 0, rng_gpu_h100);
    rng_normal(&r, x, 512, DT_F32);
    assert_int_equal(r.offset, 4);
    rng_normal(&r, y, 512, DT_F32);
    assert_int_equal(r.offset, 8);
    assert_true(x[0] != y[0]);
    rng_normal(&r, x, 0, DT_F32);
    assert_int_equal(r.offset, 8);
    /* counter 1 is also that of a larger draw's second round: 2048 threads of one multiprocessor, four values each */
    float *many = malloc((4 * 2048 + 512) * sizeof *many);
    rng_init(&r, RNG_CUDA, 0, (struct rng_gpu){1, 2048});
    rng_normal(&r, many, 4 * 2048 + 512, DT_F32);
    assert_memory_equal(y, many + 4 * 2048, sizeof y);
    free(many);
}

static void test_half_is_rounded_f32_on_cuda(void **state) {
    (void)state;
    struct rng a, b;
    float x[100], y[100];
    rng_init(&a, RNG_CUDA, 3, rng_gpu_h100);
    rng_init(&b, RNG_CUDA, 3, rng_gpu_h100);
    rng_normal(&a, x, 100, DT_F32);
    rng_normal(&b, y, 100, DT_F16);
    for (int i = 0; i < 100; i++) assert_true(y[i] == f16_to_f32(f32_to_f16(x[i])));
}

static void test_random_seed(void **state) {
    (void)state;
    uint64_t a = rng_random_seed(), b = rng_random_seed(), c = rng_random_seed();
    assert_true(a <= UINT32_MAX && b <= UINT32_MAX && c <= UINT32_MAX);
    assert_false(a == b && b == c);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One SD latent (4 x 64 x 64); printed, and only gross slowness fails: the machine may be shared and the build
 * unoptimised. */
static void test_speed(void **state) {
    (void)state;
    static float x[16384];
    struct rng r;
    double best = 1;
    rng_init(&r, RNG_CPU, 0, (struct rng_gpu){0});
    for (int i = 0; i < 20; i++) {
        double t = seconds();
        rng_normal(&r, x, 16384, DT_F32);
        t = seconds() - t;
        if (t < best) best = t;
    }
    print_message("16384 normals: %.3f ms\n", best * 1e3);
    assert_true(best <= 0.05);
}

int main(int argc, char **argv) {
    static char *own[] = {"test/fixtures/rng/cpu.json", "test/fixtures/rng/cuda.json", "test/fixtures/rng/cuda_gpus.json"};
    char **files = argc > 1 ? argv + 1 : own;
    int n_files = argc > 1 ? argc - 1 : (int)(sizeof own / sizeof *own);
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_spare_survives), cmocka_unit_test(test_cuda_offset), cmocka_unit_test(test_half_is_rounded_f32_on_cuda),
        cmocka_unit_test(test_random_seed),    cmocka_unit_test(test_speed),
    };
    size_t n = sizeof fixed / sizeof *fixed;
    struct CMUnitTest *tests = calloc(n + (size_t)n_files, sizeof *tests);
    memcpy(tests, fixed, sizeof fixed);
    for (int i = 0; i < n_files; i++) tests[n++] = (struct CMUnitTest){files[i], check_file, NULL, NULL, files[i]};
    int failed = _cmocka_run_group_tests("rng", tests, n, NULL, NULL);
    free(tests);
    return failed;
}
