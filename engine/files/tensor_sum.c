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

enum { LANES = 8, ROWS = 6, TILE = 2 * LANES, CACHED = 1 << 12 };
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

/* A tile of y, `rows` by TILE, which stays in registers: += u's rows [rows,r] times panel [r,TILE]. */
static inline __attribute__((always_inline)) void multiply_tile(float *restrict y, const float *restrict u, const float *restrict panel,
                                                                uint64_t r, uint64_t columns, const uint64_t rows) {
    lanes sums[ROWS][2] = {{{0}}};
#pragma GCC unroll 6
    for (uint64_t a = 0; a < rows; a++) __builtin_prefetch(y + a * columns, 1);
    for (uint64_t k = 0; k < r; k++) {
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
static void multiply_rows(float *y, const float *u, const float *panels, uint64_t r, uint64_t columns, uint64_t rows, uint64_t n_panels) {
    for (uint64_t p = 0; p < n_panels; p++, y += TILE, panels += r * TILE) switch (rows) {
        case 1: multiply_tile(y, u, panels, r, columns, 1); break;
        case 2: multiply_tile(y, u, panels, r, columns, 2); break;
        case 3: multiply_tile(y, u, panels, r, columns, 3); break;
        case 4: multiply_tile(y, u, panels, r, columns, 4); break;
        case 5: multiply_tile(y, u, panels, r, columns, 5); break;
        default: multiply_tile(y, u, panels, r, columns, ROWS);
        }
}

/* y [n,v.columns] += u [n,v.rows] v, v packed. As many panels as stay in the first cache meet all rows, of which they then read and write
 * some cache lines in a row. */
static void multiply_add(float *restrict y, const float *restrict u, const struct matrix *v, uint64_t n) {
    uint64_t r = v->rows, columns = v->columns, whole = columns / TILE, most = CACHED / TILE / (r + 1) + 1;
    for (uint64_t p = 0, n_panels; p < whole; p += n_panels) {
        n_panels = whole - p < most ? whole - p : most;
        for (uint64_t i = 0; i < n; i += ROWS)
            multiply_rows(y + i * columns + p * TILE, u + i * r, v->x + p * r * TILE, r, columns, n - i < ROWS ? n - i : ROWS, n_panels);
    }
    for (uint64_t i = 0; i < n && whole * TILE < columns; i++) {
        float sums[TILE] = {0};
        multiply_rows(sums, u + i * r, v->x + whole * r * TILE, r, TILE, 1, 1);
        for (uint64_t j = whole * TILE; j < columns; j++) y[i * columns + j] += sums[j - whole * TILE];
    }
}

/* As multiply_add takes it: in panels [rows,TILE] of TILE columns each, behind the last column zeros. 0 or an errno. */
static int pack(struct matrix *m) {
    uint64_t n_panels = (m->columns + TILE - 1) / TILE;
    float *panels = sys.calloc(n_panels * m->rows * TILE + 1, sizeof *panels);
    if (!panels) return ENOMEM;
    for (uint64_t k = 0; k < m->rows; k++)
        for (uint64_t p = 0; p < n_panels; p++) {
            uint64_t n = m->columns - p * TILE < TILE ? m->columns - p * TILE : TILE;
            memcpy(panels + (p * m->rows + k) * TILE, m->x + k * m->columns + p * TILE, n * sizeof *panels);
        }
    free(m->x);
    m->x = panels;
    return 0;
}

/* t times scale, flattened to its first axis and the rest; 0 or an errno. */
static int load(struct matrix *m, const struct tensor *t, double scale) {
    uint64_t n = tensor_count(t);
    *m = (struct matrix){sys.malloc(n * sizeof *m->x + 1), rows_of(t), columns_of(t)};
    int error = m->x ? tensor_read_f32(t, m->x, 0, n) : ENOMEM;
    for (uint64_t i = 0; i < n && !error && scale != 1; i++) m->x[i] = (float)(scale * (double)m->x[i]);
    return error;
}

static int load_packed(struct matrix *m, const struct tensor *t) {
    int error = load(m, t, 1);
    return error ? error : pack(m);
}

/* left right as one matrix; left alone where there is no right. */
static int load_product(struct matrix *m, const struct tensor *left, const struct tensor *right, double scale) {
    struct matrix a = {0}, b = {0};
    if (!right) return load(m, left, scale);
    *m = (struct matrix){sys.calloc(rows_of(left) * columns_of(right) + 1, sizeof *m->x), rows_of(left), columns_of(right)};
    int error = m->x ? 0 : ENOMEM;
    if (!error) error = load(&a, left, scale);
    if (!error) error = load_packed(&b, right);
    if (!error) multiply_add(m->x, a.x, &b, a.rows);
    free(a.x), free(b.x);
    return error;
}

/* The factors of one delta, its scale in the first of them; b and d are packed where they are a second factor. */
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
    if (!error) error = load_packed(&f->b, d->b);
    if (d->kind == DELTA_LOW_RANK || error) return error;
    error = load(&f->c, d->c, 1);
    return error ? error : load_packed(&f->d, d->d);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* y [n,columns] += rows [first, first + n) of the delta; spare [2,n,columns] */
static void add_delta(const struct factors *f, enum delta_kind kind, float *y, uint64_t first, uint64_t n, uint64_t columns, float *spare) {
    if (kind == DELTA_LOW_RANK) multiply_add(y, f->a.x + first * f->a.columns, &f->b, n);
    if (kind == DELTA_HADAMARD) {
        float *other = spare + n * columns;
        memset(spare, 0, 2 * n * columns * sizeof *spare);
        multiply_add(spare, f->a.x + first * f->a.columns, &f->b, n);
        multiply_add(other, f->c.x + first * f->c.columns, &f->d, n);
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

/* y [count,C] = rows [top, top + count); spare: room for two more of that size where a delta needs it */
static int sum_rows(const struct sum *s, const struct factors *f, float *y, uint64_t top, uint64_t count, float *spare) {
    uint64_t C = s->columns;
    int error = tensor_read_f32(s->base, y, top * C, count * C);
    for (int i = 0; i < s->n && !error; i++) {
        add_delta(&f[i], s->deltas[i].kind, y, top, count, C, spare);
        if (f[i].magnitude.x) set_lengths(y, f[i].magnitude.x + top, count, C);
    }
    return error;
}

/* Whole rows are summed where they are wanted; of a row that begins or ends elsewhere, a part is copied. */
static int sum_blocks(const struct sum *s, const struct factors *f, char *dst, uint64_t first, uint64_t n) {
    enum { BLOCK = 1 << 19 };
    uint64_t C = s->columns, rows = (first + n - 1) / C - first / C + 1, most = C < BLOCK / 4 ? BLOCK / C : 4;
    bool hadamard = false, in_place = (uintptr_t)dst % sizeof(float) == 0;
    for (int i = 0; i < s->n; i++) hadamard |= s->deltas[i].kind == DELTA_HADAMARD;
    if (rows > most) rows = most;
    float *row = sys.malloc((C + (hadamard ? 2 * rows * C : 0)) * sizeof *row);
    int error = row ? 0 : ENOMEM;
    for (uint64_t done = 0, count; done < n && !error; done += count) {
        uint64_t at = first + done, in_row = at % C;
        char *to = dst + done * sizeof *row;
        count = n - done;
        if (in_place && !in_row && count >= C) {
            if (count > rows * C) count = rows * C;
            count -= count % C;
            error = sum_rows(s, f, (float *)to, at / C, count / C, row + C);
            continue;
        }
        if (count > C - in_row) count = C - in_row;
        error = sum_rows(s, f, row, at / C, 1, row + C);
        if (!error) memcpy(to, row + in_row, count * sizeof *row);
    }
    free(row);
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

const struct tensor *tensor_sum_find(const struct tensor *t, bool (*is)(const struct tensor *part, void *context), void *context) {
    const struct sum *s = (const struct sum *)t;
    for (int i = 0; t->read == read_sum && i < s->n; i++) {
        const struct delta *d = &s->deltas[i];
        const struct tensor *parts[] = {d->a, d->b, d->c, d->d, d->magnitude};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            if (parts[k] && is(parts[k], context)) return parts[k];
    }
    return NULL;
}
