/* The layers of the published models at their true size on a GPU: tensor cores against the plain path of the same device, three runs
 * bit-equal, what is written poisoned before. Emulated, shapes scaled down that reach every kernel that production takes. */
#include "cuda/forced.h"
#include "test/pair.h"

enum kind { CONV, LINEAR, GEGLU, ATTENTION, GROUP_NORM, LAYER_NORM };

/* CONV: n side C K up   LINEAR, GEGLU: rows C K   ATTENTION: n side heads D, keys 0: side²   GROUP_NORM: n side C   LAYER_NORM: rows C */
struct layer {
    enum kind kind;
    int n, side, C, K, more;
};

static const struct layer published[] = {
#include "test/gpu_shapes.h"
};

/* What the others are like, of a size that fibers can compute. */
static const struct layer small[] = {
    {CONV, 2, 12, 40, 168, 1},     {CONV, 1, 8, 64, 72, 2},        {CONV, 2, 6, 40, 168, 2},      {CONV, 1, 16, 4, 40, 1},
    {LINEAR, 300, 0, 72, 136, 0},  {CONV, 2, 20, 64, 4, 1},        {GEGLU, 140, 0, 40, 160, 0},   {ATTENTION, 2, 12, 2, 40, 0},
    {ATTENTION, 1, 12, 2, 64, 0},  {ATTENTION, 1, 9, 1, 80, 0},    {ATTENTION, 1, 9, 1, 160, 0},  {ATTENTION, 1, 8, 1, 512, 0},
    {ATTENTION, 2, 12, 2, 40, 77}, {GROUP_NORM, 2, 12, 320, 0, 0}, {GROUP_NORM, 1, 48, 64, 0, 0}, {LAYER_NORM, 70, 0, 640, 0, 0},
};

struct call {
    const struct layer *l;
    struct operand *y, *x, *k, *v;
    struct weight *w, *b;
};

static void call(struct device *dev, int side, void *data) {
    const struct call *c = data;
    const struct layer *l = c->l;
    struct view y = c->y->view[side], x = c->x->view[side];
    struct weight *w = pair_weight(c->w, side), *b = pair_weight(c->b, side);
    cuda_forced.plain = side == 0;
    switch (l->kind) {
    case CONV: {
        struct conv_shape shape = CONV_3X3;
        shape.upsample = l->more;
        dev->ops->conv2d(dev, y, x, w, b, no_view, no_view, shape);
        break;
    }
    case LINEAR: dev->ops->linear(dev, y, x, w, b, ACT_NONE, no_view); break;
    case GEGLU: dev->ops->linear_geglu(dev, y, x, w, b); break;
    case ATTENTION: dev->ops->attention(dev, y, x, c->k->view[side], c->v->view[side], l->C, false); break;
    case GROUP_NORM: dev->ops->group_norm(dev, y, x, w, b, 32, 1e-5f, true); break;
    case LAYER_NORM: dev->ops->layer_norm(dev, y, x, w, b, 1e-5f); break;
    }
    cuda_forced.plain = false;
}

/* y as bytes of f32, after a run into NaN. */
static void run_again(struct pair *p, struct call *c, float *out, const float *poison) {
    struct device *dev = p->device[CUDA_SIDE];
    struct view y = c->y->view[CUDA_SIDE];
    dev->ops->upload(dev, y, poison);
    call(dev, CUDA_SIDE, c);
    dev->ops->download(dev, out, y);
}

static void compare(const struct layer *l, enum dtype dtype, const char *how) {
    struct pair *p = calloc(1, sizeof *p);
    p->dtype = dtype;
    for (int s = 0; s < SIDES; s++) p->device[s] = cuda_device_open(dtype, -1);
    struct call c = {.l = l};
    int side = l->side, up = l->kind == CONV ? l->more : 1;
    bool rows = l->kind == LINEAR || l->kind == GEGLU || l->kind == LAYER_NORM;
    int H = rows ? 1 : side, N = rows ? 1 : l->n, W = rows ? l->n : side, C = l->kind == ATTENTION ? l->C * l->K : l->C;
    int K = l->kind == CONV || l->kind == LINEAR || l->kind == GEGLU ? l->K : C, sums = l->kind == GEGLU ? 2 * K : K;
    c.x = operand_new(p, 1, N, H, W, C, 0, 1, 0);
    c.y = operand_new(p, 2, N, H * up, W * up, K, 0, 1, 0);
    if (l->kind == ATTENTION) {
        c.k = operand_new(p, 3, l->more ? 1 : N, l->more ? 1 : H, l->more ? l->more : W, C, 0, 1, 0);
        c.v = operand_new(p, 4, l->more ? 1 : N, l->more ? 1 : H, l->more ? l->more : W, C, 0, 1, 0);
    } else {
        if (l->kind == CONV) c.w = weight_new(p, WEIGHT_CONV, 5, (int64_t[]){K, C, 3, 3}, 4, 1 / sqrtf(9 * (float)C));
        else if (l->kind == LINEAR || l->kind == GEGLU) c.w = weight_new(p, WEIGHT_MATRIX, 5, (int64_t[]){sums, C}, 2, 2 / sqrtf((float)C));
        else c.w = weight_new(p, WEIGHT_VECTOR, 5, (int64_t[]){C}, 1, 1);
        c.b = weight_new(p, WEIGHT_VECTOR, 6, (int64_t[]){sums}, 1, 1);
    }
    pair_run(p, call, &c);
    static const char *const names[] = {"convolution", "linear", "GEGLU", "attention", "group norm", "layer norm"};
    char name[128];
    snprintf(name, sizeof name, "%s %d %d %d %d %d%s", names[l->kind], l->n, l->side, l->C, l->K, l->more, how);
    /* both round the result; attention its probabilities, too */
    operand_compare(p, name, c.y, (dtype == DT_F16 ? 0x1p-11 : 0x1p-8) * (l->kind == ATTENTION ? 2.0 : 1.0) + 2e-5);

    size_t n = view_rows(c.y->view[0]) * (size_t)K;
    float *poison = malloc(n * sizeof *poison), *first = malloc(n * sizeof *first), *again = malloc(n * sizeof *again);
    for (size_t i = 0; i < n; i++) poison[i] = NAN;
    run_again(p, &c, first, poison);
    for (int i = 0; i < 2; i++) {
        run_again(p, &c, again, poison);
        if (memcmp(first, again, n * sizeof *first)) fail_msg("%s: two runs differ", name);
    }
    for (size_t i = 0; i < n; i++)
        if (isnan(first[i])) fail_msg("%s: value %zu was not written", name, i);
    free(poison), free(first), free(again);
    pair_close(p);
}

static void test_shapes(void **state) {
    (void)state;
    struct device *dev = cuda_device_open(DT_F16, -1);
    bool emulated = !strcmp(dev->product, "emulated");
    dev->close(dev);
    const struct layer *layers = emulated ? small : published;
    size_t n = emulated ? sizeof small / sizeof *small : sizeof published / sizeof *published;
    for (size_t i = 0; i < n; i++)
        for (enum dtype dtype = DT_F16; dtype <= DT_BF16; dtype++) {
            if (!emulated && (i + (dtype == DT_BF16)) % 2) continue; /* one or the other: there are hundreds */
            if (layers[i].kind != ATTENTION || !emulated) {
                compare(&layers[i], dtype, "");
                continue;
            }
            for (cuda_forced.flash = FLASH_LARGE; cuda_forced.flash <= FLASH_SMALL; cuda_forced.flash++)
                compare(&layers[i], dtype, cuda_forced.flash == FLASH_LARGE ? ", large blocks" : ", small blocks");
            cuda_forced.flash = FLASH_CHOSEN;
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
