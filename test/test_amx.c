/* What AMX computes, by the twin of its instructions (engine/cpu/amx_tile.h): the twin itself against values worked out by hand from
 * Intel's manual, then every op against float64 at the shapes of SD 1.5, 2.1, SDXL and their VAE, scaled down, and at ragged ones: in bf16,
 * in f32 by six products and by three. Where the CPU has AMX, its results and the twin's are the same bits. VERBOSE: errors, beside those
 * of the device without AMX. */
#include <fenv.h>
#include "test/support.h"
#define AMX_TWIN
#include "engine/cpu/amx_tile.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/isa.h"
#include "test/views.h"

/* ---- the instructions --------------------------------------------------------------------------------------------- */

/* Bytes as LDTILECFG reads them: palette at 0, bytes a row of tile t at 16 + 2t, rows at 48 + t. Tiles 0 to 2 are c, a and b of a product
 * of [m,2k] and [2k,n]. */
static void configure(int m, int k, int n) {
    _Alignas(64) uint8_t config[64] = {[0] = 1};
    config[16] = (uint8_t)(4 * n), config[48] = (uint8_t)m;
    config[18] = (uint8_t)(4 * k), config[49] = (uint8_t)m;
    config[20] = (uint8_t)(4 * n), config[50] = (uint8_t)k;
    tile_configure((const struct tile_config *)config);
}

/* One element of c: a [2k], b [2k], as bf16's bits where they are not whole numbers. */
static float dot_of(int k, const float *a, const float *b, float c) {
    uint16_t row[32], column[16][2];
    for (int i = 0; i < 2 * k; i++) row[i] = f32_to_bf16(a[i]), column[i / 2][i % 2] = f32_to_bf16(b[i]);
    configure(1, k, 1);
    tile_load(0, &c, 64);
    tile_load(1, row, 64);
    tile_load(2, column, 4);
    tile_dot(0, 1, 2);
    tile_store(0, &c, 64);
    return c;
}

#define expect_dot(k, a, b, c, want)                                                                                         \
    do {                                                                                                                     \
        float found_ = dot_of(k, (const float[])a, (const float[])b, c), want_ = want;                                       \
        if (memcmp(&found_, &want_, 4)) fail_msg("line %d: expected %a, found %a", __LINE__, (double)want_, (double)found_); \
    } while (0)
#define LIST(...) \
    { __VA_ARGS__ }

static void test_dot(void **state) {
    (void)state;
    expect_dot(1, LIST(2, 3), LIST(5, 7), 11, 2 * 5 + 3 * 7 + 11);
    expect_dot(2, LIST(1, 2, 3, 4), LIST(5, 6, 7, 8), 0, 70);
    /* even: 2^24, and 1 twice, each lost to rounding (ties to even); odd: 1 + 1; both: 2^24 + 2. c comes last, and rounds up to 2^24 + 4 */
    expect_dot(3, LIST(4096, 1, 1, 1, 1, 0), LIST(4096, 1, 1, 1, 1, 1), 0, 0x1p24f + 2);
    expect_dot(3, LIST(4096, 1, 1, 1, 1, 0), LIST(4096, 1, 1, 1, 1, 1), 1, 0x1p24f + 4);
    /* odd: the same the other way round */
    expect_dot(3, LIST(1, 4096, 1, 1, 0, 1), LIST(1, 4096, 1, 1, 1, 1), 1, 0x1p24f + 4);
    /* an FMA: a product below the normal numbers counts where the sum is not */
    expect_dot(2, LIST(0x1p-63f, 0, 0x1p-70f, 0), LIST(0x1p-63f, 0, 0x1p-70f, 0), 0, 0x1.0004p-126f);
    /* denormal results are zero, and denormal operands: of a, of b, of c */
    expect_dot(1, LIST(0x1p-70f, 0), LIST(0x1p-70f, 0), 0, 0);
    expect_dot(1, LIST(0x1p-127f, 0), LIST(0x1p100f, 0), 0, 0);
    expect_dot(1, LIST(0, 0x1p100f), LIST(0, 0x1p-133f), 0, 0);
    expect_dot(1, LIST(0, 0), LIST(0, 0), 0x1p-130f, 0);
    expect_dot(1, LIST(0x1p-60f, 0), LIST(0x1p-60f, 0), 0x1p-130f, 0x1p-120f);
    expect_dot(1, LIST(INFINITY, 1), LIST(1, 1), 0, INFINITY);
    assert_true(isnan(dot_of(1, (const float[]){INFINITY, 0}, (const float[]){0, 0}, 0)));
    assert_true(isnan(dot_of(1, (const float[]){NAN, 0}, (const float[]){0, 0}, 0)));
}

/* MXCSR is neither consulted nor changed. */
static void test_mxcsr(void **state) {
    (void)state;
    fesetround(FE_UPWARD);
    unsigned before = _mm_getcsr();
    float found = dot_of(2, (const float[]){4096, 0, 1, 0}, (const float[]){4096, 0, 1, 0}, 0);
    unsigned after = _mm_getcsr();
    fesetround(FE_TONEAREST);
    assert_true(found == 0x1p24f);
    assert_int_equal(before, after);
}

/* c [2,3] = a [2,4] b [4,3] by hand; rows anywhere; what lies beside the rows in memory stays. */
static void test_tile_shapes(void **state) {
    (void)state;
    const float a_rows[2][4] = {{1, 2, 3, 4}, {-1, 0, 2, 1}}, b_rows[4][3] = {{1, 0, 2}, {0, 1, 1}, {3, 1, 0}, {1, 2, 1}};
    const float want[2][3] = {{14, 13, 8}, {6, 4, -1}};
    uint16_t a[2][7], b[2][9];
    float c[2][5];
    for (int i = 0; i < 10; i++) c[i / 5][i % 5] = beside;
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < 4; k++) a[m][k] = f32_to_bf16(a_rows[m][k]);
    for (int k = 0; k < 4; k++)
        for (int n = 0; n < 3; n++) b[k / 2][2 * n + k % 2] = f32_to_bf16(b_rows[k][n]);
    configure(2, 2, 3);
    tile_zero(0);
    tile_load(1, a, sizeof a[0]);
    tile_load(2, b, sizeof b[0]);
    tile_dot(0, 1, 2);
    tile_store(0, c, sizeof c[0]);
    for (int m = 0; m < 2; m++)
        for (int n = 0; n < 5; n++) assert_true(c[m][n] == (n < 3 ? want[m][n] : beside));
    tile_configure(&(struct tile_config){.palette = 1, .row_bytes = {64}, .rows = {16}}); /* and all tiles are zero */
    float whole[16][16];
    tile_store(0, whole, 64);
    for (int i = 0; i < 256; i++) assert_true(whole[i / 16][i % 16] == 0);
    tile_release();
}

/* ---- the ops against float64 --------------------------------------------------------------------------------------- */

enum type { BF16, X3, X6, TYPES, WITHOUT = TYPES /* f32, the device without AMX */ };
static const char *const type_names[] = {"bf16", "x3", "x6", "f32 avx2"};
/* Largest root of mean squares of errors, by that of y: rounding y to bf16 costs 1.7e-3 (and P, in attention, as much again); of two parts
 * the third products are left out, 2^-18 each; of three nothing but f32's own rounding stays; f32 sums of 512 products in
 * a row, as heads of 512 have, cost 3.5e-7. And of any one value, as a multiple. */
static const double limits[] = {2.5e-3, 1e-5, 1e-6, 4e-7};
enum { WORST = 12 };

static struct device *device_of(enum type type, int n_threads) {
    setenv("DIFFUSE_ISA", type == WITHOUT ? "avx2" : "amx_twin", 1);
    struct device *dev = cpu_device_open(type == BF16 ? DT_BF16 : DT_F32, n_threads);
    if (type != WITHOUT) assert_string_equal(cpu_of(dev)->op_tables->isa, "amx_twin");
    if (type == X3) cpu_take_x3(dev);
    return dev;
}

/* About normal, rms 1. */
static float noise(int seed, size_t index) {
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        uint32_t i = (uint32_t)index * 4 + (uint32_t)k + (uint32_t)seed * 0x13C6EF36u;
        i = (i ^ i >> 16) * 0x85EBCA6Bu;
        i = (i ^ i >> 13) * 0xC2B2AE35u;
        i ^= i >> 16;
        sum += (float)(i >> 8) / (float)(1 << 23) - 1;
    }
    return sum * 0.8660254f;
}

/* A tensor in memory of its own, for the address sanitizer, `pad` channels wider. */
static struct view view_new(enum dtype dtype, int seed, int N, int H, int W, int C, int pad) {
    struct view v = {NULL, N, H, W, C, C + pad, dtype, (size_t)H * (size_t)W * (size_t)(C + pad)};
    v.p = malloc(view_rows(v) * (size_t)v.ld * view_item(v));
    for (size_t i = 0; i < view_rows(v) * (size_t)v.ld; i++) put(v, i, i % (size_t)v.ld < (size_t)C ? noise(seed, i) : beside);
    return v;
}

static double at(struct view v, int n, int h, int w, int c) {
    return (double)get(v, (((size_t)n * (size_t)v.H + (size_t)h) * (size_t)v.W + (size_t)w) * (size_t)v.ld + (size_t)c);
}

struct test_weight {
    struct weight w;
    struct tensor part;
    const struct tensor *parts[1];
    float *values;
};

/* What the device rounds to bf16 is rounded already: errors are then those of the product. */
static void weight_new(struct test_weight *t, enum type type, int seed, int rank, int K, int C, int R) {
    size_t n = (size_t)K * (size_t)C * (size_t)R * (size_t)R;
    float scale = rank == 1 ? 1 : 1 / sqrtf((float)(C * R * R));
    t->values = malloc(n * sizeof *t->values);
    for (size_t i = 0; i < n; i++) t->values[i] = dtype_round(noise(seed, i) * scale, type == BF16 && rank > 1 ? DT_BF16 : DT_F32);
    t->part = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = n * sizeof(float)};
    t->parts[0] = &t->part;
    t->w = (struct weight){.kind = rank == 4   ? WEIGHT_CONV
                                   : rank == 2 ? WEIGHT_MATRIX
                                               : WEIGHT_VECTOR,
                           .name = "w",
                           .rank = rank,
                           .shape = {K, C, R, R},
                           .n_parts = 1,
                           .parts = t->parts};
}

static void begin_run(struct device *dev, int n, struct test_weight *const weights[]) {
    dev->plan_end(dev);
    for (int i = 0; i < n; i++) {
        struct weight *w = &weights[i]->w;
        w->packed_bytes = dev->packed_bytes(dev, w);
        assert_true(w->packed_bytes > 0);
        w->packed = dev->alloc(dev, w->packed_bytes);
        memset(w->packed, 0xff, w->packed_bytes);
        assert_true(dev->pack(dev, w, (const void *[]){weights[i]->values}, NULL));
    }
    memset(cpu_of(dev)->scratch, 0xff, cpu_of(dev)->scratch_bytes); /* NaN */
}

/* y against want, dense; the limit times `factor`. */
static void compare(const char *what, enum type type, struct view y, const double *want, double factor) {
    size_t n = view_rows(y) * (size_t)y.C;
    double squares = 0, errors = 0, worst = 0;
    for (size_t i = 0; i < n; i++) squares += want[i] * want[i];
    double rms = sqrt(squares / (double)n), limit = limits[type] * factor;
    for (size_t row = 0; row < view_rows(y); row++)
        for (int c = 0; c < y.ld; c++) {
            float found = get(y, row * (size_t)y.ld + (size_t)c);
            if (c >= y.C) {
                if (found != beside) fail_msg("%s, %s: row %zu: channel %d beside y was overwritten", what, type_names[type], row, c);
                continue;
            }
            double error = fabs((double)found - want[row * (size_t)y.C + (size_t)c]) / rms;
            if (!(error <= WORST * limit))
                fail_msg("%s, %s: y[%zu,%d]: expected %.9g, found %.9g: error %.2g of the rms > %.2g", what, type_names[type], row, c,
                         want[row * (size_t)y.C + (size_t)c], (double)found, error, WORST * limit);
            errors += error * error;
            worst = fmax(worst, error);
        }
    double root = sqrt(errors / (double)n);
    if (getenv("VERBOSE")) printf("%-44s %-12s rms %.2e  worst %.2e\n", what, type_names[type], root, worst);
    if (!(root <= limit)) fail_msg("%s, %s: rms error %.2g > %.2g", what, type_names[type], root, limit);
}

static double gelu(double x) {
    return 0.5 * x * (1 + erf(x * sqrt(0.5)));
}

static double activated(double x, enum act act) {
    return act == ACT_SILU ? x / (1 + exp(-x)) : act == ACT_QUICK_GELU ? x / (1 + exp(-1.702 * x)) : act == ACT_GELU ? gelu(x) : x;
}

/* ---- linear, GEGLU ------------------------------------------------------------------------------------------------- */

static const struct linear_case {
    int N, T, C, K, pad;
    enum act act;
    int residual; /* 2: is y */
    bool bias, geglu;
} linear_cases[] = {
    {2, 64, 40, 40, 0, ACT_NONE, 2, true, false},  /* 64 x 64: 320 */
    {2, 32, 64, 64, 0, ACT_NONE, 1, true, false},  /* read as it lies */
    {2, 16, 160, 96, 8, ACT_NONE, 2, true, false}, /* and from a wider tensor */
    {2, 77, 96, 40, 0, ACT_NONE, 0, false, false}, /* text: 768, 1024, 2048 to keys and values */
    {1, 77, 64, 128, 3, ACT_QUICK_GELU, 0, true, false}, {1, 77, 65, 33, 1, ACT_GELU, 0, true, false},
    {2, 1, 40, 160, 0, ACT_SILU, 0, true, false},                                                        /* time */
    {1, 1, 1, 1, 0, ACT_NONE, 0, false, false},                                                          /* and the smallest */
    {1, 33, 31, 32, 0, ACT_NONE, 1, true, false},        {1, 129, 672, 31, 5, ACT_NONE, 1, true, false}, /* runs of steps */
    {1, 300, 1056, 70, 0, ACT_SILU, 2, true, false},     {2, 64, 40, 160, 0, ACT_NONE, 0, true, true},
    {1, 35, 80, 33, 3, ACT_NONE, 0, true, true},         {2, 16, 160, 640, 0, ACT_NONE, 0, true, true},
};

static double *linear_want(const struct linear_case *c, struct view x, struct view r, const struct test_weight *w,
                           const struct test_weight *b) {
    size_t T = view_rows(x), K = (size_t)c->K;
    double *want = malloc(T * K * sizeof *want);
    for (size_t t = 0; t < T; t++)
        for (size_t k = 0; k < K; k++) {
            double sum[2] = {0, 0};
            for (size_t half = 0; half < 1 + (size_t)c->geglu; half++) {
                for (size_t i = 0; i < (size_t)c->C; i++)
                    sum[half] += (double)get(x, t * (size_t)x.ld + i) * (double)w->values[(half * K + k) * (size_t)c->C + i];
                if (c->bias) sum[half] += (double)b->values[half * K + k];
            }
            want[t * K + k] = c->geglu ? sum[0] * gelu(sum[1]) : activated(sum[0], c->act);
            if (r.p) want[t * K + k] += (double)get(r, t * (size_t)r.ld + k);
        }
    return want;
}

static void run_linear(const struct linear_case *c, enum type type, int n_threads) {
    struct device *dev = device_of(type, n_threads);
    struct test_weight w, b;
    weight_new(&w, type, 2, 2, c->geglu ? 2 * c->K : c->K, c->C, 1);
    weight_new(&b, type, 3, 1, c->geglu ? 2 * c->K : c->K, 1, 1);
    struct view x = view_new(dev->dtype, 1, c->N, 1, c->T, c->C, c->pad), y = view_new(dev->dtype, 4, c->N, 1, c->T, c->K, 2 * c->pad);
    struct view r = c->residual == 2 ? y : c->residual ? view_new(dev->dtype, 5, c->N, 1, c->T, c->K, 3 * c->pad) : no_view;
    double *want = linear_want(c, x, r, &w, &b);
    for (int pass = 0; pass < 2; pass++) {
        if (c->geglu) dev->ops->linear_geglu(dev, y, x, &w.w, &b.w);
        else dev->ops->linear(dev, y, x, &w.w, c->bias ? &b.w : NULL, c->act, r);
        if (!pass) begin_run(dev, c->bias ? 2 : 1, (struct test_weight *[]){&w, &b});
    }
    char what[80];
    snprintf(what, sizeof what, "%s %dx%dx%d to %d, %d threads", c->geglu ? "geglu" : "linear", c->N, c->T, c->C, c->K, n_threads);
    compare(what, type, y, want, type == WITHOUT ? INFINITY : 1); /* oneDNN's own */
    if (r.p != y.p) free(r.p);
    free(x.p), free(y.p), free(want), free(w.values), free(b.values);
    dev->close(dev);
}

static void test_linear(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++)
        for (enum type type = 0; type < TYPES + (getenv("VERBOSE") != NULL); type++)
            for (int n_threads = 1; n_threads <= 3; n_threads += 2) run_linear(&linear_cases[i], type, n_threads);
}

/* ---- convolution --------------------------------------------------------------------------------------------------- */

static const struct conv_case {
    int N, H, W, C, K, R, Ho, Wo;
    struct conv_shape shape;
    int temb, residual, pad; /* temb 1: a row for each image, 2: one for all; residual 2: is y */
} conv_cases[] = {
    {2, 16, 16, 4, 40, 3, 16, 16, {1, 1, 1, 1, 1, 1}, 0, 0, 0},      /* conv_in */
    {2, 16, 16, 40, 4, 3, 16, 16, {1, 1, 1, 1, 1, 1}, 0, 0, 0},      /* conv_out */
    {2, 16, 16, 40, 80, 3, 16, 16, {1, 1, 1, 1, 1, 1}, 1, 0, 0},     /* resnets */
    {2, 8, 8, 80, 160, 3, 8, 8, {1, 1, 1, 1, 1, 1}, 1, 0, 16},       /* a slice of a wider tensor */
    {2, 4, 4, 320, 160, 3, 4, 4, {1, 1, 1, 1, 1, 1}, 0, 2, 0},       /* and many weights */
    {2, 2, 2, 160, 160, 3, 2, 2, {1, 1, 1, 1, 1, 1}, 2, 1, 0},       /* 8 x 8 */
    {2, 16, 16, 40, 40, 3, 8, 8, {2, 1, 1, 1, 1, 1}, 0, 0, 0},       /* down */
    {2, 8, 8, 80, 80, 3, 16, 16, {1, 1, 1, 1, 1, 2}, 0, 0, 0},       /* up */
    {1, 5, 7, 33, 65, 3, 9, 13, {1, 1, 1, 1, 1, 2}, 0, 1, 3},        /* up, cropped */
    {2, 6, 5, 48, 40, 1, 6, 5, {1, 0, 0, 0, 0, 1}, 1, 1, 5},         /* shortcuts */
    {2, 8, 8, 64, 40, 1, 8, 8, {1, 0, 0, 0, 0, 1}, 0, 2, 0},         /* as it lies */
    {1, 9, 7, 3, 64, 3, 9, 7, {1, 1, 1, 1, 1, 1}, 0, 0, 0},          /* the VAE's first and last */
    {1, 9, 7, 128, 3, 3, 9, 7, {1, 1, 1, 1, 1, 1}, 0, 0, 0},         /* */
    {1, 7, 9, 20, 12, 3, 3, 4, {2, 0, 0, 1, 1, 1}, 0, 0, 0},         /* its encoder's down */
    {1, 15, 18, 3, 32, 7, 8, 9, {2, 3, 3, 3, 3, 1}, 0, 0, 0},        /* what ResNets and patch embeddings ask for */
    {1, 35, 40, 3, 16, 16, 2, 2, {16, 0, 0, 0, 0, 1}, 0, 0, 0},      /* */
    {1, 11, 9, 8, 12, 6, 3, 3, {3, 1, 0, 2, 3, 1}, 0, 0, 2},         /* */
    {1, 1, 1, 32, 48, 3, 1, 1, {1, 1, 1, 1, 1, 1}, 0, 0, 0},         /* */
    {1, 5, 6, 16, 32, 2, 5, 6, {1, 0, 0, 1, 1, 1}, 0, 0, 0},         /* */
    {3, 100, 110, 96, 16, 3, 100, 110, {1, 1, 1, 1, 1, 1}, 1, 0, 0}, /* in pieces: rows of an image */
    {5, 40, 40, 192, 16, 3, 40, 40, {1, 1, 1, 1, 1, 1}, 1, 0, 0},    /* and images */
};

static double conv_sum(const struct conv_case *c, struct view x, const float *w, int n, int ho, int wo) {
    double sum = 0;
    for (int r = 0; r < c->R; r++)
        for (int s = 0; s < c->R; s++) {
            int h = ho * c->shape.stride + r - c->shape.top, v = wo * c->shape.stride + s - c->shape.left;
            int H = c->H * c->shape.upsample, W = c->W * c->shape.upsample;
            if (c->shape.upsample == 2) H = c->Ho, W = c->Wo; /* these have as much padding as R - 1 */
            if (h < 0 || h >= H || v < 0 || v >= W) continue;
            for (int i = 0; i < c->C; i++)
                sum += at(x, n, h / c->shape.upsample, v / c->shape.upsample, i) * (double)w[(i * c->R + r) * c->R + s];
        }
    return sum;
}

/* Of large ones every so many'th pixel; the others become what was found. */
static double *conv_want(const struct conv_case *c, struct view x, struct view temb, struct view r, const struct test_weight *w,
                         const struct test_weight *b, bool *kept) {
    size_t n_pixels = (size_t)c->N * (size_t)c->Ho * (size_t)c->Wo, step = n_pixels > 4000 ? 97 : 1;
    double *want = calloc(n_pixels * (size_t)c->K, sizeof *want);
    for (size_t p = 0; p < n_pixels; p++) {
        int n = (int)(p / (size_t)(c->Ho * c->Wo)), ho = (int)(p / (size_t)c->Wo) % c->Ho, wo = (int)(p % (size_t)c->Wo);
        kept[p] = p % step == 0;
        for (int k = 0; k < c->K && kept[p]; k++) {
            double sum = conv_sum(c, x, w->values + (size_t)k * (size_t)(c->C * c->R * c->R), n, ho, wo) + (double)b->values[k];
            if (temb.p) sum += at(temb, temb.N == 1 ? 0 : n, 0, 0, k);
            if (r.p) sum += at(r, n, ho, wo, k);
            want[p * (size_t)c->K + (size_t)k] = sum;
        }
    }
    return want;
}

static struct view run_conv(const struct conv_case *c, enum type type, int n_threads, bool check) {
    struct device *dev = device_of(type, n_threads);
    enum dtype dtype = dev->dtype;
    size_t n_pixels = (size_t)c->N * (size_t)c->Ho * (size_t)c->Wo;
    struct test_weight w, b;
    weight_new(&w, type, 2, 4, c->K, c->C, c->R);
    weight_new(&b, type, 3, 1, c->K, 1, 1);
    struct view x = view_new(dtype, 1, c->N, c->H, c->W, c->C, c->pad), y = view_new(dtype, 4, c->N, c->Ho, c->Wo, c->K, 2 * c->pad);
    struct view temb = c->temb ? view_new(dtype, 6, c->temb == 1 ? c->N : 1, 1, 1, c->K, c->pad) : no_view;
    struct view r = c->residual == 2 ? y : c->residual ? view_new(dtype, 5, c->N, c->Ho, c->Wo, c->K, 3 * c->pad) : no_view;
    bool *kept = malloc(n_pixels);
    double *want = check ? conv_want(c, x, temb, r, &w, &b, kept) : NULL;
    for (int pass = 0; pass < 2; pass++) {
        dev->ops->conv2d(dev, y, x, &w.w, &b.w, temb, r, c->shape);
        if (!pass) begin_run(dev, 2, (struct test_weight *[]){&w, &b});
    }
    for (size_t p = 0; check && p < n_pixels; p++)
        for (int k = 0; k < c->K && !kept[p]; k++) want[p * (size_t)c->K + (size_t)k] = (double)get(y, p * (size_t)y.ld + (size_t)k);
    char what[80];
    snprintf(what, sizeof what, "conv %dx%dx%dx%d to %d, %d threads", c->N, c->H, c->W, c->C, c->K, n_threads);
    if (check)
        compare(what, type, y, want, type == WITHOUT ? INFINITY : type == X6 && c->R > 1 ? 8 : 1); /* that one is not AMX's: Winograd */
    if (r.p != y.p) free(r.p);
    free(x.p), free(temb.p), free(want), free(kept), free(w.values), free(b.values);
    dev->close(dev);
    return y;
}

/* And the same bits whatever the number of threads, which decides where pieces end. */
static void test_conv2d(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++)
        for (enum type type = 0; type < TYPES + (getenv("VERBOSE") != NULL); type++) {
            const struct conv_case *c = &conv_cases[i];
            struct view one = run_conv(c, type, 1, true), three = run_conv(c, type, 3, type == BF16);
            assert_memory_equal(one.p, three.p, view_rows(one) * (size_t)one.ld * view_item(one));
            free(one.p), free(three.p);
        }
}

/* ---- attention ----------------------------------------------------------------------------------------------------- */

static const struct attention_case {
    int N, heads, D, Tq, Tk, pad;
    bool shared, causal;
} attention_cases[] = {
    {2, 2, 40, 64, 64, 0, false, false},  {2, 2, 80, 16, 16, 0, false, false}, {1, 1, 160, 64, 64, 0, false, false},
    {2, 5, 64, 36, 36, 0, false, false},  {2, 2, 40, 64, 77, 4, false, false}, {2, 3, 64, 64, 154, 0, true, false},
    {1, 1, 512, 70, 70, 0, false, false}, {1, 12, 64, 77, 77, 0, false, true}, {2, 2, 33, 45, 300, 3, false, false},
    {1, 2, 24, 300, 300, 0, false, true}, {1, 1, 8, 1, 1, 0, false, false},    {1, 2, 40, 31, 257, 0, false, false},
    {1, 1, 16, 513, 513, 1, false, true}, {3, 1, 72, 33, 1, 0, true, false},   {1, 1, 40, 32, 4096, 0, false, false},
};

static double *attention_want(const struct attention_case *c, struct view q, struct view k, struct view v) {
    int C = c->heads * c->D;
    double *want = calloc((size_t)c->N * (size_t)c->Tq * (size_t)C, sizeof *want), *s = malloc((size_t)c->Tk * sizeof *s);
    for (int i = 0; i < c->N * c->heads * c->Tq; i++) {
        int n = i / c->heads / c->Tq, h = i / c->Tq % c->heads, t = i % c->Tq, nk = c->shared ? 0 : n;
        int seen = c->causal ? t + 1 : c->Tk;
        double top = -INFINITY, sum = 0;
        for (int j = 0; j < seen; j++) {
            s[j] = 0;
            for (int d = 0; d < c->D; d++) s[j] += at(q, n, 0, t, h * c->D + d) * at(k, nk, 0, j, h * c->D + d) / sqrt(c->D);
            top = fmax(top, s[j]);
        }
        for (int j = 0; j < seen; j++) sum += s[j] = exp(s[j] - top);
        for (int j = 0; j < seen; j++)
            for (int d = 0; d < c->D; d++)
                want[((size_t)n * (size_t)c->Tq + (size_t)t) * (size_t)C + (size_t)(h * c->D + d)] +=
                    s[j] / sum * at(v, nk, 0, j, h * c->D + d);
    }
    free(s);
    return want;
}

static struct view run_attention(const struct attention_case *c, enum type type, int n_threads) {
    struct device *dev = device_of(type, n_threads);
    int C = c->heads * c->D, Nk = c->shared ? 1 : c->N;
    struct view q = view_new(dev->dtype, 1, c->N, 1, c->Tq, C, c->pad), k = view_new(dev->dtype, 2, Nk, 1, c->Tk, C, 2 * c->pad);
    struct view v = view_new(dev->dtype, 3, Nk, 1, c->Tk, C, 3 * c->pad), y = view_new(dev->dtype, 4, c->N, 1, c->Tq, C, c->pad);
    double *want = attention_want(c, q, k, v);
    for (int pass = 0; pass < 2; pass++) {
        dev->ops->attention(dev, y, q, k, v, c->heads, c->causal);
        if (!pass) begin_run(dev, 0, NULL);
    }
    char what[80];
    snprintf(what, sizeof what, "attention %dx%dx%d, %d to %d%s, %d threads", c->N, c->heads, c->D, c->Tq, c->Tk,
             c->causal ? " causal" : "", n_threads);
    compare(what, type, y, want, 2);
    free(q.p), free(k.p), free(v.p), free(want);
    dev->close(dev);
    return y;
}

static void test_attention(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof attention_cases / sizeof *attention_cases; i++)
        for (enum type type = 0; type <= TYPES; type++) {
            struct view one = run_attention(&attention_cases[i], type, 1), three = run_attention(&attention_cases[i], type, 3);
            assert_memory_equal(one.p, three.p, view_rows(one) * (size_t)one.ld * view_item(one));
            free(one.p), free(three.p);
        }
}

/* ---- the CPU's own instructions -------------------------------------------------------------------------------------- */

/* y [T,K] = x wᵀ by three parts, with nothing behind the product. */
static float *product_of(const char *isa, int T, int C, int K) {
    setenv("DIFFUSE_ISA", isa, 1);
    struct device *dev = cpu_device_open(DT_F32, 2);
    assert_string_equal(cpu_of(dev)->op_tables->isa, isa);
    struct test_weight w;
    weight_new(&w, X6, 2, 2, K, C, 1);
    struct view x = view_new(DT_F32, 1, 1, 1, T, C, 0), y = view_new(DT_F32, 4, 1, 1, T, K, 0);
    for (int pass = 0; pass < 2; pass++) {
        dev->ops->linear(dev, y, x, &w.w, NULL, ACT_NONE, no_view);
        if (!pass) begin_run(dev, 1, (struct test_weight *[]){&w});
    }
    free(x.p), free(w.values);
    dev->close(dev);
    return y.p;
}

static void test_native(void **state) {
    (void)state;
    if (!cpu_isa_runs(cpu_isas[0])) {
        printf("this CPU has no AMX: its instructions were not run\n");
        return;
    }
    float *native = product_of("amx", 77, 1056, 70), *by_twin = product_of("amx_twin", 77, 1056, 70);
    assert_memory_equal(native, by_twin, (size_t)77 * 70 * sizeof *native);
    free(native), free(by_twin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot),    cmocka_unit_test(test_mxcsr),     cmocka_unit_test(test_tile_shapes), cmocka_unit_test(test_linear),
        cmocka_unit_test(test_conv2d), cmocka_unit_test(test_attention), cmocka_unit_test(test_native),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
