/* Tensors made of others: every part of them, at any alignment, against plain arithmetic in double. */
#include "test/files.h"

#include "engine/files/tensor.h"
#include "test/support.h"

static struct arena arena;
static const struct st_file file = {.path = "made-up.safetensors"};

/* ---- tensors in memory ------------------------------------------------------------------------------------------- */

struct memory {
    struct tensor tensor;
    const void *data;
    int error;
};

static int read_memory(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    const struct memory *m = (const struct memory *)t;
    assert_true(offset <= t->bytes && n <= t->bytes - offset);
    memcpy(dst, (const char *)m->data + offset, n);
    return m->error;
}

static struct memory *memory(const char *name, enum dtype dtype, int rank, const int64_t *shape, const void *data) {
    struct memory *m = arena_alloc(&arena, sizeof *m);
    m->tensor = (struct tensor){.name = name, .dtype = dtype, .rank = rank, .read = read_memory, .file = &file};
    m->data = data;
    uint64_t bytes = dtype_table[dtype].size;
    for (int i = 0; i < rank; i++) bytes *= (uint64_t)(m->tensor.shape[i] = shape[i]);
    m->tensor.bytes = bytes;
    return m;
}

#define DIMS(...)                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { \
        __VA_ARGS__                                                                \
    }

/* Multiples of 1/8 in [-4, 4): products and sums of them are exact. */
static float *eighths(size_t n, unsigned seed) {
    float *x = arena_array(&arena, n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)((int)((i * 2654435761u + seed * 40503u) >> 7 & 63) - 32) / 8;
    return x;
}

static const struct tensor *floats(const char *name, const float *x, int rank, const int64_t *shape) {
    return &memory(name, DT_F32, rank, shape, x)->tensor;
}

/* Every part [offset, offset + n) whose n or offset is near an edge, and all short ones. */
static void check_parts(const struct tensor *t, const void *want) {
    char *got = malloc(t->bytes + 1);
    assert_int_equal(tensor_read(t, got), 0);
    assert_memory_equal(got, want, t->bytes);
    for (uint64_t offset = 0; offset <= t->bytes; offset++)
        for (uint64_t n = 0; offset + n <= t->bytes; n += n < 20 || offset + n + 20 > t->bytes ? 1 : 13) {
            memset(got, 0x5a, t->bytes + 1);
            assert_int_equal(t->read(t, got, offset, n), 0);
            if (memcmp(got, (const char *)want + offset, n) != 0) fail_msg("%s: bytes %ju + %ju", t->name, offset, n);
            assert_true(got[n] == 0x5a);
        }
    free(got);
}

static void check_error(const struct tensor *t, struct memory *source) {
    char *got = malloc(t->bytes);
    source->error = EIO;
    assert_int_equal(tensor_read(t, got), EIO);
    source->error = 0;
    free(got);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static void test_rows(void **state) {
    (void)state;
    float *x = eighths(6 * 5, 1);
    struct memory *m = memory("qkv", DT_F32, DIMS(6, 5), x);
    for (int i = 0; i < 3; i++) {
        const struct tensor *third = tensor_rows(&arena, &m->tensor, 2 * i, 2);
        assert_true(third->shape[0] == 2 && third->shape[1] == 5 && third->bytes == 40);
        check_parts(third, x + 10 * i);
    }
    check_error(tensor_rows(&arena, &m->tensor, 1, 1), m);
    assert_true(tensor_rows(&arena, &m->tensor, 6, 0)->bytes == 0);
}

static void test_transpose(void **state) {
    (void)state;
    enum { R = 7, C = 4 };
    float *x = eighths(R * C, 2), want[R * C];
    uint16_t half[R * C], half_want[R * C];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < C; j++) {
            want[j * R + i] = x[i * C + j];
            half[i * C + j] = half_want[j * R + i] = (uint16_t)(i * C + j);
        }
    struct memory *m = memory("projection", DT_F32, DIMS(R, C), x);
    const struct tensor *t = tensor_transpose(&arena, &m->tensor);
    assert_true(t->shape[0] == C && t->shape[1] == R);
    check_parts(t, want);
    check_error(t, m);
    check_parts(tensor_transpose(&arena, &memory("half", DT_F16, DIMS(R, C), half)->tensor), half_want);
    check_parts(tensor_transpose(&arena, t), x);
}

/* Larger than the block it is read in. */
static void test_transpose_blocks(void **state) {
    (void)state;
    enum { R = 700, C = 800 };
    float *x = eighths(R * C, 3), *got = malloc(sizeof(float) * R * C);
    const struct tensor *t = tensor_transpose(&arena, floats("large", x, DIMS(R, C)));
    assert_int_equal(tensor_read(t, got), 0);
    for (int i = 0; i < R * C; i++) assert_true(got[i] == x[i % R * C + i / R]);
    assert_int_equal(t->read(t, got, 4 * 123456, 4 * 2000), 0);
    for (int i = 0; i < 2000; i++) assert_true(got[i] == x[(i + 123456) % R * C + (i + 123456) / R]);
    free(got);
}

/* A transposed convolution's taps as matrices, as its net takes them apart. */
static void test_reshape(void **state) {
    (void)state;
    enum { C = 3, D = 2, TAPS = 4 };
    float *x = eighths(C * D * TAPS, 21), want[C * D];
    struct memory *m = memory("taps", DT_F32, DIMS(C, D, 2, 2), x);
    const struct tensor *flat = tensor_transpose(&arena, tensor_reshape(&arena, &m->tensor, DIMS(C * D, TAPS)));
    for (int tap = 0; tap < TAPS; tap++) {
        const struct tensor *t = tensor_reshape(&arena, tensor_rows(&arena, flat, tap, 1), DIMS(C, D));
        for (int d = 0; d < D; d++)
            for (int c = 0; c < C; c++) want[d * C + c] = x[(c * D + d) * TAPS + tap];
        check_parts(tensor_transpose(&arena, t), want);
        check_error(t, m);
    }
}

static void test_stack(void **state) {
    (void)state;
    float *x = eighths(5 * 3, 4);
    const struct tensor *top = floats("table", x, DIMS(3, 3));
    struct memory *bottom = memory("learnt", DT_F32, DIMS(2, 3), x + 9);
    const struct tensor *t = tensor_stack(&arena, top, &bottom->tensor);
    assert_true(t->shape[0] == 5 && t->bytes == 60);
    check_parts(t, x);
    check_error(t, bottom);
    assert_dies(78, "tensor 'wide': expected rows like those of 'table', of F32", tensor_stack(&arena, top, floats("wide", x, DIMS(2, 4))));
    assert_dies(78, "'half'", tensor_stack(&arena, top, &memory("half", DT_F16, DIMS(2, 3), x)->tensor));
    assert_dies(78, "'flat'", tensor_stack(&arena, top, floats("flat", x, DIMS(3))));
}

/* ---- low-rank sums ----------------------------------------------------------------------------------------------- */

enum { O = 5, I = 3, K = 2, R1 = 2, R2 = 4 };
#define LOW_RANK(up, down, factor) \
    { .kind = DELTA_LOW_RANK, .a = (up), .b = (down), .scale = (factor) }
#define PRODUCT(type, w1a, w1b, w2a, w2b, factor) \
    { .kind = (type), .a = (w1a), .b = (w1b), .c = (w2a), .d = (w2b), .scale = (factor) }

static void add_plain(double *w, const float *up, const float *down, int r, int columns, double scale) {
    for (int i = 0; i < O; i++)
        for (int j = 0; j < columns; j++)
            for (int k = 0; k < r; k++) w[i * columns + j] += scale * (double)up[i * r + k] * (double)down[k * columns + j];
}

static void test_sum(void **state) {
    (void)state;
    enum { COLUMNS = I * K * K };
    float *base = eighths(O * COLUMNS, 5), *up1 = eighths(O * R1, 6), *down1 = eighths(R1 * COLUMNS, 7), *up2 = eighths(O * R2, 8),
          *down2 = eighths(R2 * COLUMNS, 9), want[O * COLUMNS];
    double w[O * COLUMNS];
    for (int i = 0; i < O * COLUMNS; i++) w[i] = (double)base[i];
    add_plain(w, up1, down1, R1, COLUMNS, 0.75);
    add_plain(w, up2, down2, R2, COLUMNS, -0.5);
    for (int i = 0; i < O * COLUMNS; i++) want[i] = (float)w[i];
    struct memory *down = memory("down", DT_F32, DIMS(R1, I, K, K), down1);
    struct delta deltas[] = {LOW_RANK(floats("up", up1, DIMS(O, R1, 1, 1)), &down->tensor, 0.75),
                             LOW_RANK(floats("up", up2, DIMS(O, R2, 1, 1)), floats("down", down2, DIMS(R2, I, K, K)), -0.5)};
    const struct tensor *b = floats("conv", base, DIMS(O, I, K, K)), *t = tensor_sum(&arena, b, deltas, 2);
    assert_true(t->dtype == DT_F32 && t->rank == 4 && t->shape[3] == K && t->bytes == sizeof want);
    check_parts(t, want);
    check_error(t, down);
    check_parts(tensor_sum(&arena, b, NULL, 0), base);
}

/* The base and the factors in half precision, a sum that no f16 holds. */
static void test_sum_half(void **state) {
    (void)state;
    uint16_t base[O * I], up[O], down[I];
    float want[O * I];
    for (int i = 0; i < O; i++) up[i] = f32_to_f16((float)(i + 1) / 1024);
    for (int i = 0; i < I; i++) down[i] = f32_to_f16((float)(i + 1) / 1024);
    for (int i = 0; i < O * I; i++) {
        base[i] = f32_to_f16((float)i + 1);
        want[i] = (float)(i + 1 + (i / I + 1) * (i % I + 1) / 1048576.0);
        assert_true(f16_to_f32(f32_to_f16(want[i])) != want[i]);
    }
    struct delta delta = LOW_RANK(&memory("up", DT_F16, DIMS(O, 1), up)->tensor, &memory("down", DT_F16, DIMS(1, I), down)->tensor, 1);
    check_parts(tensor_sum(&arena, &memory("base", DT_F16, DIMS(O, I), base)->tensor, &delta, 1), want);
}

/* A delta is computed in f32, in an order of its own: of rank 300, within the rounding of so many terms, base and all. */
static void test_sum_rounding(void **state) {
    (void)state;
    enum { ROWS = 9, COLUMNS = 37, RANK = 300 };
    float *base = eighths(ROWS * COLUMNS, 40), *up = eighths(ROWS * RANK, 41), *down = eighths(RANK * COLUMNS, 42), got[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * RANK; i++) up[i] /= 3;
    struct delta delta = LOW_RANK(floats("up", up, DIMS(ROWS, RANK)), floats("down", down, DIMS(RANK, COLUMNS)), 0.1);
    assert_int_equal(tensor_read(tensor_sum(&arena, floats("base", base, DIMS(ROWS, COLUMNS)), &delta, 1), got), 0);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double want = (double)base[i], size = fabs(want);
        for (int k = 0; k < RANK; k++) {
            double term = 0.1 * (double)up[i / COLUMNS * RANK + k] * (double)down[k * COLUMNS + i % COLUMNS];
            want += term, size += fabs(term);
        }
        assert_true(fabs((double)got[i] - want) <= size * 0x1p-22);
    }
}

/* Larger than the block it is computed in: rows are cut in their middle. */
static void test_sum_blocks(void **state) {
    (void)state;
    enum { ROWS = 900, COLUMNS = 1300 };
    float *base = eighths((size_t)ROWS * COLUMNS, 10), *up = eighths(ROWS, 11), *down = eighths(COLUMNS, 12);
    float *got = malloc(sizeof(float) * ROWS * COLUMNS);
    struct delta delta = LOW_RANK(floats("up", up, DIMS(ROWS, 1)), floats("down", down, DIMS(1, COLUMNS)), 0.25);
    assert_int_equal(tensor_read(tensor_sum(&arena, floats("base", base, DIMS(ROWS, COLUMNS)), &delta, 1), got), 0);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        if (got[i] != (float)((double)base[i] + 0.25 * (double)up[i / COLUMNS] * (double)down[i % COLUMNS])) fail_msg("value %d", i);
    free(got);
}

/* a b of [n,r] and [r,m] */
static double *multiply(const float *a, const float *b, int n, int r, int m) {
    double *y = arena_array(&arena, (size_t)n * (size_t)m, sizeof *y);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            for (int k = 0; k < r; k++) y[i * m + j] += (double)a[i * r + k] * (double)b[k * m + j];
    return y;
}

static void test_sum_hadamard(void **state) {
    (void)state;
    enum { ROWS = 7, COLUMNS = 33, R = 3 };
    float *base = eighths(ROWS * COLUMNS, 20), *a = eighths(ROWS * R, 21), *b = eighths(R * COLUMNS, 22), *c = eighths(ROWS * R, 23),
          *d = eighths(R * COLUMNS, 24), want[ROWS * COLUMNS];
    double *ab = multiply(a, b, ROWS, R, COLUMNS), *cd = multiply(c, d, ROWS, R, COLUMNS);
    for (int i = 0; i < ROWS * COLUMNS; i++) want[i] = (float)((double)base[i] + 0.5 * ab[i] * cd[i]);
    struct delta delta = PRODUCT(DELTA_HADAMARD, floats("a", a, DIMS(ROWS, R)), floats("b", b, DIMS(R, COLUMNS)),
                                 floats("c", c, DIMS(ROWS, R)), floats("d", d, DIMS(R, COLUMNS)), 0.5);
    check_parts(tensor_sum(&arena, floats("base", base, DIMS(ROWS, COLUMNS)), &delta, 1), want);
    delta.d = floats("narrow", d, DIMS(R, COLUMNS - 1));
    assert_dies(78, "'narrow'", tensor_check_delta(floats("base", base, DIMS(ROWS, COLUMNS)), &delta));
}

/* [2,3] x [3,4] with the outer one whole and the inner one a product, and the reverse. */
static void test_sum_kronecker(void **state) {
    (void)state;
    enum { A = 2, B = 3, C = 3, D = 4, R = 2, ROWS = A * C, COLUMNS = B * D };
    float *base = eighths(ROWS * COLUMNS, 30), *one = eighths(A * B, 31), *u = eighths(C * R, 32), *v = eighths(R * D, 33),
          want[ROWS * COLUMNS];
    double *two = multiply(u, v, C, R, D);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            want[i * COLUMNS + j] = (float)((double)base[i * COLUMNS + j] + 0.25 * (double)one[i / C * B + j / D] * two[i % C * D + j % D]);
    const struct tensor *w = floats("base", base, DIMS(ROWS, COLUMNS)), *whole = floats("w1", one, DIMS(A, B)),
                        *left = floats("w2_a", u, DIMS(C, R)), *right = floats("w2_b", v, DIMS(R, D));
    struct delta delta = PRODUCT(DELTA_KRONECKER, whole, NULL, left, right, 0.25),
                 turned = PRODUCT(DELTA_KRONECKER, left, right, whole, NULL, 0.25);
    check_parts(tensor_sum(&arena, w, &delta, 1), want);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            want[i * COLUMNS + j] = (float)((double)base[i * COLUMNS + j] + 0.25 * (double)one[i % A * B + j % B] * two[i / A * D + j / B]);
    check_parts(tensor_sum(&arena, w, &turned, 1), want);
    struct delta bad[] = {PRODUCT(DELTA_KRONECKER, whole, NULL, floats("five", v, DIMS(1, 5)), NULL, 1),
                          PRODUCT(DELTA_KRONECKER, whole, NULL, left, floats("rank", v, DIMS(3, 2)), 1),
                          PRODUCT(DELTA_KRONECKER, floats("flat", one, DIMS(6)), NULL, left, right, 1)};
    assert_dies(78, "tensor 'w1': does not fit the weight it changes: 2 x 3 of 1 x 5, expected 6 x 12", tensor_check_delta(w, &bad[0]));
    assert_dies(78, "'w2_a'", tensor_check_delta(w, &bad[1]));
    assert_dies(78, "'flat'", tensor_check_delta(w, &bad[2]));
}

/* Rows brought to lengths, one of zeros; what comes behind is added to that. */
static void test_sum_dora(void **state) {
    (void)state;
    enum { ROWS = 5, COLUMNS = 12, R = 2 };
    float *base = eighths(ROWS * COLUMNS, 50), *up = eighths(ROWS * R, 51), *down = eighths(R * COLUMNS, 52), *m = eighths(ROWS, 53),
          got[ROWS * COLUMNS], row[COLUMNS];
    for (int j = 0; j < COLUMNS; j++) base[2 * COLUMNS + j] = 0;
    for (int k = 0; k < R; k++) up[2 * R + k] = 0;
    double *product = multiply(up, down, ROWS, R, COLUMNS);
    struct delta deltas[] = {LOW_RANK(floats("up", up, DIMS(ROWS, R)), floats("down", down, DIMS(R, COLUMNS)), 0.75),
                             LOW_RANK(floats("up", up, DIMS(ROWS, R)), floats("down", down, DIMS(R, COLUMNS)), 0.5)};
    deltas[0].magnitude = floats("m", m, DIMS(1, ROWS, 1, 1));
    const struct tensor *b = floats("base", base, DIMS(ROWS, COLUMNS));
    const struct tensor *t = tensor_sum(&arena, b, deltas, 2);
    assert_int_equal(tensor_read(t, got), 0);
    assert_int_equal(t->read(t, row, 3 * sizeof row, sizeof row), 0);
    assert_memory_equal(row, got + 3 * COLUMNS, sizeof row);
    for (int i = 0; i < ROWS; i++) {
        double squares = 0;
        for (int j = 0; j < COLUMNS; j++) squares += pow((double)base[i * COLUMNS + j] + 0.75 * product[i * COLUMNS + j], 2);
        for (int j = 0; j < COLUMNS; j++) {
            double sum = (double)base[i * COLUMNS + j] + 0.75 * product[i * COLUMNS + j];
            double want = (squares > 0 ? (double)m[i] * sum / sqrt(squares) : 0) + 0.5 * product[i * COLUMNS + j];
            assert_true(fabs((double)got[i * COLUMNS + j] - want) <= 1e-5);
        }
    }
    deltas[0].magnitude = floats("m", m, DIMS(ROWS - 1));
    assert_dies(78, "tensor 'm': does not fit the weight it changes: expected 5 values, found 4", tensor_check_delta(b, deltas));
}

static void test_sum_refused(void **state) {
    (void)state;
    float *x = eighths(64, 13);
    const struct tensor *base = floats("base", x, DIMS(4, 6)), *up = floats("up", x, DIMS(4, 2)), *down = floats("down", x, DIMS(2, 6));
    struct delta bad[] = {LOW_RANK(up, floats("narrow", x, DIMS(2, 5)), 1), LOW_RANK(floats("short", x, DIMS(3, 2)), down, 1),
                          LOW_RANK(floats("rank", x, DIMS(4, 3)), down, 1), LOW_RANK(up, floats("none", x, DIMS(0, 6)), 1),
                          LOW_RANK(&memory("ints", DT_I32, DIMS(4, 2), x)->tensor, down, 1)};
    const char *const names[] = {"'narrow'", "'short'", "'rank'", "'none'", "'ints': unsupported dtype I32"};
    for (int i = 0; i < 5; i++) assert_dies(78, names[i], tensor_sum(&arena, base, &bad[i], 1));
    assert_dies(78, "expected a matrix", tensor_sum(&arena, floats("bias", x, DIMS(4)), NULL, 0));
}

/* ---- fp8 --------------------------------------------------------------------------------------------------------- */

/* The value of an fp8 byte by the definition. */
static double fp8(int b, int mantissa_bits, int bias) {
    int exponent = (b & 127) >> mantissa_bits, mantissa = b & ((1 << mantissa_bits) - 1);
    double x = exponent ? ldexp(1 + ldexp(mantissa, -mantissa_bits), exponent - bias) : ldexp(mantissa, 1 - bias - mantissa_bits);
    return b & 128 ? -x : x;
}

static bool is_number(enum dtype dtype, int b) {
    return dtype == DT_F8_E4M3 ? (b & 127) != 127 : (b & 127) < 124;
}

static void check_fp8(enum dtype dtype, const struct tensor *scale, const float *factors, int n_factors) {
    uint8_t raw[256];
    float want[256];
    uint16_t half[256];
    for (int i = 0; i < 256; i++) {
        int b = is_number(dtype, i) ? i : 0;
        raw[i] = (uint8_t)b;
        want[i] = (float)(fp8(b, dtype == DT_F8_E4M3 ? 3 : 2, dtype == DT_F8_E4M3 ? 7 : 15) * (double)factors[i * n_factors / 256]);
        half[i] = f32_to_f16(want[i]);
    }
    const struct tensor *t = &memory("w", dtype, DIMS(16, 16), raw)->tensor;
    check_parts(tensor_scaled(&arena, t, scale, DT_F32), want);
    check_parts(tensor_scaled(&arena, t, scale, DT_F16), half);
}

static void test_scaled(void **state) {
    (void)state;
    float one = 1, third = 1 / 3.0f, rows[16];
    for (int i = 0; i < 16; i++) rows[i] = (float)(i + 1) / 7;
    const enum dtype dtypes[] = {DT_F8_E4M3, DT_F8_E5M2};
    for (int i = 0; i < 2; i++) {
        check_fp8(dtypes[i], NULL, &one, 1);
        check_fp8(dtypes[i], floats("scale", &third, 0, NULL), &third, 1);
        check_fp8(dtypes[i], floats("scale", &third, DIMS(1)), &third, 1);
        check_fp8(dtypes[i], floats("scale", rows, DIMS(16, 1)), rows, 16);
    }
}

static void test_scaled_special(void **state) {
    (void)state;
    uint8_t raw[] = {0x7f, 0xff, 0x7e}, raw5[] = {0x7c, 0xfc, 0x7d};
    float x[3], scales[3] = {1, 2, 3};
    struct memory *m = memory("w", DT_F8_E4M3, DIMS(3), raw);
    const struct tensor *t = tensor_scaled(&arena, &m->tensor, NULL, DT_F32);
    assert_int_equal(tensor_read(t, x), 0);
    assert_true(isnan(x[0]) && isnan(x[1]) && x[2] == 448);
    check_error(t, m);
    assert_int_equal(tensor_read(tensor_scaled(&arena, &memory("w", DT_F8_E5M2, DIMS(3), raw5)->tensor, NULL, DT_F32), x), 0);
    assert_true(isinf(x[0]) && x[0] > 0 && isinf(x[1]) && x[1] < 0 && isnan(x[2]));
    assert_dies(78, "tensor 'scale': expected one floating value, or 3, found 2",
                tensor_scaled(&arena, &m->tensor, floats("scale", scales, DIMS(2)), DT_F32));
    assert_dies(78, "expected F8_E4M3 or F8_E5M2, found F32", tensor_scaled(&arena, floats("f", scales, DIMS(3)), NULL, DT_F32));
}

/* ---- kinds upon kinds, and a file below -------------------------------------------------------------------------- */

static void test_nested(void **state) {
    (void)state;
    const char *dir = temp_dir(), *path = path_in(dir, "a.safetensors");
    float *x = eighths(6 * 4, 14), want[8];
    struct st_writer *w = st_writer_new(&arena);
    st_writer_add(w, "qkv", DT_F32, DIMS(6, 4), x);
    st_write(w, path);
    struct st_file *f = st_open(&arena, path);
    const struct tensor *k = tensor_transpose(&arena, tensor_rows(&arena, st_find(f, "qkv"), 2, 2));
    for (int i = 0; i < 8; i++) want[i] = x[8 + i % 2 * 4 + i / 2];
    check_parts(k, want);
    assert_ptr_equal(k->file, f);
    remove_tree(dir);
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

/* ---- norms folded in --------------------------------------------------------------------------------------------- */

static void test_standardise(void **state) {
    (void)state;
    enum { ROWS = 3, N = 20 };
    float *x = eighths(ROWS * N, 22), want[ROWS * N];
    uint16_t half[ROWS * N];
    for (int k = 0; k < ROWS; k++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < N; i++) mean += (double)x[k * N + i] / N;
        for (int i = 0; i < N; i++) variance += pow((double)x[k * N + i] - mean, 2) / N;
        for (int i = 0; i < N; i++) want[k * N + i] = (float)(((double)x[k * N + i] - mean) / sqrt(variance + 0.5));
    }
    for (int i = 0; i < ROWS * N; i++) half[i] = f32_to_f16(x[i]); /* exact */
    struct memory *m = memory("w", DT_F16, DIMS(ROWS, 5, 2, 2), half);
    const struct tensor *t = tensor_standardise(&arena, &m->tensor, 0.5);
    float *got = arena_alloc(&arena, t->bytes);
    assert_true(t->dtype == DT_F32 && t->rank == 4 && t->bytes == sizeof want && tensor_read(t, got) == 0);
    assert_close("standardised", got, want, (int64_t[]){ROWS, N}, 2, 2e-7);
    check_parts(t, got);
    check_error(t, m);
}

static void test_batch_norm(void **state) {
    (void)state;
    enum { ROWS = 3, N = 8 };
    float *w = eighths(ROWS * N, 23), *b = eighths(ROWS, 24), weight[] = {1.5f, -0.5f, 2}, bias[] = {0.25f, -1, 0}, mean[] = {1, 0, -2},
          variance[] = {3.75f, 0, 15.75f};
    struct memory *m = memory("variance", DT_F32, DIMS(ROWS), variance);
    struct batch_norm norm = {floats("weight", weight, DIMS(ROWS)), floats("bias", bias, DIMS(ROWS)), floats("mean", mean, DIMS(ROWS)),
                              &m->tensor, 0.25};
    float want[ROWS * N], want_b[ROWS], want_none[ROWS];
    for (int k = 0; k < ROWS; k++) {
        float scale = weight[k] / sqrtf(variance[k] + 0.25f); /* the roots are 2, 1/2, 4 */
        for (int i = 0; i < N; i++) want[k * N + i] = w[k * N + i] * scale;
        want_b[k] = (b[k] - mean[k]) * scale + bias[k];
        want_none[k] = -mean[k] * scale + bias[k];
    }
    const struct tensor *t = tensor_batch_norm(&arena, floats("w", w, DIMS(ROWS, 2, 2, 2)), &norm);
    check_parts(t, want);
    check_error(t, m);
    check_parts(tensor_batch_norm(&arena, floats("b", b, DIMS(ROWS)), &norm), want_b);
    check_parts(tensor_batch_norm(&arena, NULL, &norm), want_none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rows, tear_down),
        cmocka_unit_test_teardown(test_transpose, tear_down),
        cmocka_unit_test_teardown(test_transpose_blocks, tear_down),
        cmocka_unit_test_teardown(test_reshape, tear_down),
        cmocka_unit_test_teardown(test_stack, tear_down),
        cmocka_unit_test_teardown(test_sum, tear_down),
        cmocka_unit_test_teardown(test_sum_half, tear_down),
        cmocka_unit_test_teardown(test_sum_rounding, tear_down),
        cmocka_unit_test_teardown(test_sum_blocks, tear_down),
        cmocka_unit_test_teardown(test_sum_hadamard, tear_down),
        cmocka_unit_test_teardown(test_sum_kronecker, tear_down),
        cmocka_unit_test_teardown(test_sum_dora, tear_down),
        cmocka_unit_test_teardown(test_sum_refused, tear_down),
        cmocka_unit_test_teardown(test_scaled, tear_down),
        cmocka_unit_test_teardown(test_scaled_special, tear_down),
        cmocka_unit_test_teardown(test_nested, tear_down),
        cmocka_unit_test_teardown(test_standardise, tear_down),
        cmocka_unit_test_teardown(test_batch_norm, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
