/* Tensors that hold the elements of others, at other places. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"
#include "engine/base/sys.h"

/* ---- rows -------------------------------------------------------------------------------------------------------- */

struct rows {
    struct tensor tensor;
    const struct tensor *of;
    uint64_t begin; /* in `of`, bytes */
};

static int read_rows(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    const struct rows *r = (const struct rows *)t;
    return r->of->read(r->of, dst, r->begin + offset, n);
}

const struct tensor *tensor_rows(struct arena *a, const struct tensor *t, int64_t first, int64_t n) {
    assert(t->rank >= 1 && first >= 0 && n >= 0 && first <= t->shape[0] && n <= t->shape[0] - first);
    struct rows *r = arena_alloc(a, sizeof *r);
    uint64_t row = t->shape[0] ? t->bytes / (uint64_t)t->shape[0] : 0;
    *r = (struct rows){*t, t, (uint64_t)first * row};
    r->tensor.read = read_rows;
    r->tensor.shape[0] = n;
    r->tensor.bytes = (uint64_t)n * row;
    return &r->tensor;
}

const struct tensor *tensor_reshape(struct arena *a, const struct tensor *t, int rank, const int64_t *shape) {
    struct rows *r = arena_alloc(a, sizeof *r);
    uint64_t n = 1;
    *r = (struct rows){*t, t, 0};
    r->tensor.read = read_rows;
    r->tensor.rank = rank;
    for (int i = 0; i < rank; i++) n *= (uint64_t)(r->tensor.shape[i] = shape[i]);
    assert(rank <= TENSOR_RANK_MAX && n == tensor_count(t));
    return &r->tensor;
}

/* ---- transposed -------------------------------------------------------------------------------------------------- */

struct transposed {
    struct tensor tensor;
    const struct tensor *of;
};

/* Elements [first, first + n) of the transpose that lie in rows [i, i + n_rows) of the source. */
static void scatter(char *dst, const char *rows, uint64_t first, uint64_t n, uint64_t i, uint64_t n_rows, uint64_t R, uint64_t C,
                    size_t size) {
    for (uint64_t j = first / R; j < C && j * R < first + n; j++)
        for (uint64_t k = 0; k < n_rows; k++) {
            uint64_t at = j * R + i + k;
            if (at >= first && at < first + n) memcpy(dst + (at - first) * size, rows + (k * C + j) * size, size);
        }
}

/* The source is read once, in blocks of whole rows, whatever part is asked for. */
static int transposed_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    enum { BLOCK = 1 << 20 };
    const struct tensor *of = ((const struct transposed *)t)->of;
    size_t size = dtype_table[t->dtype].size;
    uint64_t R = (uint64_t)of->shape[0], C = (uint64_t)of->shape[1], row = C * size, most = row < BLOCK ? BLOCK / row : 1;
    char *block = sys.malloc(most * row);
    int error = block ? 0 : ENOMEM;
    for (uint64_t i = 0, n_rows; i < R && !error; i += n_rows) {
        n_rows = R - i < most ? R - i : most;
        error = of->read(of, block, i * row, n_rows * row);
        if (!error) scatter(dst, block, first, n, i, n_rows, R, C, size);
    }
    free(block);
    return error;
}

static int read_transposed(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return tensor_read_elements(t, dst, offset, n, transposed_elements);
}

const struct tensor *tensor_transpose(struct arena *a, const struct tensor *t) {
    assert(t->rank == 2);
    struct transposed *r = arena_alloc(a, sizeof *r);
    *r = (struct transposed){*t, t};
    r->tensor.read = read_transposed;
    r->tensor.shape[0] = t->shape[1];
    r->tensor.shape[1] = t->shape[0];
    return &r->tensor;
}

/* ---- one below the other ----------------------------------------------------------------------------------------- */

struct stacked {
    struct tensor tensor;
    const struct tensor *top, *bottom;
};

static int read_stacked(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    const struct stacked *s = (const struct stacked *)t;
    uint64_t above = s->top->bytes, n_top = offset < above ? (n < above - offset ? n : above - offset) : 0;
    int error = n_top ? s->top->read(s->top, dst, offset, n_top) : 0;
    if (error || n == n_top) return error;
    return s->bottom->read(s->bottom, (char *)dst + n_top, offset + n_top - above, n - n_top);
}

const struct tensor *tensor_stack(struct arena *a, const struct tensor *top, const struct tensor *bottom) {
    bool fits = top->dtype == bottom->dtype && top->rank == bottom->rank && top->rank >= 1;
    for (int i = 1; i < top->rank && fits; i++) fits = top->shape[i] == bottom->shape[i];
    if (!fits)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected rows like those of '%s', of %s", bottom->file->path, bottom->name, top->name,
            dtype_table[top->dtype].name);
    struct stacked *s = arena_alloc(a, sizeof *s);
    *s = (struct stacked){*top, top, bottom};
    s->tensor.read = read_stacked;
    s->tensor.shape[0] += bottom->shape[0];
    s->tensor.bytes += bottom->bytes;
    return &s->tensor;
}
