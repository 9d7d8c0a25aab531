/* op_linear and op_linear_geglu of the CUDA device against the CPU device: cuBLASLt's path, our tensor-core tiles and the plain path.
 *
 * Weights are scaled so that sums are of the order of 1. Tolerances, relative to the largest |y|: half a unit in the last place of the
 * result, 2^-11 for f16 and 2^-8 for bf16, and 1e-5 for two orders of summation in f32; the CPU's own gelu errs by 1e-6. */
#include "cuda/gemm.h"
#include "test/pair.h"

struct linear_case {
    const char *name;
    int T, C, K;
    int b;
    enum act act;
    int residual;            /* 2 = y itself */
    int x_pad, y_pad, r_pad; /* channels of the wider tensors beside ours */
};

static const struct linear_case cases[] = {
    /* name                       T    C     K  b  act            r  pads */
    {"to_q", 128, 64, 64, 0, ACT_NONE, 0, 0, 0, 0},
    {"to_qkv", 64, 64, 192, 0, ACT_NONE, 0, 0, 0, 0},
    {"to_out, in place", 64, 64, 64, 1, ACT_NONE, 2, 0, 0, 0},
    {"proj_out", 70, 64, 64, 1, ACT_NONE, 1, 0, 0, 0},
    {"ff_out", 33, 256, 64, 1, ACT_NONE, 2, 0, 0, 0},
    {"context", 77, 96, 128, 0, ACT_NONE, 0, 0, 0, 0},
    {"fc1, quick gelu", 77, 64, 256, 1, ACT_QUICK_GELU, 0, 0, 0, 0},
    {"fc1, gelu", 77, 64, 256, 1, ACT_GELU, 0, 0, 0, 0},
    {"time embedding, 1 row", 1, 320, 128, 1, ACT_SILU, 0, 0, 0, 0},
    {"time embedding, 25 rows", 25, 128, 640, 1, ACT_NONE, 0, 0, 0, 0},
    {"silu and residual", 20, 40, 56, 1, ACT_SILU, 1, 0, 0, 0},
    {"gelu in place", 20, 40, 56, 1, ACT_GELU, 2, 0, 0, 0},
    {"one value", 1, 8, 1, 1, ACT_NONE, 0, 0, 0, 0},
    {"8 channels", 17, 8, 8, 1, ACT_NONE, 0, 0, 0, 0},
    {"tails", 65, 72, 65, 1, ACT_NONE, 1, 0, 0, 0},
    {"many rows, few columns", 1000, 32, 12, 1, ACT_NONE, 0, 0, 0, 0},
    {"few rows, many columns", 3, 64, 1000, 1, ACT_NONE, 0, 0, 0, 0},
    {"a long sum", 16, 2560, 48, 1, ACT_NONE, 1, 0, 0, 0},
    {"slices", 50, 64, 48, 1, ACT_NONE, 1, 16, 8, 24},
    {"slice in place", 50, 64, 48, 1, ACT_NONE, 2, 8, 16, 0},
    {"x beside 16 bytes", 50, 64, 48, 1, ACT_NONE, 1, 3, 0, 0},
    {"y beside 16 bytes", 50, 64, 48, 1, ACT_NONE, 1, 0, 3, 5},
    {"37 channels", 19, 37, 53, 1, ACT_QUICK_GELU, 1, 0, 0, 0},
    {"many rows", 300, 48, 72, 1, ACT_NONE, 1, 8, 8, 0},
};

static const struct linear_case gated[] = {
    {"geglu", 64, 64, 128, 1, ACT_NONE, 0, 0, 0, 0},
    {"geglu, 1 row", 1, 320, 64, 1, ACT_NONE, 0, 0, 0, 0},
    {"geglu, tails", 67, 40, 72, 1, ACT_NONE, 0, 0, 0, 0},
    {"geglu, slices", 40, 64, 48, 1, ACT_NONE, 0, 16, 8, 0},
    {"geglu, x beside 16 bytes", 40, 64, 48, 1, ACT_NONE, 0, 3, 0, 0},
    {"geglu, y beside 16 bytes", 40, 64, 48, 1, ACT_NONE, 0, 0, 3, 0},
    {"geglu, 37 by 21", 19, 37, 21, 1, ACT_NONE, 0, 0, 0, 0},
    {"geglu, 21 outputs", 19, 64, 21, 1, ACT_NONE, 0, 0, 0, 0},
};

static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};

static double tolerance(enum dtype dtype) {
    return (dtype == DT_F16 ? 0x1p-11 : dtype == DT_BF16 ? 0x1p-8 : 0) + 1e-5;
}

struct call {
    bool geglu;
    enum act act;
    struct operand *y, *x, *residual;
    struct weight *w, *b;
};

static void call(struct device *dev, int side, void *data) {
    const struct call *c = data;
    struct weight *w = pair_weight(c->w, side), *b = pair_weight(c->b, side);
    if (c->geglu) dev->ops->linear_geglu(dev, c->y->view[side], c->x->view[side], w, b);
    else dev->ops->linear(dev, c->y->view[side], c->x->view[side], w, b, c->act, c->residual ? c->residual->view[side] : no_view);
}

static void run_scaled(const struct linear_case *c, bool geglu, enum dtype dtype, const char *how, float x_scale, float sums) {
    struct pair *p = pair_open(dtype);
    struct call a = {.geglu = geglu, .act = c->act};
    int rows = geglu ? 2 * c->K : c->K;
    a.x = operand_new(p, 1, 1, 1, c->T, c->C, c->x_pad, x_scale, 0);
    a.y = operand_new(p, 2, 1, 1, c->T, c->K, c->y_pad, 1, 0);
    if (c->residual) a.residual = c->residual == 2 ? a.y : operand_new(p, 3, 1, 1, c->T, c->K, c->r_pad, 1, 0);
    a.w = weight_new(p, WEIGHT_MATRIX, 4, (int64_t[]){rows, c->C}, 2, sums / sqrtf((float)c->C) / x_scale);
    if (c->b) a.b = weight_new(p, WEIGHT_VECTOR, 5, (int64_t[]){rows}, 1, 1);
    pair_run(p, call, &a);
    char name[128];
    snprintf(name, sizeof name, "%s%s", c->name, how);
    operand_compare(p, name, a.y, tolerance(dtype));
    pair_close(p);
}

static void run(const struct linear_case *c, bool geglu, enum dtype dtype, const char *how) {
    run_scaled(c, geglu, dtype, how, 1, 2);
}

static void test_linear(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int d = 0; d < 3; d++) run(&cases[i], false, dtypes[d], "");
}

static void test_geglu(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof gated / sizeof *gated; i++)
        for (int d = 0; d < 3; d++) run(&gated[i], true, dtypes[d], "");
}

/* Every tile, with C whole and in parts, which a second kernel or the parts themselves bring together. */
static void test_tiles(void **state) {
    (void)state;
    static const struct linear_case tails = {"tiles", 150, 168, 136, 1, ACT_SILU, 1, 8, 8, 0},
                                    gated_tails = {"geglu tiles", 150, 168, 72, 1, ACT_NONE, 0, 8, 8, 0};
    static const struct gemm_choice ways[] = {{0, 1, false}, {0, 2, false}, {0, 4, false}, {0, 2, true}, {0, 3, true}};
    for (int tile = 0; tile < GEMM_TILES; tile++)
        for (int s = 0; s < 5; s++) {
            char how[64];
            gemm_forced = (struct gemm_choice){tile, ways[s].splits, ways[s].meet};
            snprintf(how, sizeof how, ", %d x %d in %d%s", gemm_tiles[tile].M, gemm_tiles[tile].N, ways[s].splits, ways[s].meet ? "c" : "");
            run(&tails, false, s % 2 ? DT_F16 : DT_BF16, how);
            run(&gated_tails, true, s % 2 ? DT_BF16 : DT_F16, how);
        }
    gemm_forced = (struct gemm_choice){-1, 0, false};
}

/* Operands far from 1, and arguments of the activations far from 0, where they are all or nothing. */
static void test_extremes(void **state) {
    (void)state;
    for (int d = 0; d < 3; d++) {
        run_scaled(&cases[0], false, dtypes[d], ", x large", 4096, 2);
        run_scaled(&cases[0], false, dtypes[d], ", x small", 0x1p-10f, 2);
        run_scaled(&cases[6], false, dtypes[d], ", far", 1, 200);
        run_scaled(&cases[7], false, dtypes[d], ", far", 1, 200);
        run_scaled(&cases[8], false, dtypes[d], ", far", 1, 200);
        run_scaled(&gated[0], true, dtypes[d], ", far", 1, 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_geglu), cmocka_unit_test(test_tiles),
                                       cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
