/* Parameters of a model: from a name in the checkpoint to packed device memory. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/device.h"

struct binder;
struct tensor;

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
    const struct tensor **parts;      /* what is read: the checkpoint's, or what LoRAs make of them */
    const char *const *names;         /* of the parts, as they were asked for */
    void *packed;                     /* device memory, layout private to the device; NULL before weights_load */
    size_t packed_bytes, packed_room; /* of its layout; at `packed` */
    bool stale;                       /* what lies at `packed` is not in the layout planned last, or was not read to the end */
    void *plan;                       /* the device's choice of layout, made while planning; owned by the device */
    struct weight *next;              /* in the binder's list, in order of use */
};

/* Has the device load every weight bound that a planned op uses. Returns the bytes to read. Dies FAIL_IO if a file shrank. */
uint64_t weights_load(struct device *dev, struct binder *const binders[], int n);
/* Gives the memory of the weights back: the next weights_load reads them again. Nothing is on its way there any more. */
void weights_release(struct device *dev, struct binder *const binders[], int n);
/* Bytes of device memory they hold. */
uint64_t weights_held_bytes(struct binder *const binders[], int n);
/* All weights are there: dies FAIL_IO if a file changed since it was opened. Returns the milliseconds loading took. */
double weights_wait(struct device *dev, struct binder *const binders[], int n);
/* For devices: reads the items and has dev->pack pack them, several threads at once, through what is free of a host_arena or, where it
 * does not do, memory of its own. */
void weights_pack_all(struct device *dev, struct weight *const items[], int n);
/* The first value among what was loaded that is not finite, for who wonders why a picture is not: reads the files again. False if there is
 * none, or a read fails. */
struct weight_flaw {
    const struct tensor *tensor;
    uint64_t at, n; /* element at of n */
};
bool weights_find_flaw(struct binder *const binders[], int n, struct weight_flaw *flaw);
/* What reading them takes of an arena that the host may write to, before it is wanted for other things; 0 on other devices. */
uint64_t weights_reading_bytes(struct device *dev, struct binder *const binders[], int n);
/* Sum of packed bytes, known after planning. */
uint64_t weights_packed_bytes(struct device *dev, struct binder *const binders[], int n);

#endif
