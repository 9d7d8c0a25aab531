/* op_conv2d of the CPU device against PyTorch in float64, case by case of fixtures/conv2d/cases.txt, for several thread
 * counts. Checked with each: channels beside a strided y stay as they were, and y does not depend on what scratch held
 * before. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "engine/cpu/cpu.h"
#include "engine/files/safetensors.h"
#include "test/isas.h"
#include "test/views.h"

#define FOLDER "test/fixtures/conv2d/"

enum operand { OPERAND_X, OPERAND_W, OPERAND_B, OPERAND_TEMB, OPERAND_RESIDUAL };

struct conv_case {
    char name[32], dtype[8];
    int N, H, W, C, K, R;
    struct conv_shape shape;
    int Ho, Wo, b, temb, residual, x_pad, y_pad, residual_pad, step;
    double tolerance;
};

/* Uniform in [-1, 1), as test/reference/make_conv2d.py's operand(). */
static float operand(enum operand which, size_t index) {
    uint32_t i = (uint32_t)index + (uint32_t)(which + 1) * (0x9E3779B1u >> 3);
    i = (i ^ i >> 16) * 0x85EBCA6Bu;
    i = (i ^ i >> 13) * 0xC2B2AE35u;
    i ^= i >> 16;
    return (float)(i >> 8) / (float)(1 << 23) - 1;
}

static bool parse(const char *line, struct conv_case *c) {
    struct conv_shape *s = &c->shape;
    return line[0] != '#' &&
           sscanf(line, "%31s %7s %d %d %d %d %d %d %d %d,%d,%d,%d %d %d %d %d %d %d %d %d %d %d %lf", c->name, c->dtype, &c->N, &c->H,
                  &c->W, &c->C, &c->K, &c->R, &s->stride, &s->top, &s->left, &s->bottom, &s->right, &s->upsample, &c->Ho, &c->Wo, &c->b,
                  &c->temb, &c->residual, &c->x_pad, &c->y_pad, &c->residual_pad, &c->step, &c->tolerance) == 24;
}

/* A weight as loading makes it, of one f32 part. */
struct test_weight {
    struct weight w;
    struct tensor part;
    const struct tensor *parts[1];
    float *values;
};

static struct test_weight *weight_new(enum operand which, int rank, int K, int C, int R) {
    struct test_weight *t = calloc(1, sizeof *t);
    size_t n = (size_t)K * C * R * R;
    double scale = rank == 4 ? exp2(-nearbyint(log2(sqrt((double)C * R * R) / 3))) : 1;
    t->values = malloc(n * sizeof(float));
    for (size_t i = 0; i < n; i++) t->values[i] = operand(which, i) * (float)scale;
    t->part = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = n * sizeof(float)};
    t->parts[0] = &t->part;
    t->w = (struct weight){
        .kind = rank == 4 ? WEIGHT_CONV : WEIGHT_VECTOR, .name = "w", .rank = rank, .shape = {K, C, R, R}, .n_parts = 1, .parts = t->parts};
    return t;
}

static void weight_pack(struct device *dev, struct test_weight *t) {
    if (!t) return;
    t->w.packed_bytes = dev->packed_bytes(dev, &t->w);
    assert_true(t->w.packed_bytes > 0);
    t->w.packed = dev->alloc(dev, t->w.packed_bytes);
    dev->pack(dev, &t->w, (const void *[]){t->values}, NULL);
}

static void weight_free(struct test_weight *t) {
    if (t) free(t->values);
    free(t);
}

/* [N,H,W,C] in a tensor `pad` channels wider. */
static struct view view_new(const struct device *dev, enum operand which, int N, int H, int W, int C, int pad) {
    struct view v = {NULL, N, H, W, C, C + pad, dev->dtype, (size_t)H * (size_t)W * (size_t)(C + pad)};
    v.p = malloc(view_rows(v) * (size_t)v.ld * dtype_table[dev->dtype].size);
    for (size_t i = 0; i < view_rows(v) * (size_t)v.ld; i++) {
        size_t row = i / (size_t)v.ld, c = i % (size_t)v.ld;
        put(v, i, c < (size_t)C ? operand(which, row * (size_t)C + c) : beside);
    }
    return v;
}

/* Compares every step-th value of y with expected[0..]; returns how many there were. */
static size_t compare(const struct conv_case *c, struct view y, const float *expected, int n_threads) {
    size_t n = 0;
    double worst = 0;
    for (size_t row = 0; row < view_rows(y); row++)
        for (int k = 0; k < y.ld; k++) {
            float found = get(y, row * (size_t)y.ld + (size_t)k);
            size_t at = row * (size_t)y.C + (size_t)k;
            if (k >= y.C) {
                if (found != beside) fail_msg("%s: row %zu: channel %d beside y was overwritten by %g", c->name, row, k, found);
            } else if (at % (size_t)c->step == 0) {
                double error = fabs((double)found - (double)expected[n]);
                if (!(error <= c->tolerance))
                    fail_msg("%s, %d threads: y[%zu,%zu,%zu,%d]: expected %.9g, found %.9g, error %.3g > %.3g", c->name, n_threads,
                             row / (size_t)(y.H * y.W), row / (size_t)y.W % (size_t)y.H, row % (size_t)y.W, k, expected[n], found, error,
                             c->tolerance);
                worst = fmax(worst, error);
                n++;
            }
        }
    if (getenv("VERBOSE")) printf("%-18s %d threads: max error %.2e of %.2e\n", c->name, n_threads, worst, c->tolerance);
    return n;
}

static size_t run_case(const struct conv_case *c, const float *expected, int n_threads) {
    struct device *dev = cpu_device_open(strcmp(c->dtype, "bf16") ? DT_F32 : DT_BF16, n_threads);
    struct test_weight *w = weight_new(OPERAND_W, 4, c->K, c->C, c->R), *b = c->b ? weight_new(OPERAND_B, 1, c->K, 1, 1) : NULL;
    struct view x = view_new(dev, OPERAND_X, c->N, c->H, c->W, c->C, c->x_pad), temb = no_view, residual = no_view;
    struct view y = view_new(dev, OPERAND_RESIDUAL, c->N, c->Ho, c->Wo, c->K, c->y_pad);
    if (c->temb) temb = view_new(dev, OPERAND_TEMB, c->temb == 1 ? c->N : 1, 1, 1, c->K, c->y_pad);
    if (c->residual) residual = c->residual == 2 ? y : view_new(dev, OPERAND_RESIDUAL, c->N, c->Ho, c->Wo, c->K, c->residual_pad);
    dev->ops->conv2d(dev, y, x, &w->w, b ? &b->w : NULL, temb, residual, c->shape);
    weight_pack(dev, w);
    if (b) weight_pack(dev, b);
    dev->plan_end(dev);
    memset(cpu_of(dev)->scratch, 0xff, cpu_of(dev)->scratch_bytes); /* NaN */
    dev->ops->conv2d(dev, y, x, &w->w, b ? &b->w : NULL, temb, residual, c->shape);
    size_t n = compare(c, y, expected, n_threads);
    if (residual.p != y.p) free(residual.p);
    free(temb.p), free(x.p), free(y.p);
    dev->close(dev);
    weight_free(w), weight_free(b);
    return n;
}

static float *read_expected(size_t *n) {
    FILE *f = fopen(FOLDER "expected.bin", "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *n = (size_t)ftell(f) / sizeof(float);
    rewind(f);
    float *values = malloc(*n * sizeof(float));
    assert_int_equal(fread(values, sizeof(float), *n, f), *n);
    fclose(f);
    return values;
}

static size_t kept(const struct conv_case *c) {
    return ((size_t)c->N * c->Ho * c->Wo * c->K + (size_t)c->step - 1) / (size_t)c->step;
}

static void test_cases(void **state) {
    (void)state;
    size_t n, at = 0;
    float *expected = read_expected(&n);
    FILE *f = fopen(FOLDER "cases.txt", "r");
    assert_non_null(f);
    char line[256];
    while (fgets(line, sizeof line, f)) {
        struct conv_case c;
        if (!parse(line, &c)) {
            assert_true(line[0] == '#' || line[0] == '\n');
            continue;
        }
        assert_true(at + kept(&c) <= n);
        if (!strcmp(c.dtype, "bf16") && !cpu_has_bf16()) printf("%s: skipped, this CPU has no bf16\n", c.name);
        else
            for (int n_threads = 1; n_threads <= 3; n_threads++) assert_int_equal(run_case(&c, expected + at, n_threads), kept(&c));
        at += kept(&c);
    }
    assert_int_equal(at, n);
    fclose(f);
    free(expected);
}

/* One weight used for two images at once, and for the first of them alone: the same y. */
static void two_shapes(int C, int K) {
    struct device *dev = cpu_device_open(DT_F32, 2);
    struct test_weight *w = weight_new(OPERAND_W, 4, K, C, 3);
    struct view x = view_new(dev, OPERAND_X, 2, 9, 7, C, 0), y = view_new(dev, OPERAND_TEMB, 2, 9, 7, K, 0);
    struct view x1 = view_images(x, 0, 1), y1 = view_new(dev, OPERAND_TEMB, 1, 9, 7, K, 0);
    for (int running = 0; running < 2; running++) {
        dev->ops->conv2d(dev, y, x, &w->w, NULL, no_view, no_view, CONV_3X3);
        dev->ops->conv2d(dev, y1, x1, &w->w, NULL, no_view, no_view, CONV_3X3);
        if (running) break;
        weight_pack(dev, w);
        dev->plan_end(dev);
    }
    for (size_t i = 0; i < view_rows(y1) * (size_t)K; i++) {
        float both = get(y, i), alone = get(y1, i);
        if (!(fabsf(both - alone) <= 2e-6f)) /* a sum of 9C products, taken in another order at worst */
            fail_msg("C %d: y1[%zu]: expected %.9g, found %.9g", C, i, both, alone);
    }
    free(x.p), free(y.p), free(y1.p);
    dev->close(dev);
    weight_free(w);
}

static void test_two_shapes(void **state) {
    (void)state;
    two_shapes(16, 48); /* Winograd */
    two_shapes(8, 24);  /* oneDNN */
}

static int run_group(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_two_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return with_each_isa(run_group);
}
