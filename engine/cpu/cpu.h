/* The CPU device's own header: plain C, own products and convolutions, oneDNN's where they
 * are faster or not measured, loops for the rest, shared by the threads of a pool. It is the specification the CUDA
 * device is tested against. The ops themselves are in ops.h. */
#ifndef ENGINE_CPU_CPU_H
#define ENGINE_CPU_CPU_H

#include <dnnl.h>
#include <stdatomic.h>
#include "engine/base/pool.h"
#include "engine/device.h"
#include "engine/ops.h"
#include "engine/weights.h"

struct cpu_device {
    struct device base;              /* first: a struct device * of this device is a struct cpu_device * */
    const struct cpu_ops *op_tables; /* of the instruction set chosen at opening */
    dnnl_engine_t engine;
    dnnl_stream_t *streams;  /* each thread's */
    atomic_int failed;       /* dnnl_status_t of a primitive that did, on any thread */
    size_t scratch_bytes;    /* the largest reservation of any op */
    void *scratch;           /* allocated by plan_end; an op's contents do not outlive the op */
    size_t scratch_capacity; /* at scratch */
    char *arena;             /* [arena_capacity], where arena_base points outside planning */
    int round;               /* of planning */
    struct cpu_plan *plans;  /* all of them, for close */
    struct cpu_primitive_entry *primitives;
    bool warm;                /* a product has run */
    struct cpu_block *blocks; /* alloc's, not yet freed */
    char product[128], isa[32];
    double load_ms;
    double *marks; /* [n_marks], of the clock */
    int n_marks;
    struct cpu_schedule { /* of the denoising loop: set_schedule */
        struct sched_row *rows;
        int row, head, depth; /* the current row; d[k] lies in slot (head + k) % depth */
    } schedule;
};

/* What planning decided about one weight; ops put it first in a struct of their own, hung on weight->plan. */
struct cpu_plan {
    enum dtype dtype; /* of the views it is used with */
    size_t packed_bytes;
    const struct cpu_primitive *layout[2]; /* those whose weights' layout the packed weight has; NULL where `pack` and dtype say it */
    int round;                             /* of planning */
    struct weight *w;
    struct cpu_plan *old; /* what it replaces, until planning ends */
    /* src: the weight's values as dense f32, shape as in weight->shape; Thread-safe, single-threaded inside. */
    void (*pack)(struct cpu_device *dev, struct weight *w, const float *src);
    void (*destroy)(struct cpu_plan *plan);
    struct cpu_plan *next; /* in the device's list, for close */
};

static inline struct cpu_device *cpu_of(struct device *dev) {
    return (struct cpu_device *)dev;
}

/* What this round of planning has decided about w; NULL before. */
struct cpu_plan *cpu_plan_of(const struct cpu_device *dev, const struct weight *w);
/* Registers a plan allocated with calloc as w's, in place of a former round's; the device destroys it. */
void cpu_plan_register(struct cpu_device *dev, struct weight *w, struct cpu_plan *plan, enum dtype dtype);
/* Marks a WEIGHT_VECTOR or WEIGHT_TABLE as used: packed dense (vectors f32, tables of dtype). */
void cpu_plan_dense(struct cpu_device *dev, struct weight *w, enum dtype dtype);
/* The op will need this many bytes of dev->scratch. */
void cpu_scratch_reserve(struct cpu_device *dev, size_t bytes);

/* struct device's alloc, free, memory_free and program_bytes. */
void *cpu_alloc(struct device *dev, size_t bytes);
void cpu_free(struct device *dev, void *p);
size_t cpu_memory_free(struct device *dev);
uint64_t cpu_program_bytes(struct device *dev);
void cpu_free_all(struct device *dev);
/* Page faults now, from all threads, and not in the first step. */
void cpu_touch(struct device *dev, void *p, size_t bytes);

/* To whole cache lines. */
static inline size_t cpu_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Zeroed; dies with FAIL_MEMORY. For plans. */
void *cpu_new(size_t bytes);
/* Dies if a oneDNN call failed. */
void cpu_check(dnnl_status_t status, const char *what);

#endif
