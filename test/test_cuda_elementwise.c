/* The CUDA device's small ops against the CPU device: pointwise ones, embeddings, the model's input, and what passes between host and
 * device. */
#include "test/pair.h"

static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};
#define FOR_DTYPES(dtype) for (const enum dtype *dtype = dtypes; dtype < dtypes + sizeof dtypes / sizeof *dtypes; dtype++)

/* Half a unit in the last place of y's type, of values up to the largest, and the f32 arithmetic of both devices. */
static double tolerance_of(enum dtype dtype) {
    return dtype == DT_F16 ? 0x1p-11 + 1e-6 : dtype == DT_BF16 ? 0x1p-8 + 1e-6 : 1e-6;
}

/* ---- pointwise --------------------------------------------------------------------------------------------------- */

enum { SILU, ADD, ADD_TO_A, ADD_TO_B };
struct pointwise_case {
    int T, C, pad_y, pad_a, pad_b, op;
    float scale, factor;
};
struct pointwise_call {
    const struct pointwise_case *c;
    struct operand *y, *a, *b;
};

static void call_pointwise(struct device *dev, int side, void *data) {
    struct pointwise_call *p = data;
    if (p->c->op == SILU) dev->ops->silu(dev, p->y->view[side], p->a->view[side]);
    else dev->ops->add(dev, p->y->view[side], p->a->view[side], p->b->view[side], p->c->factor);
}

static void test_pointwise(void **state) {
    (void)state;
    static const struct pointwise_case cases[] = {
        {1, 1280, 0, 0, 0, SILU, 8, 1},    {3, 320, 0, 8, 0, SILU, 8, 1},    {5, 7, 1, 0, 0, SILU, 8, 1},      {7, 24, 3, 0, 0, SILU, 8, 1},
        {2, 64, 0, 0, 0, SILU, 300, 1},    {9, 40, 0, 0, 0, ADD, 1, 1},      {4, 64, 8, 16, 24, ADD, 1, 0.3f}, {5, 33, 0, 1, 2, ADD, 1, 1},
        {6, 16, 0, 0, 0, ADD_TO_A, 1, -2}, {6, 16, 0, 0, 0, ADD_TO_B, 1, 1}, {1, 1, 0, 0, 0, ADD, 1, 1},       {300, 8, 0, 0, 4, ADD, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) FOR_DTYPES(dtype) {
            const struct pointwise_case *c = &cases[i];
            struct pair *p = pair_open(*dtype);
            struct pointwise_call call = {.c = c};
            call.a = operand_new(p, 1, 1, 1, c->T, c->C, c->pad_a, c->scale, 0);
            call.b = operand_new(p, 2, 1, 1, c->T, c->C, c->pad_b, c->scale, 0);
            call.y = c->op == ADD_TO_A ? call.a : c->op == ADD_TO_B ? call.b : operand_new(p, 3, 1, 1, c->T, c->C, c->pad_y, 1, 0);
            pair_run(p, call_pointwise, &call);
            char name[80];
            snprintf(name, sizeof name, "%s %dx%d scale=%g", c->op == SILU ? "silu" : "add", c->T, c->C, (double)c->scale);
            operand_compare(p, name, call.y, tolerance_of(*dtype));
            pair_close(p);
        }
}

struct modulate_case {
    int N, H, W, C, pad, rows, without; /* 1: no scale, 2: no shift */
    enum act act;
};
struct modulate_call {
    const struct modulate_case *c;
    struct operand *y, *x, *scale, *shift;
};

static void call_modulate(struct device *dev, int side, void *data) {
    struct modulate_call *m = data;
    struct view scale = m->c->without & 1 ? no_view : m->scale->view[side], shift = m->c->without & 2 ? no_view : m->shift->view[side];
    dev->ops->modulate(dev, m->y->view[side], m->x->view[side], scale, shift, m->c->act);
}

static void test_modulate(void **state) {
    (void)state;
    static const struct modulate_case cases[] = {
        {2, 4, 4, 64, 0, 2, 0, ACT_SILU},  {2, 3, 5, 33, 1, 2, 0, ACT_NONE}, {3, 2, 2, 40, 8, 1, 0, ACT_SILU},
        {1, 8, 8, 320, 0, 1, 0, ACT_NONE}, {2, 3, 3, 16, 8, 1, 3, ACT_NONE}, {1, 2, 2, 7, 0, 1, 3, ACT_SILU},
        {2, 3, 3, 24, 0, 2, 1, ACT_GELU},  {2, 3, 3, 24, 8, 2, 2, ACT_RELU}, {1, 5, 5, 33, 0, 1, 3, ACT_RELU},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) FOR_DTYPES(dtype) {
            const struct modulate_case *c = &cases[i];
            struct pair *p = pair_open(*dtype);
            struct modulate_call call = {.c = c};
            call.x = operand_new(p, 1, c->N, c->H, c->W, c->C, c->pad, 3, 0);
            call.scale = operand_new(p, 2, c->rows, 1, 1, c->C, 2 * c->pad, 1, 0);
            call.shift = operand_new(p, 3, c->rows, 1, 1, c->C, c->pad, 1, 0);
            call.y = operand_new(p, 4, c->N, c->H, c->W, c->C, c->pad, 1, 0);
            pair_run(p, call_modulate, &call);
            char name[80];
            snprintf(name, sizeof name, "modulate %dx%dx%dx%d rows=%d without=%d act=%d", c->N, c->H, c->W, c->C, c->rows, c->without,
                     (int)c->act);
            operand_compare(p, name, call.y, tolerance_of(*dtype));
            pair_close(p);
        }
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

struct window_case {
    int N, H, W, Ho, Wo, C, pad;
    enum interpolation way;
    int R; /* 0: resize; else max_pool, and … */
    struct conv_shape shape;
};
struct window_call {
    const struct window_case *c;
    struct operand *y, *x;
};

static void call_window(struct device *dev, int side, void *data) {
    struct window_call *w = data;
    if (w->c->R) dev->ops->max_pool(dev, w->y->view[side], w->x->view[side], w->c->R, w->c->shape);
    else dev->ops->resize(dev, w->y->view[side], w->x->view[side], w->c->way);
}

static void test_windows(void **state) {
    (void)state;
    static const struct window_case cases[] = {
        {2, 3, 5, 6, 10, 16, 0, INTERPOLATE_CORNERS, 0, {0}}, {1, 5, 4, 7, 9, 33, 3, INTERPOLATE_CENTERS, 0, {0}},
        {1, 7, 9, 5, 3, 24, 8, INTERPOLATE_CENTERS, 0, {0}},  {1, 4, 4, 1, 4, 8, 0, INTERPOLATE_CORNERS, 0, {0}},
        {1, 6, 6, 6, 6, 8, 0, INTERPOLATE_CENTERS, 0, {0}},   {2, 3, 5, 7, 11, 16, 0, INTERPOLATE_NEAREST, 0, {0}},
        {1, 6, 1, 12, 3, 33, 3, INTERPOLATE_NEAREST, 0, {0}}, {1, 8, 7, 3, 7, 24, 8, INTERPOLATE_NEAREST, 0, {0}},
        {2, 6, 8, 3, 4, 16, 0, 0, 3, {2, 0, 0, 1, 1, 1}},     {1, 7, 5, 4, 3, 33, 3, 0, 3, {2, 1, 1, 1, 1, 1}},
        {1, 4, 4, 2, 2, 8, 8, 0, 1, {3, 0, 0, 0, 0, 1}},      {1, 3, 3, 7, 7, 4, 0, 0, 5, {1, 4, 4, 4, 4, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) FOR_DTYPES(dtype) {
            const struct window_case *c = &cases[i];
            struct pair *p = pair_open(*dtype);
            struct window_call call = {.c = c};
            call.x = operand_new(p, 1, c->N, c->H, c->W, c->C, c->pad, 3, 0);
            call.y = operand_new(p, 2, c->N, c->Ho, c->Wo, c->C, 2 * c->pad, 1, 0);
            pair_run(p, call_window, &call);
            char name[80];
            snprintf(name, sizeof name, "%s %dx%d to %dx%d", c->R ? "max_pool" : "resize", c->H, c->W, c->Ho, c->Wo);
            operand_compare(p, name, call.y, c->R || c->way == INTERPOLATE_NEAREST ? 0 : tolerance_of(*dtype));
            pair_close(p);
        }
}

/* ---- embeddings -------------------------------------------------------------------------------------------------- */

enum { VOCABULARY = 50, POSITIONS = 20 };

struct embed_call {
    struct operand *y;
    struct weight *table, *pos;
    const int32_t *ids;
};

static void call_embed(struct device *dev, int side, void *data) {
    struct embed_call *e = data;
    dev->ops->embed(dev, e->y->view[side], e->ids, pair_weight(e->table, side), e->pos ? pair_weight(e->pos, side) : NULL);
}

static void test_embed(void **state) {
    (void)state;
    static const int32_t ids[POSITIONS] = {49, 0, 7, 7, 48, 1, 2, 3, 5, 8, 13, 21, 34, 49, 49, 0, 10, 20, 30, 40};
    static const int sizes[][4] = {{POSITIONS, 64, 0, 1}, {1, 8, 0, 1}, {7, 33, 2, 1}, {12, 768, 8, 1}, {9, 40, 8, 0}}; /* T, C, pad, pos */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) FOR_DTYPES(dtype) {
            int T = sizes[i][0], C = sizes[i][1];
            struct pair *p = pair_open(*dtype);
            struct embed_call call = {.ids = ids};
            call.y = operand_new(p, 1, 1, 1, T, C, sizes[i][2], 1, 0);
            call.table = weight_new(p, WEIGHT_TABLE, 2, (int64_t[]){VOCABULARY, C}, 2, 1);
            if (sizes[i][3]) call.pos = weight_new(p, WEIGHT_TABLE, 3, (int64_t[]){POSITIONS, C}, 2, 1);
            pair_run(p, call_embed, &call);
            char name[80];
            snprintf(name, sizeof name, "embed %dx%d", T, C);
            operand_compare(p, name, call.y, tolerance_of(*dtype));
            pair_close(p);
        }
}

struct timestep_call {
    struct operand *y;
    const float *t;
    bool flip;
    float shift;
};

static void call_timestep(struct device *dev, int side, void *data) {
    struct timestep_call *c = data;
    dev->ops->timestep_embed(dev, c->y->view[side], c->t, c->flip, c->shift);
}

static void test_timestep_embed(void **state) {
    (void)state;
    static const float t[] = {0, 1, 999, 500.5f, 41, 981, 0.25f};
    static const struct {
        int T, C, pad;
        bool flip;
        float shift;
    } cases[] = {{7, 320, 0, true, 0}, {7, 128, 0, false, 1}, {1, 2, 0, true, 0}, {3, 6, 1, false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) FOR_DTYPES(dtype) {
            struct pair *p = pair_open(*dtype);
            struct timestep_call call = {NULL, t, cases[i].flip, cases[i].shift};
            call.y = operand_new(p, 1, 1, 1, cases[i].T, cases[i].C, cases[i].pad, 1, 0);
            pair_run(p, call_timestep, &call);
            char name[80];
            snprintf(name, sizeof name, "timestep_embed %dx%d flip=%d shift=%g", cases[i].T, cases[i].C, cases[i].flip,
                     (double)cases[i].shift);
            /* expf may differ by two units in the last place between libraries: at t = 999, 2.4e-4 of the sine's argument */
            operand_compare(p, name, call.y, tolerance_of(*dtype) + 2.4e-4);
            pair_close(p);
        }
}

/* ---- to and from the host ---------------------------------------------------------------------------------------- */

static struct device *device_ready(enum dtype dtype) {
    struct device *dev = cuda_device_open(dtype, -1);
    dev->plan_end(dev);
    return dev;
}

/* Tensors of more than one piece, of any width, come back as they went; channels beside them stay. */
static void test_upload_download(void **state) {
    (void)state;
    static const int sizes[][5] = {
        {1, 1, 1, 1, 0}, {2, 3, 5, 7, 0}, {1, 9, 9, 16, 3}, {1, 300, 300, 4, 0}, {1, 40, 50, 160, 8}}; /* N H W C pad */
    FOR_DTYPES(dtype) {
        struct device *dev = device_ready(*dtype);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int N = sizes[s][0], H = sizes[s][1], W = sizes[s][2], C = sizes[s][3], ld = C + sizes[s][4];
            size_t rows = (size_t)N * (size_t)H * (size_t)W, n = rows * (size_t)ld;
            float *x = malloc(n * sizeof *x), *got = malloc(n * sizeof *got);
            struct view whole = view_dense(dev->alloc(dev, n * dtype_table[*dtype].size), *dtype, N, H, W, ld), slice = whole;
            slice.C = C;
            for (size_t i = 0; i < n; i++) x[i] = beside;
            dev->ops->upload(dev, whole, x);
            for (size_t i = 0; i < rows * (size_t)C; i++) x[i] = 3 * pair_value(1, i);
            dev->ops->upload(dev, slice, x);
            dev->ops->download(dev, got, slice);
            for (size_t i = 0; i < rows * (size_t)C; i++)
                if (got[i] != round_to(*dtype, x[i])) fail_msg("slice[%zu]: %g, not %g", i, (double)got[i], (double)round_to(*dtype, x[i]));
            dev->ops->download(dev, got, whole);
            for (size_t i = 0; i < n; i++) {
                size_t c = i % (size_t)ld;
                float want = c < (size_t)C ? round_to(*dtype, x[i / (size_t)ld * (size_t)C + c]) : beside;
                if (got[i] != want) fail_msg("whole[%zu]: %g, not %g", i, (double)got[i], (double)want);
            }
            free(x), free(got);
        }
        dev->close(dev);
    }
}

/* Bytes, and the count of what is not finite, as the CPU's, to the last bit: every value of f16, and of f32 those that fall between bytes.
 */
static void test_rgb8(void **state) {
    (void)state;
    enum { H = 151, W = 149, N = H * W * 3 };
    FOR_DTYPES(dtype) {
        struct device *cpu = cpu_device_open(DT_F32, 2), *dev = device_ready(*dtype);
        void *on_device = dev->alloc(dev, N * dtype_table[*dtype].size);
        float *values = malloc(N * sizeof *values);
        uint8_t *want = malloc(N), *got = malloc(N);
        for (int i = 0; i < N; i++)
            values[i] = round_to(*dtype, i < 511           ? (float)i / 255 - 1
                                         : i < 65536 + 511 ? f16_to_f32((uint16_t)(i - 511))
                                                           : 2 * pair_value(1, (size_t)i));
        cpu->plan_end(cpu);
        for (int C = 3; C > 0; C -= 2) {
            struct view x = view_dense(on_device, *dtype, 1, H, W * 3 / C, C);
            int64_t n_want = cpu->ops->to_rgb8(cpu, want, view_dense(values, DT_F32, 1, H, W * 3 / C, C));
            dev->ops->upload(dev, x, values);
            int64_t n_got = dev->ops->to_rgb8(dev, got, x);
            assert_int_equal(n_got, n_want);
            assert_true(n_want > 2000); /* f16's infinities and NaNs */
            for (int i = 0; i < N; i++)
                if (got[i] != want[i])
                    fail_msg("%s: to_rgb8(%.9g): %d, not %d", dtype_table[*dtype].name, (double)values[i], got[i], want[i]);
        }
        dev->close(dev);
        cpu->close(cpu);
        free(values), free(want), free(got);
    }
}

/* More uploads than there are pinned slots, none waited for, of sizes that grow. */
static void test_latents(void **state) {
    (void)state;
    enum { UPLOADS = 8, N = 2, C = 4, MOST = N * 13 * 9 * C };
    struct device *dev = device_ready(DT_F16);
    float *x = malloc(MOST * sizeof *x), *got = malloc(MOST * sizeof *got), *on_device[UPLOADS];
    struct view dense[UPLOADS];
    for (int u = 0; u < UPLOADS; u++) {
        int H = u < 4 ? 5 : 13, W = u < 4 ? 7 : 9;
        on_device[u] = dev->alloc(dev, MOST * sizeof *x);
        for (int i = 0; i < N * H * W * C; i++) x[i] = pair_value(u, (size_t)i);
        dev->ops->upload_latents(dev, on_device[u], x, N, H, W, C);
        dense[u] = view_dense(NULL, dev->dtype, N, H, W, C);
    }
    for (int u = 0; u < UPLOADS; u++) {
        int HW = dense[u].H * dense[u].W;
        dev->ops->download_latents(dev, got, on_device[u], N, dense[u].H, dense[u].W, C);
        for (int i = 0; i < N * HW * C; i++)
            if (got[i] != pair_value(u, (size_t)i)) fail_msg("upload %d, value %d: %g", u, i, (double)got[i]);
        /* and pixel by pixel on the device: model_input reads it so */
        struct view y = dense[u];
        y.p = dev->alloc(dev, (size_t)(N * HW * C) * 2);
        dev->ops->model_input(dev, y, on_device[u], 2);
        dev->ops->download(dev, got, y);
        for (int n = 0; n < N; n++)
            for (int i = 0; i < HW; i++)
                for (int c = 0; c < C; c++) {
                    float want = round_to(DT_F16, 2 * pair_value(u, (size_t)((n * C + c) * HW + i)));
                    float have = got[(n * HW + i) * C + c];
                    if (have != want)
                        fail_msg("upload %d, image %d, pixel %d, channel %d: %g, not %g", u, n, i, c, (double)have, (double)want);
                }
    }
    dev->close(dev);
    free(x), free(got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointwise), cmocka_unit_test(test_modulate),       cmocka_unit_test(test_windows),
        cmocka_unit_test(test_embed),     cmocka_unit_test(test_timestep_embed), cmocka_unit_test(test_upload_download),
        cmocka_unit_test(test_rgb8),      cmocka_unit_test(test_latents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
