/* A tensor is something that can be read, wherever its bytes come from: who loads weights calls read and knows no more.
 * The kinds below are made of other tensors, which must outlive them; nothing is read before read is called. */
#ifndef ENGINE_FILES_TENSOR_H
#define ENGINE_FILES_TENSOR_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"
#include "engine/base/dtype.h"

enum { TENSOR_RANK_MAX = 8 };

struct st_file;

/* Every kind begins with one. */
struct tensor {
    const char *name;
    enum dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK_MAX];
    uint64_t bytes; /* of all elements, dense, the last axis fastest */
    /* Bytes [offset, offset + n) of it into dst; the range lies inside, at any alignment. Thread-safe, does not die: 0 or an errno (EIO,
     * ENOMEM, or ESTALE for a file that shrank). */
    int (*read)(const struct tensor *t, void *dst, uint64_t offset, uint64_t n);
    const struct st_file *file; /* where it comes from, for messages */
};

/* The whole of it. */
static inline int tensor_read(const struct tensor *t, void *dst) {
    return t->read(t, dst, 0, t->bytes);
}

/* Rows [first, first + n) of t, whose rank is at least 1: a third of a fused qkv. */
const struct tensor *tensor_rows(struct arena *a, const struct tensor *t, int64_t first, int64_t n);
/* t, its elements as they lie, in another shape of as many. */
const struct tensor *tensor_reshape(struct arena *a, const struct tensor *t, int rank, const int64_t *shape);
/* t [R,C] as [C,R]. */
const struct tensor *tensor_transpose(struct arena *a, const struct tensor *t);
/* The rows of top, then those of bottom, of one dtype and equal but for the first axis: an embedding learnt for a table of embeddings.
 * Dies FAIL_UNSUPPORTED where they do not fit. */
const struct tensor *tensor_stack(struct arena *a, const struct tensor *top, const struct tensor *bottom);

/* What is added to a weight [O,I] or [O,I,k,k], flattened to [O,C]: scale times
 *   LOW_RANK     a b                 a [O,r] or [O,r,1,1], b [r,I] or [r,I,k,k]
 *   HADAMARD     (a b) * (c d)       value by value: LoHa (Hyeon-Woo et al. 2022)
 *   KRONECKER    (a b) x (c d)       b or d may be NULL, for a or c alone; the rows and columns of the two divide those of the whole: LoKr
 * With a magnitude m, one value a row (DoRA, Liu et al. 2024), the sum so far is then brought to it: W' = m (W + delta) / ||W + delta||. */
enum delta_kind { DELTA_LOW_RANK, DELTA_HADAMARD, DELTA_KRONECKER };
struct delta {
    enum delta_kind kind;
    const struct tensor *a, *b, *c, *d, *magnitude; /* magnitude: of O values in all, or NULL */
    double scale;
};
/* base + the sum of n deltas, as F32; each delta is computed in f32. A read holds some rows, and the deltas' factors. The deltas are
 * copied. Dies FAIL_UNSUPPORTED where a shape does not fit or a dtype is not a floating one. */
const struct tensor *tensor_sum(struct arena *a, const struct tensor *base, const struct delta *deltas, int n);
/* One of the tensors that it adds up, its base aside: the first of which `is` holds; NULL for none, and where t is no sum. */
const struct tensor *tensor_sum_find(const struct tensor *t, bool (*is)(const struct tensor *part, void *context), void *context);
/* That it fits the base, or, for NULL, that one could: dies as tensor_sum does. */
void tensor_check_delta(const struct tensor *base, const struct delta *delta);

/* An F8_E4M3 or F8_E5M2 tensor times its scale, F32 or F16 as `dtype` says. scale: one value, or one a row; NULL: 1. Dies FAIL_UNSUPPORTED
 * where it is neither or a dtype does not fit. */
const struct tensor *tensor_scaled(struct arena *a, const struct tensor *t, const struct tensor *scale, enum dtype dtype);

/* As F32: each row (of the first axis, all others flattened) less its mean, divided by sqrt(variance + eps), of the population: weight
 * standardisation (Qiao et al. 2019), which torch computes anew in each call. t: of a floating dtype. */
const struct tensor *tensor_standardise(struct arena *a, const struct tensor *t, double eps);

/* Batch norm in evaluation: y = (x - mean) / sqrt(variance + eps) * weight + bias, each [K] of a floating dtype. */
struct batch_norm {
    const struct tensor *weight, *bias, *mean, *variance;
    double eps;
};
/* As F32, what makes a convolution's output come out normed: its weight [K,…] scaled, or its bias [K] scaled and shifted; t NULL: that of a
 * convolution without one. */
const struct tensor *tensor_batch_norm(struct arena *a, const struct tensor *t, const struct batch_norm *norm);

/* ---- for kinds --------------------------------------------------------------------------------------------------- */

/* Elements [first, first + n) of t into dst, which need not be aligned; 0 or an errno. */
typedef int tensor_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n);
/* struct tensor's read by way of one that gives whole elements. */
int tensor_read_elements(const struct tensor *t, void *dst, uint64_t offset, uint64_t n, tensor_elements *elements);
/* Elements [first, first + n) of a tensor of a floating dtype as f32; 0 or an errno. */
int tensor_read_f32(const struct tensor *t, float *dst, uint64_t first, uint64_t n);
static inline uint64_t tensor_count(const struct tensor *t) {
    return t->bytes / dtype_table[t->dtype].size;
}
static inline bool tensor_is_float(const struct tensor *t) {
    return t->dtype <= DT_F64;
}

#endif
