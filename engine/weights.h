/* Parameters of a model: from a name in the checkpoint to packed device memory. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/device.h"

struct component;
struct st_tensor;

enum weight_kind {
    WEIGHT_VECTOR, /* [C]: bias, norm scale; packed as dense f32 on every device */
    WEIGHT_MATRIX, /* [K,C] of a linear layer (a [K,C,1,1] convolution used as one included) */
    WEIGHT_CONV,   /* [K,C,R,R] */
    WEIGHT_TABLE,  /* [V,C], rows looked up by index; packed dense, in the device's dtype or the file's */
};

struct weight {
    enum weight_kind kind;
    const char *name; /* of the first part, for messages */
    int rank;
    int64_t shape[4]; /* as the op sees it; several parts are concatenated along axis 0 */
    int n_parts;
    const struct st_tensor *const *parts;
    void *packed;                     /* device memory, layout private to the device; NULL before weights_load */
    size_t packed_bytes, packed_room; /* of its layout; at `packed` */
    bool stale;                       /* set by the device: what lies at `packed` is not in the layout planned last */
    void *plan;                       /* the device's choice of layout, made while planning; owned by the device */
    struct weight *next;              /* in the component's list, in order of use */
};

#define SHAPE(...) (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* The tensor named by fmt in component c, checked against shape. Dies FAIL_UNSUPPORTED with file, tensor, expected, found on a wrong
 * shape; a missing tensor is remembered and reported by component_check with all the others. Lives in the component's arena.
 * A [K,C] matrix accepts a [K,C,1,1] tensor and the reverse. */
struct weight *weight_get(struct component *c, enum weight_kind kind, const int64_t *shape, int rank, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* One weight made of n tensors one below the other (to_q, to_k, to_v as one GEMM), shapes as found, checked: names[i] has rows[i] rows
 * of the given columns; columns 0 = a vector. */
struct weight *weight_get_stacked(struct component *c, enum weight_kind kind, int n, const char *const names[], const int64_t rows[],
                                  int64_t columns);

/* Has the device load every weight of the components that a planned op uses. Returns the bytes to read. Dies FAIL_IO if a file shrank. */
uint64_t weights_load(struct device *dev, struct component *const components[], int n);
/* All weights are there: dies FAIL_IO if a file changed since it was opened. Returns the milliseconds loading took. */
double weights_wait(struct device *dev, struct component *const components[], int n);
/* For devices: reads the items and has dev->pack pack them, several threads at once. */
void weights_pack_all(struct device *dev, struct weight *const items[], int n);
/* Sum of packed bytes, known after planning. */
uint64_t weights_packed_bytes(struct device *dev, struct component *const components[], int n);

#endif
