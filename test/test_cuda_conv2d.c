/* op_conv2d of the CUDA device against the CPU device: the tensor-core path with every tile and several splits of K, and the plain path
 * for what does not fit it, over the shapes of real models made small.
 *
 * Weights are scaled so that sums are of the order of 1. Tolerances, relative to the largest |y|: half a unit in the last place of the
 * result, 2^-11 for f16 and 2^-8 for bf16, and what two orders of summation in f32 differ by, up to 9*320 products here: 1e-5; the
 * CPU's Winograd convolution adds 7e-6 of its own. An upsampler's sums of weights are rounded too, each by at most half a unit of the
 * sum; over the 4 C products of a value that averages out. */
#include "cuda/gemm.h"
#include "test/pair.h"

struct conv_case {
    const char *name;
    int N, H, W, C, K, R;
    struct conv_shape shape;
    int crop;                    /* rows and columns y lacks of the whole result */
    int b, temb, residual;       /* temb: 1 a row per image, 2 one for all; residual: 2 = y itself */
    int x_pad, y_pad, other_pad; /* channels of the wider tensors beside ours; other: temb's and residual's */
};

#define CONV_1X1 ((struct conv_shape){1, 0, 0, 0, 0, 1})
#define DOWN ((struct conv_shape){2, 1, 1, 1, 1, 1})
#define DOWN_ASYMMETRIC ((struct conv_shape){2, 0, 0, 1, 1, 1})
#define UP ((struct conv_shape){1, 1, 1, 1, 1, 2})

static const struct conv_case cases[] = {
    /* name                      N   H   W    C    K  R  shape            crop b t r  pads */
    {"resnet conv1", 2, 8, 8, 64, 64, 3, CONV_3X3, 0, 1, 1, 0, 0, 0, 0},
    {"resnet conv1, one temb", 3, 5, 7, 32, 48, 3, CONV_3X3, 0, 1, 2, 0, 0, 0, 0},
    {"resnet conv2", 2, 8, 8, 64, 64, 3, CONV_3X3, 0, 1, 0, 1, 0, 0, 0},
    {"resnet conv2, in place", 2, 8, 8, 64, 64, 3, CONV_3X3, 0, 1, 0, 2, 0, 0, 0},
    {"conv_in of latents", 2, 8, 8, 4, 320, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"conv_in of pictures", 1, 9, 7, 3, 64, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"first, every edge", 2, 17, 35, 4, 72, 3, CONV_3X3, 0, 1, 1, 1, 2, 8, 16},
    {"first, one value at a time", 1, 9, 18, 3, 37, 3, CONV_3X3, 0, 1, 2, 2, 5, 0, 3},
    {"first, one channel", 2, 3, 17, 1, 130, 3, CONV_3X3, 0, 0, 0, 0, 0, 0, 0},
    {"first but for its padding", 1, 6, 7, 4, 32, 3, ((struct conv_shape){1, 1, 0, 1, 2, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"conv_in of inpainting", 2, 5, 6, 9, 64, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"conv_out of a UNet", 2, 8, 8, 320, 4, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"conv_out of a VAE", 1, 9, 17, 128, 3, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"narrow, every edge", 2, 17, 35, 40, 8, 3, CONV_3X3, 0, 1, 1, 1, 8, 3, 5},
    {"narrow, one column", 1, 3, 18, 72, 1, 3, CONV_3X3, 0, 0, 0, 0, 0, 0, 0},
    {"narrow but for its padding", 1, 6, 7, 32, 4, 3, ((struct conv_shape){1, 1, 0, 1, 2, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"quant conv", 2, 6, 5, 4, 4, 1, CONV_1X1, 0, 1, 0, 0, 0, 0, 0},
    {"shortcut 1x1", 2, 6, 5, 48, 40, 1, CONV_1X1, 0, 1, 1, 1, 0, 0, 0},
    {"1x1 of stride 2", 1, 7, 6, 16, 32, 1, ((struct conv_shape){2, 0, 0, 0, 0, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"downsampler", 2, 8, 6, 32, 48, 3, DOWN, 0, 1, 0, 0, 0, 0, 0},
    {"downsampler, odd", 2, 9, 7, 32, 48, 3, DOWN, 0, 1, 1, 1, 8, 8, 8},
    {"downsampler of a VAE", 1, 8, 6, 32, 32, 3, DOWN_ASYMMETRIC, 0, 1, 0, 0, 0, 0, 0},
    {"the same, odd", 1, 7, 9, 24, 16, 3, DOWN_ASYMMETRIC, 0, 1, 0, 0, 0, 0, 0},
    {"upsampler", 2, 5, 7, 32, 48, 3, UP, 0, 1, 0, 0, 0, 0, 0},
    {"upsampler, temb and residual", 2, 3, 5, 32, 48, 3, UP, 0, 1, 1, 1, 8, 16, 8},
    {"upsampler, one value at a time", 1, 4, 3, 40, 37, 3, UP, 0, 1, 1, 2, 0, 0, 0},
    {"upsampler of two pieces", 1, 1, 2, 352, 336, 3, UP, 0, 1, 0, 0, 0, 0, 0}, /* 4 MiB of the weights, and the rest */
    {"upsampler, cropped", 2, 5, 7, 32, 48, 3, UP, 1, 1, 1, 1, 0, 16, 8},
    {"upsampler of one pixel", 1, 1, 1, 32, 32, 3, UP, 0, 1, 0, 0, 0, 0, 0},
    {"the same, cropped", 1, 1, 1, 32, 32, 3, UP, 1, 1, 0, 0, 0, 0, 0},
    {"upsampler, few channels", 1, 3, 4, 6, 10, 3, UP, 1, 1, 0, 0, 0, 1, 2},
    {"one pixel", 1, 1, 1, 32, 48, 3, CONV_3X3, 0, 1, 0, 0, 0, 0, 0},
    {"a column", 2, 9, 1, 16, 32, 3, CONV_3X3, 0, 1, 1, 1, 0, 0, 0},
    {"no bias", 2, 5, 7, 16, 16, 3, CONV_3X3, 0, 0, 0, 0, 0, 0, 0},
    {"no padding", 1, 7, 9, 32, 32, 3, ((struct conv_shape){1, 0, 0, 0, 0, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"odd padding", 1, 7, 9, 32, 32, 3, ((struct conv_shape){1, 2, 0, 1, 2, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"8 channels", 2, 6, 6, 8, 8, 3, CONV_3X3, 0, 1, 1, 1, 0, 0, 0},
    {"40 channels", 1, 6, 7, 40, 120, 3, CONV_3X3, 0, 1, 1, 1, 0, 0, 0},
    {"slices", 2, 7, 10, 48, 80, 3, CONV_3X3, 0, 1, 1, 1, 16, 32, 48},
    {"slice, in place", 2, 6, 6, 32, 64, 3, CONV_3X3, 0, 1, 1, 2, 8, 32, 8},
    {"y beside 16 bytes", 2, 6, 5, 48, 37, 3, CONV_3X3, 0, 1, 1, 1, 0, 0, 0},
    {"all beside 16 bytes", 2, 6, 5, 48, 80, 3, CONV_3X3, 0, 1, 1, 1, 3, 5, 7},
    {"19 channels", 1, 6, 7, 19, 37, 3, CONV_3X3, 0, 1, 2, 1, 3, 5, 7},
    {"stem 7x7 of stride 2", 2, 15, 18, 3, 32, 7, ((struct conv_shape){2, 3, 3, 3, 3, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"7x7, 16 channels", 1, 9, 10, 16, 32, 7, ((struct conv_shape){2, 3, 3, 3, 3, 1}), 0, 1, 1, 1, 0, 0, 0},
    {"patches of 16x16", 1, 32, 48, 3, 24, 16, ((struct conv_shape){16, 0, 0, 0, 0, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"patches of 14x14", 2, 28, 42, 3, 40, 14, ((struct conv_shape){14, 0, 0, 0, 0, 1}), 0, 0, 0, 0, 0, 0, 0},
    {"patches and a rest", 1, 35, 40, 8, 16, 16, ((struct conv_shape){16, 0, 0, 0, 0, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"4x4 of stride 4", 1, 12, 8, 32, 48, 4, ((struct conv_shape){4, 0, 0, 0, 0, 1}), 0, 1, 1, 1, 8, 8, 8},
    {"3x3 of stride 2, lopsided", 2, 7, 8, 24, 16, 3, ((struct conv_shape){2, 0, 1, 2, 1, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"6x6 of stride 3, lopsided", 1, 11, 9, 8, 12, 6, ((struct conv_shape){3, 1, 0, 2, 3, 1}), 0, 1, 0, 0, 0, 0, 0},
    {"a level of 320 channels", 2, 16, 16, 320, 64, 3, CONV_3X3, 0, 1, 1, 0, 0, 0, 0},
};

static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};

static double tolerance(enum dtype dtype) {
    return (dtype == DT_F16 ? 0x1p-11 : dtype == DT_BF16 ? 0x1p-8 : 0) + 2e-5;
}

struct call {
    struct conv_shape shape;
    struct operand *y, *x, *temb, *residual;
    struct weight *w, *b;
};

static void call(struct device *dev, int side, void *data) {
    const struct call *c = data;
    dev->ops->conv2d(dev, c->y->view[side], c->x->view[side], pair_weight(c->w, side), pair_weight(c->b, side),
                     c->temb ? c->temb->view[side] : no_view, c->residual ? c->residual->view[side] : no_view, c->shape);
}

static int output_size(int in, int before, int after, const struct conv_case *c) {
    return (in * c->shape.upsample + before + after - c->R) / c->shape.stride + 1 - c->crop;
}

static void run_scaled(const struct conv_case *c, enum dtype dtype, const char *how, float x_scale) {
    struct pair *p = pair_open(dtype);
    int Ho = output_size(c->H, c->shape.top, c->shape.bottom, c), Wo = output_size(c->W, c->shape.left, c->shape.right, c);
    struct call a = {.shape = c->shape};
    a.x = operand_new(p, 1, c->N, c->H, c->W, c->C, c->x_pad, x_scale, 0);
    a.y = operand_new(p, 2, c->N, Ho, Wo, c->K, c->y_pad, 1, 0);
    if (c->temb) a.temb = operand_new(p, 3, c->temb == 1 ? c->N : 1, 1, 1, c->K, c->other_pad, 1, 0);
    if (c->residual) a.residual = c->residual == 2 ? a.y : operand_new(p, 4, c->N, Ho, Wo, c->K, c->other_pad, 1, 0);
    a.w = weight_new(p, WEIGHT_CONV, 5, (int64_t[]){c->K, c->C, c->R, c->R}, 4, 2 / sqrtf((float)(c->C * c->R * c->R)) / x_scale);
    if (c->b) a.b = weight_new(p, WEIGHT_VECTOR, 6, (int64_t[]){c->K}, 1, 1);
    pair_run(p, call, &a);
    char name[128];
    snprintf(name, sizeof name, "%s%s", c->name, how);
    operand_compare(p, name, a.y, tolerance(dtype));
    pair_close(p);
}

static void run(const struct conv_case *c, enum dtype dtype, const char *how) {
    run_scaled(c, dtype, how, 1);
}

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int d = 0; d < 3; d++) run(&cases[i], dtypes[d], "");
}

/* Every tile, with K whole and in parts, which a second kernel or the parts themselves bring together; 19 steps of 32 channels do not
 * divide evenly, and neither do rows and columns. */
static void test_tiles(void **state) {
    (void)state;
    static const struct conv_case tails[] = {
        {"tiles", 2, 9, 10, 40, 136, 3, CONV_3X3, 0, 1, 1, 1, 0, 0, 0},
        {"tiles by phases", 2, 7, 5, 40, 136, 3, UP, 0, 1, 1, 1, 0, 0, 0},
        {"tiles, one 1x1", 3, 10, 9, 72, 20, 1, CONV_1X1, 0, 1, 2, 2, 8, 4, 0},
    };
    static const struct gemm_choice ways[] = {{0, 1, false}, {0, 2, false}, {0, 5, false}, {0, 32, true}, {0, 2, true}, {0, 3, true}};
    for (int tile = 0; tile < GEMM_TILES; tile++)
        for (int s = 0; s < 6; s++)
            for (int i = 0; i < 3; i++) {
                char how[64];
                gemm_forced = (struct gemm_choice){tile, ways[s].splits, ways[s].meet};
                snprintf(how, sizeof how, ", %d x %d in %d%s", gemm_tiles[tile].M, gemm_tiles[tile].N, ways[s].splits,
                         ways[s].meet ? "c" : "");
                run(&tails[i], (tile + s + i) % 2 ? DT_F16 : DT_BF16, how);
            }
    gemm_forced = (struct gemm_choice){-1, 0, false};
}

/* More rows of tiles than blocks go down before they go right, with a rest. */
static void test_order_of_tiles(void **state) {
    (void)state;
    gemm_forced = (struct gemm_choice){5, 1, false};
    run(&(struct conv_case){"many tiles", 1, 36, 18, 8, 150, 1, CONV_1X1, 0, 1, 0, 0, 0, 0, 0}, DT_F16, "");
    gemm_forced.tile = -1;
}

/* Values far from 1: the sums are in f32 whatever the operands are. */
static void test_extremes(void **state) {
    (void)state;
    for (int d = 0; d < 3; d++) {
        run_scaled(&cases[0], dtypes[d], ", x large", 4096);
        run_scaled(&cases[0], dtypes[d], ", x small", 0x1p-10f);
    }
}

/* The choice on a GPU of 132 SMs: small layers are spread over all of them, large ones are not split. What was measured comes first, on
 * the GPU that it was measured on. */
static void test_choice(void **state) {
    (void)state;
    static const struct {
        int M, N, steps;
        bool split;
    } shapes[] = {{128, 1280, 360, true}, {128, 1280, 720, true},   {512, 1280, 360, true},   {154, 768, 96, true},
                  {8192, 320, 90, false}, {262144, 128, 36, false}, {65536, 512, 144, false}, {2048, 10240, 40, false}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int M = shapes[i].M, N = shapes[i].N;
        struct gemm_choice c = gemm_choose(M, N, shapes[i].steps, 132), again = gemm_choose(M, N, shapes[i].steps, 132);
        const struct gemm_tile *t = &gemm_tiles[c.tile];
        long blocks = (long)((M + t->M - 1) / t->M) * ((N + t->N - 1) / t->N) * c.splits;
        if (getenv("VERBOSE"))
            printf("%d x %d, %d steps: %d x %d in %d: %ld blocks\n", M, N, shapes[i].steps, t->M, t->N, c.splits, blocks);
        assert_int_equal(c.tile, again.tile);
        assert_int_equal(c.splits, again.splits);
        assert_true(c.splits >= 1 && c.splits <= GEMM_MOST_SPLITS);
        assert_int_equal(c.splits > 1, shapes[i].split);
        assert_true(blocks >= 80);
    }
    const struct gemm_measured rows[] = {{132, 128, 1280, 360, {3, 5, true}, -1}, {108, 128, 1280, 720, {0, 1, false}, -1}};
    struct gemm_table table = gemm_table;
    gemm_table = (struct gemm_table){rows, 2};
    struct gemm_choice measured = gemm_choose(128, 1280, 360, 132), other_gpu = gemm_choose(128, 1280, 720, 132);
    gemm_table = table;
    assert_int_equal(measured.tile, 3);
    assert_int_equal(measured.splits, 5);
    assert_true(other_gpu.splits > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_tiles), cmocka_unit_test(test_order_of_tiles),
                                       cmocka_unit_test(test_extremes), cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
