/* What cublaslt_linear computes, where the library is there and takes the shape, against the CPU device: with and without bias and
 * residual, strided views, every type; and that a product is the same in a recording. */
#include "cuda/gemm.h"
#include "test/pair.h"

struct cuda_device; /* a struct device of the CUDA device */
size_t cublaslt_scratch(const struct cuda_device *dev, enum dtype dtype, int64_t K);
int cublaslt_linear(struct cuda_device *dev, struct view y, struct view x, const void *w, const float *b, struct view residual);

static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};

struct product {
    int T, K, C, pad_x, pad_y;
    bool bias;
    enum { NO_RESIDUAL, RESIDUAL, IN_PLACE } residual;
    struct operand *y, *x, *r;
    struct weight *w, *b;
    int proposal; /* that computed it; -1: none */
    bool as_op;   /* not cuBLASLt alone, but linear, which falls back to our own kernels */
};

static void call_product(struct device *dev, int side, void *data) {
    struct product *p = data;
    struct weight *w = pair_weight(p->w, side), *b = pair_weight(p->b, side);
    struct view y = p->y->view[side], x = p->x->view[side], r = p->r ? p->r->view[side] : no_view;
    if (side == CPU_SIDE || dev->planning || p->as_op) dev->ops->linear(dev, y, x, w, b, ACT_NONE, r);
    if (side == CPU_SIDE) return;
    struct cuda_device *cuda = (struct cuda_device *)dev;
    if (p->as_op) p->proposal = gemm_proposal;
    else if (dev->planning) cublaslt_scratch(cuda, y.dtype, p->K);
    else p->proposal = cublaslt_linear(cuda, y, x, w->packed, b ? b->packed : NULL, r);
}

/* The sum of C products and the residual in f32, one rounding to y's type; the bias of 16-bit types is rounded before, as cuBLASLt wants.
 */
static double tolerance_of(enum dtype dtype, bool bias) {
    double unit = dtype == DT_F16 ? 0x1p-11 : dtype == DT_BF16 ? 0x1p-8 : 0;
    return (bias ? 2 : 1) * unit + 5e-6;
}

static struct pair *product_open(struct product *c, enum dtype dtype) {
    struct pair *p = pair_open(dtype);
    c->x = operand_new(p, 1, 1, 1, c->T, c->C, c->pad_x, 1, 0);
    c->y = operand_new(p, 2, 1, 1, c->T, c->K, c->pad_y, 1, 0);
    c->r = c->residual == NO_RESIDUAL ? NULL : c->residual == IN_PLACE ? c->y : operand_new(p, 3, 1, 1, c->T, c->K, 8, 1, 0);
    c->w = weight_new(p, WEIGHT_MATRIX, 4, (int64_t[]){c->K, c->C}, 2, 0.1f);
    c->b = c->bias ? weight_new(p, WEIGHT_VECTOR, 5, (int64_t[]){c->K}, 1, 1) : NULL;
    pair_run(p, call_product, c);
    return p;
}

static void test_products(void **state) {
    (void)state;
    static const struct product cases[] = {
        {.T = 64, .K = 40, .C = 32},
        {.T = 16, .K = 80, .C = 320, .bias = true},
        {.T = 9, .K = 64, .C = 48, .bias = true, .residual = RESIDUAL},
        {.T = 33, .K = 24, .C = 40, .pad_x = 8, .pad_y = 16, .bias = true, .residual = IN_PLACE},
        {.T = 7, .K = 24, .C = 64, .residual = RESIDUAL},
        {.T = 1, .K = 128, .C = 64, .bias = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
            struct product c = cases[i];
            struct pair *p = product_open(&c, dtypes[t]);
            if (c.proposal < 0) {
                pair_close(p);
                printf("cuBLASLt: not on this machine\n");
                skip();
            }
            char name[100];
            snprintf(name, sizeof name, "cublaslt T=%d K=%d C=%d pad=%d,%d%s residual=%d", c.T, c.K, c.C, c.pad_x, c.pad_y,
                     c.bias ? " bias" : "", c.residual);
            operand_compare(p, name, c.y, tolerance_of(dtypes[t], c.bias));
            pair_close(p);
        }
}

/* ---- in a recording ---------------------------------------------------------------------------------------------- */

struct repeated {
    struct pair *pair;
    struct product *product;
};

static void repeat(void *data) {
    struct repeated *r = data;
    call_product(r->pair->device[CUDA_SIDE], CUDA_SIDE, r->product);
    assert_true(r->product->proposal >= 0);
}

static void test_replayed(void **state) {
    (void)state;
    for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
        struct product c = {.T = 24, .K = 40, .C = 64, .bias = true, .residual = RESIDUAL};
        struct pair *p = product_open(&c, dtypes[t]);
        struct device *dev = p->device[CUDA_SIDE];
        struct repeated r = {p, &c};
        if (c.proposal < 0) {
            pair_close(p);
            skip();
        }
        struct recording *recording = dev->recording_new(dev);
        for (int i = 0; i < 4; i++) {
            float *other = calloc((size_t)c.T * (size_t)c.K, sizeof *other);
            dev->ops->upload(dev, c.y->view[CUDA_SIDE], other); /* so that a replay that does nothing shows */
            dev->replay(dev, recording, repeat, &r, sizeof r);
            operand_compare(p, "cublaslt replayed", c.y, tolerance_of(dtypes[t], true));
            free(other);
        }
        dev->recording_free(dev, recording);
        pair_close(p);
    }
}

/* The proposal that a table of measured products names; of the emulated library's four the last cannot run, and then the product is not
 * its; the op says so too, whose own kernels compute it. */
static void test_proposals(void **state) {
    (void)state;
    for (int i = 0; i < 2 * GEMM_PROPOSALS; i++) {
        int proposal = i / 2;
        struct device *dev = cuda_device_open(DT_F16, -1);
        bool emulated = !strcmp(dev->product, "emulated");
        const struct gemm_measured row = {dev->gpu.n_sms, 24, 40, 2, {0, 1, false}, proposal};
        dev->close(dev);
        if (!emulated) skip();
        struct gemm_table table = gemm_table;
        gemm_table = (struct gemm_table){&row, 1};
        struct product c = {.T = 24, .K = 40, .C = 64, .as_op = i % 2};
        struct pair *p = product_open(&c, DT_F16);
        gemm_table = table;
        assert_int_equal(c.proposal, proposal == 3 ? -1 : proposal < 3 ? proposal : 0);
        if (c.as_op || c.proposal >= 0) operand_compare(p, "a proposal", c.y, tolerance_of(DT_F16, false));
        pair_close(p);
    }
}

/* Without the library, the op's own kernels compute. */
static void test_missing(void **state) {
    (void)state;
    setenv("EMU_CUBLASLT", "0", 1); /* a real one is not hidden by it */
    for (int as_op = 0; as_op < 2; as_op++) {
        struct product c = {.T = 8, .K = 16, .C = 16, .bias = true, .as_op = as_op};
        struct pair *p = product_open(&c, DT_F32);
        if (as_op || c.proposal >= 0) operand_compare(p, "linear without cuBLASLt", c.y, tolerance_of(DT_F32, true));
        pair_close(p);
    }
    unsetenv("EMU_CUBLASLT");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_replayed),
        cmocka_unit_test(test_proposals),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
