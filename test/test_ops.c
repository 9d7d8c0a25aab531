/* Every op of the CPU device but conv2d against PyTorch: the cases of fixtures/ops/ops.safetensors, whose names carry
 * the parameters (test/reference/make_ops.py), for 1 to 3 threads and, where the CPU has it, in bf16. Checked with
 * each: channels beside a strided view stay as they were, and no result depends on what scratch held before. */
#include <math.h>
#include "test/support.h"
#include "test/isas.h"
#include "engine/cpu/cpu.h"
#include "engine/base/error.h"
#include "test/views.h"

enum { SEED_X = 1, SEED_W, SEED_B, SEED_R, SEED_Q, SEED_K, SEED_V };
enum { WEIGHTS = 2 };

/* Uniform in [-1, 1), as operand() of make_ops.py. */
static float operand(int seed, size_t index) {
    uint32_t i = (uint32_t)index + (uint32_t)seed * 0x13C6EF36u;
    i = (i ^ i >> 16) * 0x85EBCA6Bu;
    i = (i ^ i >> 13) * 0xC2B2AE35u;
    i ^= i >> 16;
    return (float)(i >> 8) / (float)(1 << 23) - 1;
}

/* ---- a case ------------------------------------------------------------------------------------------------------ */

struct test_case {
    const char *name;
    const float *want; /* every step-th row of y */
    struct device *dev;
};

/* The value of " key=value" in the case's name; `absent` where it has none. */
static double param_or(const struct test_case *t, const char *key, double absent) {
    char text[32];
    snprintf(text, sizeof text, " %s=", key);
    const char *at = strstr(t->name, text);
    return at ? strtod(at + strlen(text), NULL) : absent;
}

static double param(const struct test_case *t, const char *key) {
    double value = param_or(t, key, NAN);
    if (isnan(value)) fail_msg("%s: no parameter '%s'", t->name, key);
    return value;
}

static int number(const struct test_case *t, const char *key) {
    return (int)param(t, key);
}

/* A weight as loading makes it, of one f32 part. */
struct test_weight {
    struct weight w;
    struct tensor part;
    const struct tensor *parts[1];
    float *values;
};

static void weight_new(struct test_weight *t, enum weight_kind kind, int seed, int K, int C, int exponent) {
    size_t n = (size_t)K * (size_t)C;
    t->values = malloc(n * sizeof *t->values);
    for (size_t i = 0; i < n; i++) t->values[i] = ldexpf(operand(seed, i), exponent);
    t->part = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = n * sizeof(float)};
    t->parts[0] = &t->part;
    t->w = (struct weight){
        .kind = kind, .name = "w", .rank = kind == WEIGHT_VECTOR ? 1 : 2, .shape = {K, C, 1, 1}, .n_parts = 1, .parts = t->parts};
}

static void weight_pack(struct device *dev, struct test_weight *t) {
    t->w.packed_bytes = dev->packed_bytes(dev, &t->w);
    assert_true(t->w.packed_bytes > 0);
    t->w.packed = dev->alloc(dev, t->w.packed_bytes);
    assert_true(dev->pack(dev, &t->w, (const void *[]){t->values}, NULL));
}

/* operand() * 2^exp + offset, [N,H,W,C] in a tensor `pad` channels wider, in memory of its own for the address
 * sanitizer. */
static struct view view_new(const struct test_case *t, int seed, int N, int H, int W, int C, int pad) {
    struct view v = {NULL, N, H, W, C, C + pad, t->dev->dtype, (size_t)H * (size_t)W * (size_t)(C + pad)};
    int exponent = seed == SEED_X || seed == SEED_Q ? (int)param_or(t, "exp", 0) : 0;
    float offset = seed == SEED_X ? (float)param_or(t, "offset", 0) : 0;
    v.p = malloc(view_rows(v) * (size_t)v.ld * dtype_table[t->dev->dtype].size);
    for (size_t i = 0; i < view_rows(v) * (size_t)v.ld; i++) {
        size_t row = i / (size_t)v.ld, c = i % (size_t)v.ld;
        put(v, i, c < (size_t)C ? ldexpf(operand(seed, row * (size_t)C + c), exponent) + offset : beside);
    }
    return v;
}

static void compare(const struct test_case *t, struct view y) {
    size_t step = (size_t)number(t, "step");
    double tolerance = param(t, t->dev->dtype == DT_F32 ? "tol" : "tol16"), worst = 0;
    for (size_t row = 0; row < view_rows(y); row++)
        for (int c = 0; c < y.ld; c++) {
            float found = get(y, row * (size_t)y.ld + (size_t)c);
            if (c >= y.C) {
                if (found != beside) fail_msg("%s: row %zu: channel %d beside y was overwritten by %g", t->name, row, c, (double)found);
            } else if (row % step == 0) {
                float want = t->want[row / step * (size_t)y.C + (size_t)c];
                double error = fabs((double)found - (double)want);
                if (!(error <= tolerance))
                    fail_msg("%s, %s, %d threads: y[%zu,%d]: expected %.9g, found %.9g, error %.3g > %.3g", t->name,
                             dtype_table[t->dev->dtype].name, pool_threads(t->dev->pool), row, c, (double)want, (double)found, error,
                             tolerance);
                worst = fmax(worst, error);
            }
        }
    if (getenv("VERBOSE")) printf("%-110s %.1e of %.1e\n", t->name, worst, tolerance);
}

/* Planning is over: packs the weights and fills scratch with NaN. */
static void begin_run(struct test_case *t, int n_weights, struct test_weight *weights) {
    t->dev->plan_end(t->dev);
    for (int i = 0; i < n_weights; i++) weight_pack(t->dev, &weights[i]);
    memset(cpu_of(t->dev)->scratch, 0xff, cpu_of(t->dev)->scratch_bytes);
}

static void free_all(int n_weights, struct test_weight *weights, int n_views, const struct view *views) {
    for (int i = 0; i < n_weights; i++) free(weights[i].values);
    for (int i = 0; i < n_views; i++) {
        bool again = false; /* in place: the same memory under two names */
        for (int j = 0; j < i; j++) again = again || views[j].p == views[i].p;
        if (!again) free(views[i].p);
    }
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

static void case_linear(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), K = number(t, "K"), pad = number(t, "pad"), residual = number(t, "residual");
    bool bias = number(t, "bias");
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_MATRIX, SEED_W, K, C, -2);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, K, 1, 0);
    struct view x = view_new(t, SEED_X, 1, 1, T, C, pad), y = view_new(t, SEED_R, 1, 1, T, K, 2 * pad);
    struct view r = residual == 1 ? view_new(t, SEED_R, 1, 1, T, K, 3 * pad) : residual == 2 ? y : no_view;
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->linear(t->dev, y, x, &w[0].w, bias ? &w[1].w : NULL, (enum act)number(t, "act"), r);
        if (!pass) begin_run(t, bias ? 2 : 1, w);
    }
    compare(t, y);
    free_all(2, w, 3, (struct view[]){x, y, r});
}

static void case_geglu(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), K = number(t, "K"), pad = number(t, "pad");
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_MATRIX, SEED_W, 2 * K, C, -1);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, 2 * K, 1, 0);
    struct view x = view_new(t, SEED_X, 1, 1, T, C, pad), y = view_new(t, SEED_R, 1, 1, T, K, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->linear_geglu(t->dev, y, x, &w[0].w, &w[1].w);
        if (!pass) begin_run(t, 2, w);
    }
    compare(t, y);
    free_all(2, w, 2, (struct view[]){x, y});
}

static void case_group_norm(struct test_case *t) {
    int N = number(t, "N"), H = number(t, "H"), W = number(t, "W"), C = number(t, "C"), pad = number(t, "pad");
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_VECTOR, SEED_W, C, 1, 0);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, C, 1, 0);
    struct view x = view_new(t, SEED_X, N, H, W, C, pad), y = number(t, "in_place") ? x : view_new(t, SEED_R, N, H, W, C, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->group_norm(t->dev, y, x, &w[0].w, &w[1].w, number(t, "groups"), (float)param(t, "eps"), number(t, "silu"));
        if (!pass) begin_run(t, 2, w);
    }
    compare(t, y);
    free_all(2, w, 2, (struct view[]){x, y});
}

static void case_layer_norm(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), pad = number(t, "pad");
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_VECTOR, SEED_W, C, 1, 0);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, C, 1, 0);
    struct view x = view_new(t, SEED_X, 1, 1, T, C, pad), y = number(t, "in_place") ? x : view_new(t, SEED_R, 1, 1, T, C, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->layer_norm(t->dev, y, x, &w[0].w, &w[1].w, (float)param(t, "eps"));
        if (!pass) begin_run(t, 2, w);
    }
    compare(t, y);
    free_all(2, w, 2, (struct view[]){x, y});
}

static void case_attention(struct test_case *t) {
    int N = number(t, "N"), heads = number(t, "heads"), D = number(t, "D"), Tq = number(t, "Tq"), Tk = number(t, "Tk");
    int pad = number(t, "pad"), C = heads * D, Nk = number(t, "shared") ? 1 : N;
    struct view q = view_new(t, SEED_Q, N, 1, Tq, C, pad), k = view_new(t, SEED_K, Nk, Tk, 1, C, 2 * pad);
    struct view v = view_new(t, SEED_V, Nk, 1, Tk, C, 3 * pad), y = view_new(t, SEED_R, N, Tq, 1, C, pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->attention(t->dev, y, q, k, v, heads, number(t, "causal"));
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 4, (struct view[]){q, k, v, y});
}

static void case_silu(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), pad = number(t, "pad");
    struct view x = view_new(t, SEED_X, 1, 1, T, C, pad), y = number(t, "in_place") ? x : view_new(t, SEED_R, 1, 1, T, C, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->silu(t->dev, y, x);
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 2, (struct view[]){x, y});
}

static void case_modulate(struct test_case *t) {
    int N = number(t, "N"), H = number(t, "H"), W = number(t, "W"), C = number(t, "C"), pad = number(t, "pad");
    int rows = number(t, "per_image") ? N : 1;
    int without = number(t, "without"); /* 1: scale; 2: shift */
    struct view x = view_new(t, SEED_X, N, H, W, C, pad), y = number(t, "in_place") ? x : view_new(t, SEED_R, N, H, W, C, 2 * pad);
    struct view scale = view_new(t, SEED_W, rows, 1, 1, C, 3 * pad), shift = view_new(t, SEED_B, rows, 1, 1, C, pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->modulate(t->dev, y, x, without & 1 ? no_view : scale, without & 2 ? no_view : shift, (enum act)number(t, "act"));
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 4, (struct view[]){x, y, scale, shift});
}

static void case_add(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), pad = number(t, "pad");
    struct view a = view_new(t, SEED_X, 1, 1, T, C, pad), b = view_new(t, SEED_R, 1, 1, T, C, 2 * pad);
    struct view y = number(t, "in_place") ? b : view_new(t, SEED_Q, 1, 1, T, C, 3 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->add(t->dev, y, a, b, 1);
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 3, (struct view[]){a, b, y});
}

static void case_embed(struct test_case *t) {
    int T = number(t, "T"), C = number(t, "C"), V = number(t, "V"), P = number(t, "P");
    int32_t ids[128];
    assert_true(T <= 128);
    for (int i = 0; i < T; i++) ids[i] = i * 3 % V;
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_TABLE, SEED_W, V, C, 0);
    weight_new(&w[1], WEIGHT_TABLE, SEED_B, P ? P : 1, C, 0);
    struct view y = view_new(t, SEED_R, 1, 1, T, C, 0);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->embed(t->dev, y, ids, &w[0].w, P ? &w[1].w : NULL);
        if (!pass) begin_run(t, P ? 2 : 1, w);
    }
    compare(t, y);
    free_all(2, w, 1, &y);
}

static void case_resize(struct test_case *t) {
    int N = number(t, "N"), C = number(t, "C"), pad = number(t, "pad");
    struct view x = view_new(t, SEED_X, N, number(t, "H"), number(t, "W"), C, pad);
    struct view y = view_new(t, SEED_R, N, number(t, "Ho"), number(t, "Wo"), C, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->resize(t->dev, y, x, (enum interpolation)number(t, "way"));
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 2, (struct view[]){x, y});
}

static void case_max_pool(struct test_case *t) {
    int N = number(t, "N"), H = number(t, "H"), W = number(t, "W"), C = number(t, "C"), pad = number(t, "pad"), R = number(t, "R");
    int low = number(t, "low"), high = number(t, "high"), stride = number(t, "stride");
    struct view x = view_new(t, SEED_X, N, H, W, C, pad);
    struct view y = view_new(t, SEED_R, N, (H + low + high - R) / stride + 1, (W + low + high - R) / stride + 1, C, 2 * pad);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->max_pool(t->dev, y, x, R, (struct conv_shape){stride, low, low, high, high, 1});
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 2, (struct view[]){x, y});
}

static void case_timestep_embed(struct test_case *t) {
    const float steps[] = {0, 1, 500.25f, 999};
    struct view y = view_new(t, SEED_R, 1, 1, 4, number(t, "dim"), 0);
    for (int pass = 0; pass < 2; pass++) {
        t->dev->ops->timestep_embed(t->dev, y, steps, number(t, "flip"), (float)param(t, "shift"));
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 1, &y);
}

static float *dense_new(int seed, size_t n) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = operand(seed, i);
    return x;
}

static void case_model_input(struct test_case *t) {
    int N = number(t, "N"), H = number(t, "H"), W = number(t, "W"), C = number(t, "C"), copies = number(t, "copies");
    struct view y = view_new(t, SEED_R, copies * N, H, W, C, number(t, "pad"));
    float *x = dense_new(SEED_X, (size_t)N * H * W * C);
    for (int pass = 0; pass < 2; pass++) {
        struct sched_row row = {.in_scale = (float)param(t, "scale")};
        t->dev->ops->set_schedule(t->dev, &row, 1, 0);
        t->dev->ops->next_row(t->dev, no_view, no_view);
        t->dev->ops->row_input(t->dev, y, &(struct latents){N, H, W, C, .x = x}, copies);
        if (!pass) begin_run(t, 0, NULL);
    }
    compare(t, y);
    free_all(0, NULL, 1, &y);
    free(x);
}

/* ---- sched_step -------------------------------------------------------------------------------------------------- */

enum { ROW_FLOATS = 24, MODEL_SEED = 20, NOISE_SEED = 40 };

static const char *const fixture_path = "test/fixtures/ops/ops.safetensors";
static struct arena fixture_arena;
static struct st_file *fixture;

static struct sched_row row_of(const float *p) {
    struct sched_row r = {.push = p[0] != 0,
                          .save = p[1] != 0,
                          .drop = (int)p[2],
                          .clip = (enum sched_clip)p[3],
                          .clip_value = p[4],
                          .clip_quantile = p[5],
                          .dx = p[6],
                          .de = p[7],
                          .ax = p[8],
                          .as = p[9],
                          .cx = p[15],
                          .ce = p[16],
                          .cs = p[17],
                          .cz = p[23]};
    memcpy(r.ad, p + 10, sizeof r.ad);
    memcpy(r.cd, p + 18, sizeof r.cd);
    return r;
}

/* What was never written must not be used: NaN would show. */
static float *unset_new(size_t n) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = NAN;
    return x;
}

static void case_sched_step(struct test_case *t) {
    int N = number(t, "N"), H = number(t, "H"), W = number(t, "W"), C = number(t, "C"), rows = number(t, "rows");
    size_t n = (size_t)N * H * W * C;
    char name[64];
    const struct tensor *tensor;
    snprintf(name, sizeof name, "%.*s.rows", (int)strcspn(strstr(t->name, "label=") + 6, " "), strstr(t->name, "label=") + 6);
    const float *table = fixture_f32(&fixture_arena, fixture, name, &tensor);
    assert_int_equal(tensor->shape[1], ROW_FLOATS);
    struct latents l = {N, H, W, C, .x = dense_new(SEED_X, n), .saved = unset_new(n), .z = unset_new(n), .e = unset_new(n)};
    for (int k = 0; k < SCHED_HISTORY; k++) l.d[k] = unset_new(n);
    struct sched_row *schedule = arena_array(&fixture_arena, (size_t)rows, sizeof *schedule);
    int out_C = strstr(t->name, " max_log=") ? 2 * C : C;
    for (int i = 0; i < rows; i++) {
        schedule[i] = row_of(table + i * ROW_FLOATS);
        schedule[i].variance = out_C > C ? VARIANCE_RANGE : VARIANCE_PLANNED;
        schedule[i].min_log = (float)param_or(t, "min_log", 0), schedule[i].max_log = (float)param_or(t, "max_log", 0);
    }
    for (int i = -1; i < rows; i++) { /* -1: plan */
        if (i == 0) t->dev->ops->set_schedule(t->dev, schedule, rows, SCHED_HISTORY);
        t->dev->ops->next_row(t->dev, no_view, no_view);
        struct view out = view_new(t, MODEL_SEED + i, N * number(t, "copies"), H, W, out_C, number(t, "pad"));
        for (size_t j = 0; j < n; j++) l.z[j] = operand(NOISE_SEED + i, j);
        struct guidance guidance = {(float)param(t, "guidance"), (float)param_or(t, "image", 0), (float)param(t, "rescale")};
        t->dev->ops->sched_step(t->dev, &l, out, guidance);
        if (i < 0) begin_run(t, 0, NULL);
        free(out.p);
    }
    double tolerance = param(t, t->dev->dtype == DT_F32 ? "tol" : "tol16");
    assert_close(t->name, l.x, t->want, (int64_t[]){N, H, W, C}, 4, tolerance);
    char *of_e = arena_printf(&fixture_arena, "sched_step.e%s", t->name + strlen("sched_step"));
    double largest = 0;
    const float *e = fixture_f32(&fixture_arena, fixture, of_e, &tensor);
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)e[i]));
    assert_close(of_e, l.e, e, (int64_t[]){N, H, W, C}, 4, largest * (t->dev->dtype == DT_F32 ? 3e-6 : 2e-2));
    for (int k = 0; k < SCHED_HISTORY; k++) free(l.d[k]);
    free(l.x), free(l.saved), free(l.z), free(l.e);
}

/* ---- every case -------------------------------------------------------------------------------------------------- */

static void run_case(void (*run)(struct test_case *), const char *name, enum dtype dtype, int n_threads) {
    const struct tensor *tensor;
    struct test_case t = {.name = name, .want = fixture_f32(&fixture_arena, fixture, name, &tensor)};
    t.dev = cpu_device_open(dtype, n_threads);
    run(&t);
    t.dev->close(t.dev);
}

static void run_cases(const char *op, void (*run)(struct test_case *), int at_least) {
    int found = 0;
    fixture = st_open(&fixture_arena, fixture_path);
    for (int i = 0; i < fixture->n_tensors; i++) {
        const char *name = fixture->tensors[i].tensor.name;
        if (strncmp(name, op, strlen(op)) != 0 || name[strlen(op)] != ' ') continue;
        found++;
        for (int n_threads = 1; n_threads <= 3; n_threads++) run_case(run, name, DT_F32, n_threads);
        if (cpu_has_bf16() && strstr(name, " tol16=")) run_case(run, name, DT_BF16, 2);
    }
    if (found < at_least) fail_msg("%s: %d cases of '%s', expected at least %d", fixture_path, found, op, at_least);
    st_close(fixture);
    arena_free(&fixture_arena);
}

#define TEST_OP(op, at_least)                \
    static void test_##op(void **state) {    \
        (void)state;                         \
        run_cases(#op, case_##op, at_least); \
    }
TEST_OP(linear, 16)
TEST_OP(geglu, 3)
TEST_OP(group_norm, 12)
TEST_OP(layer_norm, 7)
TEST_OP(attention, 15)
TEST_OP(silu, 5)
TEST_OP(modulate, 7)
TEST_OP(add, 4)
TEST_OP(embed, 2)
TEST_OP(resize, 10)
TEST_OP(max_pool, 5)
TEST_OP(timestep_embed, 8)
TEST_OP(model_input, 2)
TEST_OP(sched_step, 11)

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

/* A mean between two floats, which all values are: what it loses when it is rounded is as much as they differ from it. */
static void test_layer_norm_far(void **state) {
    (void)state;
    enum { C = 64 };
    const double half = 0.03125, eps = 1e-5;
    float x[C], y[C];
    struct test_weight w[WEIGHTS];
    struct test_case t = {.name = "layer_norm far", .dev = cpu_device_open(DT_F32, 1)};
    for (int i = 0; i < WEIGHTS; i++) weight_new(&w[i], WEIGHT_VECTOR, SEED_W, C, 1, 0);
    for (int i = 0; i < C; i++) x[i] = i % 2 ? 1000000.0625f : 1000000, w[0].values[i] = 1, w[1].values[i] = 0;
    struct view views[] = {view_dense(x, DT_F32, 1, 1, 1, C), view_dense(y, DT_F32, 1, 1, 1, C)};
    for (int pass = 0; pass < 2; pass++) {
        t.dev->ops->layer_norm(t.dev, views[1], views[0], &w[0].w, &w[1].w, (float)eps);
        if (!pass) begin_run(&t, 2, w);
    }
    for (int i = 0; i < C; i++) {
        double want = (i % 2 ? half : -half) / sqrt(half * half + eps);
        if (!(fabs((double)y[i] - want) <= 1e-5)) fail_msg("value %d: %.9g, expected %.9g", i, (double)y[i], want);
    }
    t.dev->close(t.dev);
    free_all(2, w, 0, NULL);
}

/* Dynamic thresholding leaves alone what lies within [-1, 1], whatever the quantile (Saharia et al. 2022). */
static void test_small_quantile(void **state) {
    (void)state;
    enum { N = 4 };
    const float want[N] = {0.5f, -0.25f, 0.125f, 0};
    float x[N], e[N], model[N] = {0};
    memcpy(x, want, sizeof x);
    struct device *dev = cpu_device_open(DT_F32, 1);
    struct latents l = {1, 1, N, 1, .x = x, .e = e};
    struct sched_row row = {.clip = CLIP_QUANTILE, .clip_value = 2, .clip_quantile = 0.5f, .dx = 1, .cd = {1}};
    dev->ops->sched_step(dev, &l, view_dense(model, DT_F32, 1, 1, N, 1), (struct guidance){0});
    dev->plan_end(dev);
    dev->ops->set_schedule(dev, &row, 1, 1);
    dev->ops->next_row(dev, no_view, no_view);
    dev->ops->sched_step(dev, &l, view_dense(model, DT_F32, 1, 1, N, 1), (struct guidance){0});
    assert_memory_equal(x, want, sizeof want);
    dev->close(dev);
}

static void test_to_rgb8(void **state) {
    (void)state;
    const struct tensor *tensor;
    fixture = st_open(&fixture_arena, fixture_path);
    float *x = fixture_f32(&fixture_arena, fixture, "to_rgb8.x", &tensor),
          *want = fixture_f32(&fixture_arena, fixture, "to_rgb8.y", &tensor);
    int T = (int)tensor->shape[0];
    struct device *dev = cpu_device_open(DT_F32, 2);
    uint8_t *y = malloc((size_t)T * 3);
    dev->ops->to_rgb8(dev, y, view_dense(x, DT_F32, 1, 1, T, 3));
    dev->plan_end(dev);
    for (int C = 1; C <= 3; C += 2) {
        memset(y, 7, (size_t)T * 3);
        dev->ops->to_rgb8(dev, y, view_dense(x, DT_F32, 1, 1, 3 * T / C, C));
        for (int i = 0; i < 3 * T; i++)
            if (y[i] != want[i])
                fail_msg("to_rgb8: x[%d,%d] %.9g: expected %g, found %d", i / C, i % C, (double)x[i], (double)want[i], y[i]);
    }
    dev->close(dev);
    free(y);
    st_close(fixture);
    arena_free(&fixture_arena);
}

static void test_transfers(void **state) {
    (void)state;
    struct device *dev = cpu_device_open(DT_F32, 2);
    enum { N = 2, H = 3, W = 5, C = 4, COUNT = N * H * W * C };
    float *x = dense_new(SEED_X, COUNT), *nhwc = unset_new(COUNT), *back = unset_new(COUNT);
    struct test_case t = {.name = "transfers", .dev = dev};
    struct view v = view_new(&t, SEED_R, N, H, W, C, 3);
    dev->plan_end(dev);
    dev->ops->upload(dev, v, x);
    dev->ops->download(dev, back, v);
    assert_memory_equal(x, back, COUNT * sizeof *x);
    assert_true(get(v, C) == beside && get(v, view_rows(v) * (size_t)v.ld - 1) == beside);
    dev->ops->upload_latents(dev, nhwc, x, N, H, W, C);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < H * W; i++) assert_true(nhwc[(n * H * W + i) * C + c] == x[(n * C + c) * H * W + i]);
    dev->ops->download_latents(dev, back, nhwc, N, H, W, C);
    assert_memory_equal(x, back, COUNT * sizeof *x);
    dev->close(dev);
    free(x), free(nhwc), free(back), free(v.p);
}

/* A weight of an f16 and a bf16 part; one weight with two shapes. */
static void test_parts_and_shapes(void **state) {
    (void)state;
    enum { C = 8, K = 6 };
    struct device *dev = cpu_device_open(DT_F32, 2);
    uint16_t top[4 * C], bottom[2 * C];
    for (int i = 0; i < 4 * C; i++) top[i] = f32_to_f16((float)(i % 7) - 3);
    for (int i = 0; i < 2 * C; i++) bottom[i] = f32_to_bf16((float)(i % 5) - 2);
    const struct tensor a = {.name = "a", .dtype = DT_F16, .bytes = sizeof top},
                        b = {.name = "b", .dtype = DT_BF16, .bytes = sizeof bottom};
    const struct tensor *parts[] = {&a, &b};
    struct weight w = {.kind = WEIGHT_MATRIX, .name = "w", .rank = 2, .shape = {K, C}, .n_parts = 2, .parts = parts};
    float x[5 * C], y[5 * K], room[K * C];
    for (int i = 0; i < 5 * C; i++) x[i] = (float)(i % 11);
    struct view views[] = {view_dense(x, DT_F32, 1, 1, 5, C), {x, 1, 1, 2, C, 2 * C, DT_F32, 4 * C}};
    struct view results[] = {view_dense(y, DT_F32, 1, 1, 5, K), view_dense(y, DT_F32, 1, 1, 2, K)};
    for (int i = 0; i < 2; i++) dev->ops->linear(dev, results[i], views[i], &w, NULL, ACT_NONE, no_view);
    dev->plan_end(dev);
    w.packed = dev->alloc(dev, dev->packed_bytes(dev, &w));
    assert_true(dev->pack(dev, &w, (const void *[]){top, bottom}, room));
    for (int i = 0; i < 2; i++) {
        dev->ops->linear(dev, results[i], views[i], &w, NULL, ACT_NONE, no_view);
        for (int t = 0; t < views[i].W; t++)
            for (int k = 0; k < K; k++) {
                float want = 0; /* small integers: exact */
                for (int c = 0; c < C; c++)
                    want += x[t * views[i].ld + c] * (k < 4 ? (float)((k * C + c) % 7) - 3 : (float)(((k - 4) * C + c) % 5) - 2);
                if (y[t * K + k] != want)
                    fail_msg("shape %d: y[%d,%d]: expected %g, found %g", i, t, k, (double)want, (double)y[t * K + k]);
            }
    }
    dev->close(dev);
}

/* Of a batch each image's rows are, bit for bit, those of the image alone: oneDNN's last rows of a product go another way. */
static void compare_images_alone(bool geglu, int H, int W, int C, int K, int n_threads, enum dtype dtype) {
    enum { N = 5 };
    struct test_case t = {.name = "images", .dev = cpu_device_open(dtype, n_threads)};
    const struct ops *op = t.dev->ops;
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_MATRIX, SEED_W, geglu ? 2 * K : K, C, -1);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, geglu ? 2 * K : K, 1, 0);
    struct view x = view_new(&t, SEED_X, N, H, W, C, 3), r = view_new(&t, SEED_R, N, H, W, K, 0), y = view_new(&t, SEED_Q, N, H, W, K, 1),
                alone = view_new(&t, SEED_K, 1, H, W, K, 1);
    size_t bytes = view_rows(alone) * (size_t)alone.ld * view_item(alone);
    for (int pass = 0; pass < 2; pass++) {
        if (geglu) op->linear_geglu(t.dev, y, x, &w[0].w, &w[1].w);
        else op->linear(t.dev, y, x, &w[0].w, &w[1].w, ACT_SILU, r);
        for (int n = 0; n < N; n++) {
            if (geglu) op->linear_geglu(t.dev, alone, view_images(x, n, 1), &w[0].w, &w[1].w);
            else op->linear(t.dev, alone, view_images(x, n, 1), &w[0].w, &w[1].w, ACT_SILU, view_images(r, n, 1));
            if (pass && memcmp(alone.p, view_images(y, n, 1).p, bytes) != 0)
                fail_msg("%s of [%d,%d,%d,%d] by %d threads: image %d is not what it is alone", geglu ? "geglu" : "linear", N, H, W, C,
                         n_threads, n);
        }
        if (!pass) begin_run(&t, 2, w);
    }
    free_all(2, w, 4, (struct view[]){x, r, y, alone});
    t.dev->close(t.dev);
}

static void test_images_alone(void **state) {
    (void)state;
    const int sizes[][2] = {{1, 1}, {1, 2}, {2, 2}, {3, 3}, {2, 5}, {4, 4}, {1, 77}, {8, 8}, {9, 11}, {1, 127}, {8, 16}, {3, 43}, {12, 20}};
    const int channels[][2] = {{8, 8}, {24, 40}, {64, 64}, {65, 33}, {96, 300}};
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++)
        for (int j = 0; j < (int)(sizeof channels / sizeof *channels); j++)
            for (int k = 0; k < 4; k++) {
                compare_images_alone(k % 2, sizes[i][0], sizes[i][1], channels[j][0], channels[j][1], k / 2 + 1, DT_F32);
                if (cpu_has_bf16())
                    compare_images_alone(k % 2, sizes[i][0], sizes[i][1], channels[j][0], channels[j][1], k / 2 + 1, DT_BF16);
            }
}

/* A value that is not finite reaches the result, where it is noticed: no clamp or maximum may hide it. */
static void test_nan(void **state) {
    (void)state;
    enum { T = 40, C = 24 };
    struct device *dev = cpu_device_open(DT_F32, 2);
    struct test_case t = {.name = "nan", .dev = dev};
    struct test_weight w[WEIGHTS];
    weight_new(&w[0], WEIGHT_MATRIX, SEED_W, 2 * C, C, 0);
    weight_new(&w[1], WEIGHT_VECTOR, SEED_B, 2 * C, 1, 0);
    struct view x = view_new(&t, SEED_X, 1, 1, T, C, 0), y = view_new(&t, SEED_R, 1, 1, T, C, 0), in[3];
    for (int i = 0; i < 3; i++) in[i] = view_new(&t, SEED_Q + i, 1, 1, T, C, 0);
    const size_t at = 3 * C + 5;
    for (int pass = 0; pass < 2; pass++) {
        put(x, at, NAN);
        dev->ops->silu(dev, y, x);
        if (pass) assert_true(isnan(get(y, at)));
        dev->ops->linear_geglu(dev, y, x, &w[0].w, &w[1].w);
        if (pass) assert_true(isnan(get(y, 3 * C)));
        for (int i = 0; i < 3; i++) { /* q, k, v */
            float kept = get(in[i], at);
            put(in[i], at, NAN);
            dev->ops->attention(dev, y, in[0], in[1], in[2], 2, false);
            if (pass) assert_true(isnan(get(y, at)));
            put(in[i], at, kept);
        }
        if (!pass) begin_run(&t, 2, w);
    }
    free_all(2, w, 5, (struct view[]){x, y, in[0], in[1], in[2]});
    dev->close(dev);
}

static void test_unused_weight_is_not_packed(void **state) {
    (void)state;
    struct device *dev = cpu_device_open(DT_F32, 1);
    struct weight w = {.kind = WEIGHT_MATRIX, .rank = 2, .shape = {4, 4}};
    assert_int_equal(dev->packed_bytes(dev, &w), 0);
    dev->plan_end(dev);
    dev->close(dev);
}

static void test_arena(void **state) {
    (void)state;
    struct device *dev = cpu_device_open(DT_F32, 2);
    struct view v = no_view;
    for (int pass = 0; pass < 2; pass++) {
        size_t mark = arena_mark(dev);
        v = view_alloc(dev, 2, 3, 5, 12);
        struct view slice = view_slice(v, 4, 8), image = view_images(slice, 1, 1);
        assert_true(v.p && (uintptr_t)v.p % 64 == 0 && v.ld == 12);
        assert_int_equal((char *)slice.p - (char *)v.p, 4 * sizeof(float));
        assert_int_equal((char *)image.p - (char *)slice.p, 15 * 12 * sizeof(float));
        assert_true(image.N == 1 && image.C == 8 && image.ld == 12);
        arena_release(dev, mark);
        view_alloc(dev, 1, 1, 1, 3);
        arena_release(dev, mark);
        assert_int_equal(dev->arena_peak, (2 * 3 * 5 * 12 * sizeof(float) + 63) / 64 * 64);
        if (!pass) dev->plan_end(dev);
    }
    ((float *)v.p)[2 * 3 * 5 * 12 - 1] = 1;
    char *p = dev->alloc(dev, 3 << 20);
    for (size_t i = 0; i < 3 << 20; i++) assert_int_equal(p[i], 0);
    dev->free(dev, p);
    dev->close(dev);
}

static void test_failures(void **state) {
    (void)state;
    struct job j;
    struct device *volatile dev = cpu_device_open(DT_F32, 1);
    if (job_enter(&j)) {
        dev->alloc(dev, SIZE_MAX / 4);
        fail_msg("allocated %zu bytes", SIZE_MAX / 4);
    }
    assert_int_equal(j.code, FAIL_MEMORY);
    assert_non_null(strstr(j.message, "more needed"));
    dev->close(dev);
    if (job_enter(&j)) {
        cpu_device_open(DT_F16, 1);
        fail_msg("opened an f16 CPU device");
    }
    assert_int_equal(j.code, FAIL_DEVICE);
}

/* The environment's word decides which of the tables a device has, and the name of what it computes with says so. */
static void test_isa(void **state) {
    (void)state;
    struct job j;
    const char *of_this_run = getenv("DIFFUSE_ISA");
    struct device *volatile dev = cpu_device_open(DT_F32, 1);
    assert_string_equal(cpu_of(dev)->op_tables->isa, of_this_run);
    assert_true(dev->own == &cpu_of(dev)->op_tables->planning);
    assert_non_null(strstr(dev->isa, of_this_run));
    dev->close(dev);
    unsetenv("DIFFUSE_ISA");
    dev = cpu_device_open(DT_F32, 1);
    for (const struct cpu_ops *const *better = cpu_isas; *better != cpu_of(dev)->op_tables; better++) assert_false(cpu_isa_runs(*better));
    dev->close(dev);
    for (const struct cpu_ops *const *at = cpu_isas; *at; at++) {
        if (cpu_isa_runs(*at)) continue;
        setenv("DIFFUSE_ISA", (*at)->isa, 1);
        if (!job_enter(&j)) assert_int_equal(j.code, FAIL_DEVICE);
        else fail_msg("opened a device with %s", cpu_of(cpu_device_open(DT_F32, 1))->op_tables->isa);
    }
    setenv("DIFFUSE_ISA", "abacus", 1);
    if (job_enter(&j)) {
        cpu_device_open(DT_F32, 1);
        fail_msg("opened a device with an abacus");
    }
    assert_int_equal(j.code, FAIL_USAGE);
    setenv("DIFFUSE_ISA", of_this_run, 1);
}

static int run_group(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_geglu),
        cmocka_unit_test(test_group_norm),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_silu),
        cmocka_unit_test(test_modulate),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_timestep_embed),
        cmocka_unit_test(test_model_input),
        cmocka_unit_test(test_sched_step),
        cmocka_unit_test(test_layer_norm_far),
        cmocka_unit_test(test_small_quantile),
        cmocka_unit_test(test_to_rgb8),
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_parts_and_shapes),
        cmocka_unit_test(test_images_alone),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_unused_weight_is_not_packed),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_isa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return with_each_isa(run_group);
}
