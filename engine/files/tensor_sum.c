/* A base and what LoRAs add to it, computed when it is read, some rows at a time: the base is read once, and so is every factor. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"
#include "engine/base/sys.h"

struct sum {
    struct tensor tensor;
    const struct tensor *base;
    const struct delta *deltas;
    int n;
    uint64_t columns; /* of base, flattened to a matrix */
};

/* ---- factors ----------------------------------------------------------------------------------------------------- */

struct matrix {
    float *x; /* [rows,columns] */
    uint64_t rows, columns;
};

static uint64_t rows_of(const struct tensor *t) {
    return (uint64_t)t->shape[0];
}

static uint64_t columns_of(const struct tensor *t) {
    return rows_of(t) ? tensor_count(t) / rows_of(t) : 0;
}

enum { LANES = 8, ROWS = 6, TILE = 2 * LANES, DEPTH = 64, PANELS = 8 };
typedef float lanes __attribute__((vector_size(4 * LANES)));

static inline lanes lanes_load(const float *p) {
    lanes x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void lanes_add(float *p, lanes x) {
    x += lanes_load(p);
    memcpy(p, &x, sizeof x);
}

/* A tile of y, `rows` by TILE, which stays in registers: += the first `depth` of u's columns times panel [depth,TILE]. */
static inline __attribute__((always_inline)) void multiply_tile(float *restrict y, const float *restrict u, const float *restrict panel,
                                                                uint64_t r, uint64_t depth, uint64_t columns, const uint64_t rows) {
    lanes sums[ROWS][2] = {{{0}}};
    for (uint64_t k = 0; k < depth; k++) {
        lanes left = lanes_load(panel + k * TILE), right = lanes_load(panel + k * TILE + LANES);
#pragma GCC unroll 6
        for (uint64_t a = 0; a < rows; a++) sums[a][0] += u[a * r + k] * left, sums[a][1] += u[a * r + k] * right;
    }
#pragma GCC unroll 6
    for (uint64_t a = 0; a < rows; a++) {
        lanes_add(y + a * columns, sums[a][0]);
        lanes_add(y + a * columns + LANES, sums[a][1]);
    }
}

/* The same for any number of rows up to ROWS and of panels side by side; each number of rows is compiled on its own. */
static void multiply_rows(float *y, const float *u, const float *panels, uint64_t r, uint64_t depth, uint64_t columns, uint64_t rows,
                          uint64_t n_panels) {
    for (uint64_t p = 0; p < n_panels; p++, y += TILE, panels += depth * TILE) switch (rows) {
        case 1: multiply_tile(y, u, panels, r, depth, columns, 1); break;
        case 2: multiply_tile(y, u, panels, r, depth, columns, 2); break;
        case 3: multiply_tile(y, u, panels, r, depth, columns, 3); break;
        case 4: multiply_tile(y, u, panels, r, depth, columns, 4); break;
        case 5: multiply_tile(y, u, panels, r, depth, columns, 5); break;
        default: multiply_tile(y, u, panels, r, depth, columns, ROWS);
        }
}

/* y [n,columns] += u [n,r] v [r,columns]. As much of v as stays in the first cache meets all rows, of which it then reads and writes
 * some cache lines in a row. */
static void multiply_add(float *restrict y, const float *restrict u, const float *restrict v, uint64_t n, uint64_t r, uint64_t columns) {
    uint64_t left = columns / TILE * TILE;
    for (uint64_t k = 0, depth; k < r; k += depth) {
        depth = r - k < DEPTH ? r - k : DEPTH;
        for (uint64_t j = 0, n_panels; j < left; j += n_panels * TILE) {
            float panels[PANELS * DEPTH * TILE];
            n_panels = (left - j) / TILE < PANELS ? (left - j) / TILE : PANELS;
            for (uint64_t p = 0; p < n_panels; p++)
                for (uint64_t d = 0; d < depth; d++)
                    memcpy(panels + (p * depth + d) * TILE, v + (k + d) * columns + j + p * TILE, TILE * sizeof *panels);
            for (uint64_t i = 0; i < n; i += ROWS)
                multiply_rows(y + i * columns + j, u + i * r + k, panels, r, depth, columns, n - i < ROWS ? n - i : ROWS, n_panels);
        }
    }
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = left; j < columns; j++) {
            float sum = 0;
            for (uint64_t k = 0; k < r; k++) sum += u[i * r + k] * v[k * columns + j];
            y[i * columns + j] += sum;
        }
}

/* t times scale, flattened to its first axis and the rest; 0 or an errno. */
static int load(struct matrix *m, const struct tensor *t, double scale) {
    uint64_t n = tensor_count(t);
    *m = (struct matrix){sys.malloc(n * sizeof *m->x + 1), rows_of(t), columns_of(t)};
    int error = m->x ? tensor_read_f32(t, m->x, 0, n) : ENOMEM;
    for (uint64_t i = 0; i < n && !error && scale != 1; i++) m->x[i] = (float)(scale * (double)m->x[i]);
    return error;
}

/* left right as one matrix; left alone where there is no right. */
static int load_product(struct matrix *m, const struct tensor *left, const struct tensor *right, double scale) {
    struct matrix a = {0}, b = {0};
    if (!right) return load(m, left, scale);
    *m = (struct matrix){sys.calloc(rows_of(left) * columns_of(right) + 1, sizeof *m->x), rows_of(left), columns_of(right)};
    int error = m->x ? 0 : ENOMEM;
    if (!error) error = load(&a, left, scale);
    if (!error) error = load(&b, right, 1);
    if (!error) multiply_add(m->x, a.x, b.x, a.rows, a.columns, b.columns);
    free(a.x), free(b.x);
    return error;
}

/* The factors of one delta, its scale in the first of them. */
struct factors {
    struct matrix a, b, c, d, magnitude;
};

static int load_factors(struct factors *f, const struct delta *d) {
    int error = d->magnitude ? load(&f->magnitude, d->magnitude, 1) : 0;
    if (error) return error;
    if (d->kind == DELTA_KRONECKER) {
        error = load_product(&f->a, d->a, d->b, d->scale);
        if (!error) error = load_product(&f->c, d->c, d->d, 1);
        return error;
    }
    error = load(&f->a, d->a, d->scale);
    if (!error) error = load(&f->b, d->b, 1);
    if (d->kind == DELTA_LOW_RANK || error) return error;
    error = load(&f->c, d->c, 1);
    return error ? error : load(&f->d, d->d, 1);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* y [n,columns] += rows [first, first + n) of the delta; spare [2,n,columns] */
static void add_delta(const struct factors *f, enum delta_kind kind, float *y, uint64_t first, uint64_t n, uint64_t columns, float *spare) {
    if (kind == DELTA_LOW_RANK) multiply_add(y, f->a.x + first * f->a.columns, f->b.x, n, f->a.columns, columns);
    if (kind == DELTA_HADAMARD) {
        float *other = spare + n * columns;
        memset(spare, 0, 2 * n * columns * sizeof *spare);
        multiply_add(spare, f->a.x + first * f->a.columns, f->b.x, n, f->a.columns, columns);
        multiply_add(other, f->c.x + first * f->c.columns, f->d.x, n, f->c.columns, columns);
        for (uint64_t i = 0; i < n * columns; i++) y[i] += spare[i] * other[i];
    }
    if (kind == DELTA_KRONECKER)
        for (uint64_t i = 0; i < n; i++) {
            const float *outer = f->a.x + (first + i) / f->c.rows * f->a.columns, *inner = f->c.x + (first + i) % f->c.rows * f->c.columns;
            for (uint64_t j = 0; j < f->a.columns; j++)
                for (uint64_t k = 0; k < f->c.columns; k++) y[i * columns + j * f->c.columns + k] += outer[j] * inner[k];
        }
}

/* The rows of y [n,columns] become as long as m says; one of zeros stays. */
static void set_lengths(float *y, const float *m, uint64_t n, uint64_t columns) {
    for (uint64_t i = 0; i < n; i++, y += columns) {
        double squares = 0;
        for (uint64_t j = 0; j < columns; j++) squares += (double)y[j] * (double)y[j];
        float factor = squares > 0 ? (float)((double)m[i] / sqrt(squares)) : 0;
        for (uint64_t j = 0; j < columns; j++) y[j] *= factor;
    }
}

/* Elements [first, first + n) of the rows they lie in; block [rows,columns], with room for two more of that size where a delta needs it. */
static int sum_rows(const struct sum *s, const struct factors *f, char *dst, uint64_t first, uint64_t n, float *block, uint64_t rows) {
    uint64_t C = s->columns, top = first / C, count = (first + n - 1) / C - top + 1;
    int error = tensor_read_f32(s->base, block, top * C, count * C);
    for (int i = 0; i < s->n && !error; i++) {
        add_delta(&f[i], s->deltas[i].kind, block, top, count, C, block + rows * C);
        if (f[i].magnitude.x) set_lengths(block, f[i].magnitude.x + top, count, C);
    }
    if (!error) memcpy(dst, block + (first - top * C), n * sizeof *block);
    return error;
}

static int sum_blocks(const struct sum *s, const struct factors *f, char *dst, uint64_t first, uint64_t n) {
    enum { BLOCK = 1 << 19 };
    uint64_t C = s->columns, rows = (first + n - 1) / C - first / C + 1, most = C < BLOCK / 4 ? BLOCK / C : 4;
    bool spare = false;
    for (int i = 0; i < s->n; i++) spare |= s->deltas[i].kind == DELTA_HADAMARD;
    if (rows > most) rows = most;
    float *block = sys.malloc((spare ? 3 : 1) * rows * C * sizeof *block);
    int error = block ? 0 : ENOMEM;
    for (uint64_t done = 0, count; done < n && !error; done += count) {
        count = rows * C - (first + done) % C;
        if (count > n - done) count = n - done;
        error = sum_rows(s, f, dst + done * sizeof *block, first + done, count, block, rows);
    }
    free(block);
    return error;
}

static int sum_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    const struct sum *s = (const struct sum *)t;
    struct factors *f = sys.calloc((size_t)s->n + 1, sizeof *f);
    int error = f ? 0 : ENOMEM;
    for (int i = 0; i < s->n && !error; i++) error = load_factors(&f[i], &s->deltas[i]);
    if (!error) error = sum_blocks(s, f, dst, first, n);
    for (int i = 0; f && i < s->n; i++) free(f[i].a.x), free(f[i].b.x), free(f[i].c.x), free(f[i].d.x), free(f[i].magnitude.x);
    free(f);
    return error;
}

static int read_sum(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return n ? tensor_read_elements(t, dst, offset, n, sum_elements) : 0;
}

/* ---- do they fit? ------------------------------------------------------------------------------------------------ */

static void check_float(const struct tensor *t) {
    if (!tensor_is_float(t))
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': unsupported dtype %s, expected F32, F16, BF16 or F64", t->file->path, t->name,
            dtype_table[t->dtype].name);
}

/* t is a matrix, trailing axes taken as one, of this many rows (0: any, but some) and columns. */
static void check_matrix(const struct tensor *t, uint64_t rows, uint64_t columns) {
    check_float(t);
    uint64_t found = t->rank ? rows_of(t) : 0;
    if (t->rank >= 2 && found && (!rows || found == rows) && columns && columns_of(t) == columns) return;
    const char *number = rows ? "" : "some";
    die(FAIL_UNSUPPORTED, "%s: tensor '%s': does not fit the weight it changes: expected %s%.0ju rows of %ju values, found %ju of %ju",
        t->file->path, t->name, number, (uintmax_t)rows, (uintmax_t)columns, (uintmax_t)found, (uintmax_t)(found ? columns_of(t) : 0));
}

/* up [rows,r], down [r,columns] */
static void check_pair(const struct tensor *up, const struct tensor *down, uint64_t rows, uint64_t columns) {
    check_matrix(down, 0, columns);
    check_matrix(up, rows, rows_of(down));
}

/* One side of a Kronecker product, which divides the whole. */
static void check_side(const struct tensor *a, const struct tensor *b, uint64_t *rows, uint64_t *columns, uint64_t most_columns) {
    check_float(a);
    if (b) check_float(b);
    if (a->rank < 2 || !rows_of(a) || !columns_of(a) || (b && (b->rank < 2 || !columns_of(b)))) check_matrix(a, 0, most_columns);
    *rows = rows_of(a);
    *columns = b ? columns_of(b) : columns_of(a);
    if (b) check_matrix(a, *rows, rows_of(b));
}

static void check_magnitude(const struct tensor *t, uint64_t rows) {
    check_float(t);
    if (tensor_count(t) != rows)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': does not fit the weight it changes: expected %ju values, found %ju", t->file->path, t->name,
            (uintmax_t)rows, (uintmax_t)tensor_count(t));
}

static void check_delta(const struct delta *d, uint64_t rows, uint64_t columns) {
    if (d->magnitude) check_magnitude(d->magnitude, rows);
    uint64_t outer_rows, outer_columns, inner_rows, inner_columns;
    if (d->kind != DELTA_KRONECKER) check_pair(d->a, d->b, rows, columns);
    if (d->kind == DELTA_HADAMARD) check_pair(d->c, d->d, rows, columns);
    if (d->kind != DELTA_KRONECKER) return;
    check_side(d->a, d->b, &outer_rows, &outer_columns, columns);
    check_side(d->c, d->d, &inner_rows, &inner_columns, columns);
    bool fits = rows % inner_rows == 0 && rows / inner_rows == outer_rows && columns % inner_columns == 0 &&
                columns / inner_columns == outer_columns;
    if (!fits)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': does not fit the weight it changes: %ju x %ju of %ju x %ju, expected %ju x %ju in all",
            d->a->file->path, d->a->name, (uintmax_t)outer_rows, (uintmax_t)outer_columns, (uintmax_t)inner_rows, (uintmax_t)inner_columns,
            (uintmax_t)rows, (uintmax_t)columns);
}

void tensor_check_delta(const struct tensor *base, const struct delta *delta) {
    check_float(base);
    uint64_t rows = base->rank >= 2 ? rows_of(base) : 0, columns = rows ? columns_of(base) : 0;
    if (!columns) die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected a matrix", base->file->path, base->name);
    if (delta) check_delta(delta, rows, columns);
}

const struct tensor *tensor_sum(struct arena *a, const struct tensor *base, const struct delta *deltas, int n) {
    tensor_check_delta(base, NULL);
    for (int i = 0; i < n; i++) tensor_check_delta(base, &deltas[i]);
    struct sum *s = arena_alloc(a, sizeof *s);
    struct delta *copy = arena_array(a, (size_t)n, sizeof *copy);
    if (n) memcpy(copy, deltas, (size_t)n * sizeof *copy);
    *s = (struct sum){*base, base, copy, n, columns_of(base)};
    s->tensor.read = read_sum;
    s->tensor.dtype = DT_F32;
    s->tensor.bytes = tensor_count(base) * sizeof(float);
    return &s->tensor;
}
