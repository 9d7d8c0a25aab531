/* GroupNorm and LayerNorm of the CUDA device against the CPU device: every path (fused, split over blocks, plain), the groups of SD 1.5,
 * SD 2.1, their VAE and ddpm-cat-256 with fewer pixels, odd sizes, strided views, extreme values. */
#include "test/pair.h"

static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};

/* Half a unit in the last place of y's type, of values up to the largest, and the f32 arithmetic of both devices. */
static double tolerance_of(enum dtype dtype) {
    return dtype == DT_F16 ? 0x1p-11 + 5e-6 : dtype == DT_BF16 ? 0x1p-8 + 5e-6 : 5e-6;
}

struct norm_case {
    int N, H, W, C, groups; /* groups 0: LayerNorm of N*H*W rows */
    int pad_x, pad_y;
    bool silu, in_place;
    float scale, offset, spike; /* spike: the value of each image's first pixel, where not 0 */
};

struct norm_call {
    const struct norm_case *c;
    struct operand *x, *y;
    struct weight *w, *b;
};

static void call_norm(struct device *dev, int side, void *data) {
    struct norm_call *n = data;
    struct weight *w = pair_weight(n->w, side), *b = pair_weight(n->b, side);
    if (n->c->groups) dev->ops->group_norm(dev, n->y->view[side], n->x->view[side], w, b, n->c->groups, 1e-5f, n->c->silu);
    else dev->ops->layer_norm(dev, n->y->view[side], n->x->view[side], w, b, 1e-5f);
}

static void add_spike(struct operand *x, enum dtype dtype, float spike) {
    struct view v = x->view[0];
    for (int n = 0; n < v.N; n++)
        for (int c = 0; c < v.C; c++) x->host[(size_t)n * (size_t)v.H * (size_t)v.W * (size_t)v.ld + (size_t)c] = round_to(dtype, spike);
}

static void run_case(const struct norm_case *c, enum dtype dtype) {
    struct pair *p = pair_open(dtype);
    int64_t channels[] = {c->C};
    struct norm_call call = {.c = c};
    call.x = operand_new(p, 1, c->N, c->H, c->W, c->C, c->pad_x, c->scale, c->offset);
    call.y = c->in_place ? call.x : operand_new(p, 2, c->N, c->H, c->W, c->C, c->pad_y, 1, 0);
    call.w = weight_new(p, WEIGHT_VECTOR, 3, channels, 1, 1);
    call.b = weight_new(p, WEIGHT_VECTOR, 4, channels, 1, 1);
    if (c->spike != 0) add_spike(call.x, dtype, c->spike);
    pair_run(p, call_norm, &call);
    char name[160];
    snprintf(name, sizeof name, "%s %dx%dx%dx%d groups=%d pad=%d,%d%s%s scale=%g offset=%g spike=%g",
             c->groups ? "group_norm" : "layer_norm", c->N, c->H, c->W, c->C, c->groups, c->pad_x, c->pad_y, c->silu ? " silu" : "",
             c->in_place ? " in place" : "", (double)c->scale, (double)c->offset, (double)c->spike);
    operand_compare(p, name, call.y, tolerance_of(dtype));
    pair_close(p);
}

static void run_cases(const struct norm_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) run_case(&cases[i], dtypes[t]);
}
#define RUN_CASES(cases) run_cases(cases, sizeof cases / sizeof *cases)

static void test_group_norm_of_models(void **state) {
    (void)state;
    static const struct norm_case cases[] = {
        /* SD 1.5, SD 2.1: 32 groups of 10 to 80 channels; SD's sizes of an image, and fewer images or pixels */
        {2, 4, 4, 320, 32, 0, 0, true, false, 1, 0, 0},
        {1, 5, 7, 640, 32, 0, 0, true, true, 1, 0, 0},
        {2, 3, 3, 960, 32, 0, 0, true, false, 1, 0, 0},
        {1, 8, 8, 1280, 32, 0, 0, true, false, 1, 0, 0},
        {1, 2, 4, 1920, 32, 0, 0, false, false, 1, 0, 0},
        {2, 2, 2, 2560, 32, 0, 0, true, false, 1, 0, 0},
        {1, 32, 32, 40, 2, 0, 0, true, false, 1, 0, 0}, /* 32x32x640: a block's registers filled */
        {2, 48, 48, 80, 8, 0, 0, true, true, 1, 0, 0},  /* 64x64x320: split */
        {1, 40, 41, 80, 4, 0, 0, false, false, 1, 0, 0},
        /* the VAE: groups of 4, 8, 16 */
        {1, 56, 60, 128, 32, 0, 0, true, false, 1, 0, 0},
        {1, 24, 24, 256, 32, 0, 0, true, true, 1, 0, 0},
        {1, 9, 8, 512, 32, 0, 0, false, false, 1, 0, 0},
        /* ddpm-cat-256: 128 to 512 channels, 1024 of concatenation */
        {1, 17, 16, 128, 32, 0, 0, true, false, 1, 0, 0},
        {1, 3, 5, 1024, 32, 0, 0, true, false, 1, 0, 0},
    };
    RUN_CASES(cases);
}

static void test_group_norm_of_any_shape(void **state) {
    (void)state;
    static const struct norm_case cases[] = {
        {1, 1, 1, 8, 1, 0, 0, false, false, 1, 0, 0},
        {1, 1, 1, 32, 32, 0, 0, false, false, 1, 0, 0}, /* every group one value: y = b */
        {3, 2, 3, 5, 1, 0, 0, false, false, 1, 0, 0},   /* plain: odd channels */
        {1, 3, 3, 9, 3, 0, 0, true, true, 1, 0, 0},
        {2, 7, 5, 35, 7, 2, 1, true, false, 1, 0, 0},
        {1, 30, 31, 12, 4, 3, 0, false, false, 1, 0, 0}, /* plain: rows not aligned, more pixels than threads */
        {1, 4, 4, 32, 4, 8, 16, true, false, 1, 0, 0},   /* aligned slices */
        {1, 4, 4, 32, 4, 0, 4, true, false, 1, 0, 0},    /* y of 16-bit types is not aligned */
        {2, 70, 30, 16, 2, 8, 8, false, true, 1, 0, 0},  /* split, strided, in place */
        {1, 50, 50, 64, 64, 0, 0, true, false, 1, 0, 0}, /* as many groups as channels */
        {1, 5, 5, 2560, 1, 0, 0, false, false, 1, 0, 0}, /* one group: more columns than half the threads */
        {1, 2, 2, 8192, 2, 0, 0, false, false, 1, 0, 0},
        {1, 33, 20, 48, 16, 0, 0, true, false, 1, 0, 0}, /* groups of 3: three lie in 16 bytes */
        {1, 11, 13, 120, 2, 0, 0, true, false, 1, 0, 0},
    };
    RUN_CASES(cases);
}

static void test_group_norm_of_extremes(void **state) {
    (void)state;
    static const struct norm_case cases[] = {
        {1, 6, 6, 64, 4, 0, 0, false, false, 1, 1000, 0}, /* the mean far above the deviation */
        {1, 50, 50, 80, 8, 0, 0, false, true, 1, 1000, 0},
        {1, 6, 6, 15, 3, 0, 0, false, false, 1, 1000, 0},
        {1, 50, 50, 80, 8, 0, 0, false, false, 0.0625f, 30, 0},
        {1, 50, 50, 80, 8, 0, 0, false, false, 1, 0, 10000}, /* the first value far from the others */
        {1, 6, 6, 64, 4, 0, 0, false, false, 1, 3, -10000},
        {1, 6, 6, 64, 4, 0, 0, true, false, 60000, 0, 0}, /* near f16's largest */
        {1, 50, 50, 80, 8, 0, 0, true, false, 60000, 0, 0},
        {1, 6, 6, 64, 4, 0, 0, true, false, 1e-4f, 0, 0}, /* eps counts */
        {1, 6, 6, 64, 4, 0, 0, false, false, 0, 5, 0},    /* no deviation: y = b */
        {1, 50, 50, 80, 8, 0, 0, false, false, 0, 5, 0},
    };
    RUN_CASES(cases);
}

static void test_layer_norm(void **state) {
    (void)state;
    static const struct norm_case cases[] = {
        {1, 1, 77, 768, 0, 0, 0, false, false, 1, 0, 0},                                                    /* CLIP ViT-L, ViT-H */
        {1, 1, 9, 1024, 0, 0, 0, false, true, 1, 0, 0},     {2, 4, 4, 320, 0, 0, 0, false, false, 1, 0, 0}, /* SD's transformer blocks */
        {2, 2, 2, 640, 0, 0, 0, false, false, 1, 0, 0},     {1, 1, 5, 1280, 0, 0, 0, false, true, 1, 0, 0},
        {1, 1, 3, 2048, 0, 0, 0, false, false, 1, 0, 0}, /* the longest row of registers, and longer ones */
        {1, 1, 3, 2056, 0, 0, 0, false, false, 1, 0, 0},    {1, 1, 2, 5000, 0, 0, 0, false, false, 1, 0, 0},
        {1, 1, 1, 8, 0, 0, 0, false, false, 1, 0, 0},       {1, 1, 6, 1, 0, 0, 0, false, false, 1, 0, 0}, /* y = b */
        {1, 3, 3, 5, 0, 0, 0, false, true, 1, 0, 0},        {1, 1, 7, 77, 0, 3, 1, false, false, 1, 0, 0},
        {1, 1, 5, 64, 0, 8, 24, false, false, 1, 0, 0},     {1, 1, 5, 64, 0, 0, 1, false, false, 1, 0, 0},
        {1, 1, 5, 320, 0, 0, 0, false, false, 1, 1000, 0},  {1, 1, 5, 77, 0, 0, 0, false, false, 1, 1000, 0},
        {1, 1, 1, 320, 0, 0, 0, false, false, 60000, 0, 0}, {1, 1, 5, 320, 0, 0, 0, false, false, 0, 5, 0},
        {1, 1, 5, 320, 0, 0, 0, false, false, 1e-4f, 0, 0},
    };
    RUN_CASES(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_norm_of_models),
        cmocka_unit_test(test_group_norm_of_any_shape),
        cmocka_unit_test(test_group_norm_of_extremes),
        cmocka_unit_test(test_layer_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
