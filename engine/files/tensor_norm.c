/* Weights that a norm is folded into once and for all: what convolves with them is given no statistics of its own. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/sys.h"
#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"

/* ---- standardised ------------------------------------------------------------------------------------------------ */

struct standardised {
    struct tensor tensor;
    const struct tensor *of;
    double eps;
};

static void standardise(float *row, uint64_t n, double eps) {
    double mean = 0, variance = 0;
    for (uint64_t i = 0; i < n; i++) mean += (double)row[i];
    mean /= (double)n;
    for (uint64_t i = 0; i < n; i++) variance += ((double)row[i] - mean) * ((double)row[i] - mean);
    double scale = 1 / sqrt(variance / (double)n + eps);
    for (uint64_t i = 0; i < n; i++) row[i] = (float)(((double)row[i] - mean) * scale);
}

/* Row by row, each read whole, whatever part of it is asked for. */
static int standardised_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    const struct standardised *s = (const struct standardised *)t;
    uint64_t width = tensor_count(t) / (uint64_t)t->shape[0];
    float *row = sys.malloc(width * sizeof *row), *to = dst;
    int error = row ? 0 : ENOMEM;
    for (uint64_t count; n && !error; first += count, to += count, n -= count) {
        uint64_t at = first % width;
        count = n < width - at ? n : width - at;
        error = tensor_read_f32(s->of, row, first - at, width);
        if (error) break;
        standardise(row, width, s->eps);
        memcpy(to, row + at, count * sizeof *row);
    }
    free(row);
    return error;
}

static int read_standardised(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return tensor_read_elements(t, dst, offset, n, standardised_elements);
}

/* As F32. */
static struct tensor as_f32(const struct tensor *t, int (*read)(const struct tensor *t, void *dst, uint64_t offset, uint64_t n)) {
    struct tensor made = *t;
    made.dtype = DT_F32;
    made.bytes = tensor_count(t) * sizeof(float);
    made.read = read;
    return made;
}

const struct tensor *tensor_standardise(struct arena *a, const struct tensor *t, double eps) {
    assert(t->rank >= 2 && tensor_is_float(t));
    struct standardised *s = arena_alloc(a, sizeof *s);
    *s = (struct standardised){as_f32(t, read_standardised), t, eps};
    return &s->tensor;
}

/* ---- batch norm -------------------------------------------------------------------------------------------------- */

struct batch_normed {
    struct tensor tensor;
    const struct tensor *of; /* NULL: a bias that is 0 */
    struct batch_norm norm;
};

/* Channel c: y = scale x + shift. */
static int read_channel(const struct batch_norm *b, uint64_t c, double *scale, double *shift) {
    const struct tensor *parts[] = {b->weight, b->bias, b->mean, b->variance};
    float v[4];
    for (int i = 0; i < 4; i++) {
        int error = tensor_read_f32(parts[i], &v[i], c, 1);
        if (error) return error;
    }
    *scale = (double)v[0] / sqrt((double)v[3] + b->eps);
    *shift = (double)v[1] - (double)v[2] * *scale;
    return 0;
}

static int batch_normed_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    const struct batch_normed *s = (const struct batch_normed *)t;
    uint64_t width = tensor_count(t) / (uint64_t)t->shape[0], count;
    float *x = dst;
    int error = 0;
    memset(dst, 0, n * sizeof *x);
    if (s->of) error = tensor_read_f32(s->of, x, first, n);
    for (; n && !error; first += count, x += count, n -= count) {
        uint64_t at = first % width;
        double scale, shift;
        count = n < width - at ? n : width - at;
        error = read_channel(&s->norm, first / width, &scale, &shift);
        for (uint64_t i = 0; i < count && !error; i++) x[i] = (float)((double)x[i] * scale + (t->rank == 1 ? shift : 0));
    }
    return error;
}

static int read_batch_normed(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return tensor_read_elements(t, dst, offset, n, batch_normed_elements);
}

const struct tensor *tensor_batch_norm(struct arena *a, const struct tensor *t, const struct batch_norm *norm) {
    const struct tensor *like = t ? t : norm->bias;
    assert(like->rank >= 1 && tensor_is_float(like) && tensor_count(norm->weight) == (uint64_t)like->shape[0]);
    struct batch_normed *s = arena_alloc(a, sizeof *s);
    *s = (struct batch_normed){as_f32(like, read_batch_normed), t, *norm};
    return &s->tensor;
}
