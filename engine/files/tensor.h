/* A tensor is something that can be read, wherever its bytes come from: who loads weights calls read and knows no more. */
#ifndef ENGINE_FILES_TENSOR_H
#define ENGINE_FILES_TENSOR_H

#include <stdint.h>
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

#endif
