/* A device: where activations live and ops run. Two implementations in one binary, picked at run time.
 *
 * A run has three phases on the same forward code:
 *   plan   dev->planning is true: ops check shapes, choose algorithms and weight layouts and reserve scratch, but compute nothing;
 *          the arena only counts, so peak memory is known before a byte of weight is read;
 *   load   every weight is read from its file and packed once into the layout planning chose (weights_load);
 *   run    ops compute. Nothing is allocated here but what comes once, small: the schedule's rows, the clock's marks, pinned slots for
 *          latents, cuBLASLt's copies of biases.
 * The shapes of the run phase must have been planned. plan_begin starts over, for other shapes: what was loaded stays where its layout
 * does. */
#ifndef ENGINE_DEVICE_H
#define ENGINE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/base/dtype.h"
#include "engine/base/rng.h"

struct ops;
struct pool;
struct recording;
struct weight;

/* A view of activations in device memory, NHWC: element (n,h,w,c) is at n*image + (h*W + w)*ld + c, ld >= C. A matrix of T rows is
 * N*H*W = T. ld > C is a slice of the channels of a wider tensor (how concatenation costs no copy); image > H*W*ld, where there are several
 * images, a range of the tokens of a longer sequence (how sequences are joined without one). `p` is never dereferenced while planning. A
 * view with p == NULL means "none" where an op's operand is optional. */
struct view {
    void *p;
    int N, H, W, C, ld;
    enum dtype dtype; /* F32; BF16; F16 on CUDA */
    size_t image;     /* elements from one image to the next */
};

/* Kernels launched, arithmetic, bytes read and written at least. */
struct device_work {
    long launches;
    double flop, bytes;
};

enum { WEIGHT_PART_ALIGN = 64 }; /* of the parts of a weight as they are read */

struct device {
    const char *name;      /* "cpu", "cuda:0" */
    const char *product;   /* "NVIDIA H200", "AMD EPYC 9B14": as it calls itself */
    const char *isa;       /* what results depend on beside it: "avx2"; NULL: the product says it */
    struct rng_gpu gpu;    /* zeros: it is none */
    enum dtype dtype;      /* of what is allocated without saying otherwise */
    const struct ops *ops; /* ops_checked: what models call */
    const struct ops *own; /* what that calls, planning's or running's; in planning's NULL where there is nothing to plan */
    bool planning;
    bool async;        /* ops return before they have run, and weights may come after load has returned: whoever wants to keep it busy
                        * gives it the next work before he waits for the last */
    bool own_memory;   /* not the system's */
    bool host_arena;   /* the host may write to the arena: weights are read through what is free of it */
    bool x3;           /* products of f32 are of bf16, three for one: --dtype bf16x3 */
    bool images_alone; /* what becomes of an image is, to the last bit, the same whatever else is in the call */
    struct pool *pool; /* the threads that ops and loading share; NULL: the caller alone */

    /* Activation arena: a stack over one block. While planning it only counts. */
    char *arena_base;
    size_t arena_used, arena_peak, arena_capacity;

    /* Called by the models after each block with the block's checkpoint name and output, when set (tests, tracing). */
    void (*tap)(struct device *dev, const char *name, struct view y);
    void *tap_data;

    /* Bytes of w in the layout planning chose; 0 if no planned op uses it (it is then not loaded). */
    size_t (*packed_bytes)(struct device *dev, const struct weight *w);
    /* Packs w->packed from the parts' raw file bytes raw[0..n_parts), each at the first multiple of WEIGHT_PART_ALIGN behind the last.
     * Called from several threads at once, single-threaded inside, and must not die there: false where memory is lacking.   room: pack_room
     * bytes to convert in, 64-byte aligned */
    bool (*pack)(struct device *dev, struct weight *w, const void *const raw[], void *room);
    size_t (*pack_room)(const struct weight *w); /* NULL: none */
    /* Delivers the weights, items in order of use; where the device is async it goes on doing so after it has returned, and an op waits
     * for the weights it reads. load_wait returns when all have come, with the milliseconds it took. Both die FAIL_IO. */
    void (*load)(struct device *dev, struct weight *const items[], int n);
    double (*load_wait)(struct device *dev);
    /* A new job: what a load that failed has not brought is stale. Until then who waits for it dies as the first one did. */
    void (*load_forget)(struct device *dev);
    /* Bytes that can still be allocated; 0 where that cannot be told. */
    size_t (*memory_free)(struct device *dev);
    /* Bytes of the system's memory that the process has beside alloc's, with those that its first op takes for itself (code that is made
     * when it is needed: it is made now, so this is called once planning is done with an op of each kind). NULL where own_memory. */
    uint64_t (*program_bytes)(struct device *dev);
    /* Which libraries compute matrix products, for people; NULL where there is nothing to choose. */
    const char *(*products)(struct device *dev);
    /* Begins planning again, on a device that runs or whose planning was broken off. Every choice is made as on a fresh device, so that
     * results are those of one; only shapes planned from here on can be run, and what the arena held is lost. Arena and scratch grow and
     * never shrink. Afterwards weights_load reads again what now wants another layout. */
    void (*plan_begin)(struct device *dev);
    /* Ends planning: switches `ops` to the running table and allocates what arena and scratch lack (dies with FAIL_MEMORY). */
    void (*plan_end)(struct device *dev);
    /* The arena becomes one of so many bytes, where it is not already: what it held is lost. Dies with FAIL_MEMORY, without an arena then.
     */
    void (*arena_fit)(struct device *dev, size_t bytes);
    /* Bytes of scratch planned beside the arena. */
    size_t (*scratch_bytes)(const struct device *dev);
    /* Device memory outside the arena, zeroed; dies with FAIL_MEMORY. */
    void *(*alloc)(struct device *dev, size_t bytes);
    void (*free)(struct device *dev, void *p); /* waits for what runs */
    void (*close)(struct device *dev);         /* frees everything, dev included */

    /* Of one step of the loop, on a device that counts. */
    struct device_work step_work;

    /* Runs work(data), which launches the same ops with the same operands each time, and may record it in r, so that it costs one
     * submission from then on. data: all that decides what is launched and with which operands (views, numbers), `bytes` of it, padding
     * included: where they, work or what the device itself has baked in differ from what r holds, it is recorded afresh. r belongs to
     * the loop that calls and goes before the device does; recording_free takes NULL. */
    struct recording *(*recording_new)(struct device *dev);
    void (*recording_free)(struct device *dev, struct recording *r);
    void (*replay)(struct device *dev, struct recording *r, void (*work)(void *data), void *data, size_t bytes);
    /* After die() has unwound through work on this device (a job that failed): it can be used again. */
    void (*recover)(struct device *dev);
    /* Marks a moment in the device's work, 0 <= i < n of the last time_begin. */
    void (*time_begin)(struct device *dev, int n);
    void (*time_mark)(struct device *dev, int i);
    /* Waits for mark i, i > 0; milliseconds since mark i-1. */
    double (*time_wait)(struct device *dev, int i);
};

/* The CPU device: dtype F32, or BF16 where the CPU has it (dies FAIL_DEVICE where it has not). n_threads 0 = as many as the
 * process may use (cpu_count), or fewer where the system refuses threads. Starts planning. */
struct device *cpu_device_open(enum dtype dtype, int n_threads);
/* avx512_bf16: oneDNN 2.6 has no bf16 product or convolution on AVX2. */
bool cpu_has_bf16(void);
bool cpu_has_amx(void);
/* The products of f32 become sums of three of bf16 in place of six, with 16 bits of mantissa in place of 24. Right after opening a device
 * on a CPU with AMX. */
void cpu_take_x3(struct device *dev);

/* ---- the activation arena ---------------------------------------------------------------------------------------- */

/* Uninitialised [N,H,W,C], dense, 64-byte aligned, of the device's dtype or the given one. Only asserts: planning sized the arena. */
struct view view_alloc(struct device *dev, int N, int H, int W, int C);
struct view view_alloc_as(struct device *dev, enum dtype dtype, int N, int H, int W, int C);
/* Uninitialised bytes, 64-byte aligned. */
void *arena_push(struct device *dev, size_t bytes);
static inline size_t arena_mark(const struct device *dev) {
    return dev->arena_used;
}
static inline void arena_release(struct device *dev, size_t mark) {
    dev->arena_used = mark;
}

static inline size_t view_rows(struct view v) {
    return (size_t)v.N * v.H * v.W;
}
/* Bytes of an element. */
static inline size_t view_item(struct view v) {
    return dtype_table[v.dtype].size;
}
/* [N,H,W,C] at p, dense. */
static inline struct view view_dense(void *p, enum dtype dtype, int N, int H, int W, int C) {
    return (struct view){p, N, H, W, C, C, dtype, (size_t)H * W * C};
}
/* Channels [c0, c0+C) of v. */
struct view view_slice(struct view v, int c0, int C);
/* Images [n0, n0+N) of v. */
struct view view_images(struct view v, int n0, int N);
/* Rows [t0, t0+T) of each image of v [N,1,W,C]: [N,1,T,C]. */
struct view view_tokens(struct view v, int t0, int T);
/* Its images lie back to back. */
static inline bool view_is_whole(struct view v) {
    return v.N <= 1 || v.image == (size_t)v.H * v.W * v.ld;
}
static const struct view no_view = {0};

/* y [N,HW,C] = x [N,C,HW], and back: latents between a file's or torch's order and ours. Host memory. */
void latents_to_nhwc(float *y, const float *x, int N, size_t HW, int C);
void latents_to_nchw(float *y, const float *x, int N, size_t HW, int C);

void tap_view(struct device *dev, struct view y, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
