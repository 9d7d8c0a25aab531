/* A base and low-rank deltas (Hu et al. 2021): W + sum of scale * up * down, computed when it is read, some rows at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"
#include "engine/base/sys.h"

struct sum {
    struct tensor tensor;
    const struct tensor *base;
    const struct low_rank *deltas;
    int n;
    uint64_t columns; /* of base, flattened to a matrix */
};

/* Adds the delta to elements [first, first + n) of the matrix. down [r,columns], row: room for r. */
static int add_rows(const struct sum *s, const struct low_rank *d, const float *down, float *row, double *x, uint64_t first, uint64_t n) {
    uint64_t r = (uint64_t)d->down->shape[0];
    for (uint64_t done = 0, count; done < n; done += count) {
        uint64_t i = (first + done) / s->columns, at = (first + done) % s->columns;
        count = n - done < s->columns - at ? n - done : s->columns - at;
        int error = tensor_read_f32(d->up, row, i * r, r);
        if (error) return error;
        for (uint64_t k = 0; k < r; k++) {
            double factor = d->scale * (double)row[k];
            const float *from = down + k * s->columns + at;
            for (uint64_t j = 0; j < count; j++) x[done + j] += factor * (double)from[j];
        }
    }
    return 0;
}

static int add_delta(const struct sum *s, const struct low_rank *d, double *x, uint64_t first, uint64_t n) {
    uint64_t r = (uint64_t)d->down->shape[0];
    float *down = sys.malloc(r * s->columns * sizeof *down + 1), *row = sys.malloc(r * sizeof *row + 1);
    int error = down && row ? tensor_read_f32(d->down, down, 0, r * s->columns) : ENOMEM;
    if (!error) error = add_rows(s, d, down, row, x, first, n);
    free(down), free(row);
    return error;
}

static int sum_block(const struct sum *s, char *dst, uint64_t first, uint64_t n, double *x, float *values) {
    int error = tensor_read_f32(s->base, values, first, n);
    for (uint64_t j = 0; j < n && !error; j++) x[j] = (double)values[j];
    for (int i = 0; i < s->n && !error; i++) error = add_delta(s, &s->deltas[i], x, first, n);
    for (uint64_t j = 0; j < n && !error; j++) values[j] = (float)x[j];
    if (!error) memcpy(dst, values, n * sizeof *values);
    return error;
}

static int sum_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    enum { BLOCK = 1 << 20 };
    const struct sum *s = (const struct sum *)t;
    uint64_t most = n < BLOCK ? n : BLOCK;
    double *x = sys.malloc(most * sizeof *x);
    float *values = sys.malloc(most * sizeof *values);
    int error = x && values ? 0 : ENOMEM;
    for (uint64_t done = 0, count; done < n && !error; done += count) {
        count = n - done < most ? n - done : most;
        error = sum_block(s, (char *)dst + done * sizeof(float), first + done, count, x, values);
    }
    free(x), free(values);
    return error;
}

static int read_sum(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return tensor_read_elements(t, dst, offset, n, sum_elements);
}

static void check_float(const struct tensor *t) {
    if (!tensor_is_float(t))
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': unsupported dtype %s, expected F32, F16, BF16 or F64", t->file->path, t->name,
            dtype_table[t->dtype].name);
}

/* t is a matrix, trailing axes taken as one, of this many rows and columns; rows < 0: any number but 0. */
static void check_matrix(const struct tensor *t, int64_t rows, uint64_t columns) {
    check_float(t);
    bool good = t->rank >= 2 && t->shape[0] > 0 && (rows < 0 || t->shape[0] == rows);
    if (!good || tensor_count(t) % (uint64_t)t->shape[0] || tensor_count(t) / (uint64_t)t->shape[0] != columns)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': does not fit the weight it changes: expected %jd rows of %ju, found %jd of %ju values",
            t->file->path, t->name, (intmax_t)rows, (uintmax_t)columns, (intmax_t)(t->rank ? t->shape[0] : 0), (uintmax_t)tensor_count(t));
}

const struct tensor *tensor_sum(struct arena *a, const struct tensor *base, const struct low_rank *deltas, int n) {
    check_float(base);
    uint64_t rows = base->rank >= 2 ? (uint64_t)base->shape[0] : 0, columns = rows ? tensor_count(base) / rows : 0;
    if (!columns) die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected a matrix", base->file->path, base->name);
    for (int i = 0; i < n; i++) {
        check_matrix(deltas[i].down, -1, columns);
        check_matrix(deltas[i].up, base->shape[0], (uint64_t)deltas[i].down->shape[0]);
    }
    struct sum *s = arena_alloc(a, sizeof *s);
    struct low_rank *copy = arena_array(a, (size_t)n, sizeof *copy);
    if (n) memcpy(copy, deltas, (size_t)n * sizeof *copy);
    *s = (struct sum){*base, base, copy, n, columns};
    s->tensor.read = read_sum;
    s->tensor.dtype = DT_F32;
    s->tensor.bytes = tensor_count(base) * sizeof(float);
    return &s->tensor;
}
