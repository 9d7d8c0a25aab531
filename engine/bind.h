/* A net asks a binder for its parameters by name; what it got, in order, is what is loaded. */
#ifndef ENGINE_BIND_H
#define ENGINE_BIND_H

#include "engine/files/checkpoint.h"
#include "engine/weights.h"

enum { BINDER_NAMED = 5, BINDER_BLOCKS = 8 };

struct binder {
    const struct component *component; /* whose tensors are asked for */
    struct arena *arena;               /* the component's: nets live there too */
    struct weight *first, *last;       /* bound so far, in order */
    int n_missing;                     /* tensors asked for and not found … */
    const char *missing[BINDER_NAMED]; /* … the first of them */
    int n_blocks;
    void *blocks[BINDER_BLOCKS]; /* device memory, where the weights are packed */
    struct weight **list;        /* [list_room], of weights_load */
    int list_room;
};

struct binder *binder_new(const struct component *c);

#define SHAPE(...) (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* The tensor named by fmt, checked against shape. Dies FAIL_UNSUPPORTED with file, tensor, expected, found on a wrong shape; a missing
 * tensor is remembered and reported by binder_check with all the others. A [K,C] matrix accepts a [K,C,1,1] tensor and the reverse, a [1,C]
 * table a [C] one. */
struct weight *weight_get(struct binder *b, enum weight_kind kind, const int64_t *shape, int rank, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* One weight made of n tensors one below the other (to_q, to_k, to_v as one GEMM), shapes as found, checked: names[i] has rows[i] rows
 * of the given columns; columns 0 = a vector. */
struct weight *weight_get_stacked(struct binder *b, enum weight_kind kind, int n, const char *const names[], const int64_t rows[],
                                  int64_t columns);
/* w, of one part, is read from t, which is made of that part, instead. */
void weight_made_of(struct binder *b, struct weight *w, const struct tensor *t);
/* Dies FAIL_UNSUPPORTED listing the first missing tensors and their number, if any is, and a tensor of nearly that name that
 * nobody asked for. */
void binder_check(const struct binder *b);

#endif
