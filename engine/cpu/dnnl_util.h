/* oneDNN 2.6 and 3.x behind one face: descriptors, convolution and matmul primitives with their memory objects. */
#ifndef ENGINE_CPU_DNNL_UTIL_H
#define ENGINE_CPU_DNNL_UTIL_H

#include <dnnl.h>
#include "engine/cpu/cpu.h"

/* A descriptor is a struct in 2.x and a handle in 3.x; functions of both take MD(md). */
#if DNNL_VERSION_MAJOR >= 3
#define MD(md) (md)
#else
#define MD(md) (&(md))
#endif

/* One primitive and the memory objects it runs on, made while planning; running allocates nothing. It computes on the thread that runs
 * it alone: the pool's threads run it side by side on slices of an op. */
struct cpu_primitive {
    dnnl_primitive_t primitive;
    struct cpu_operands {
        dnnl_memory_t src, weights, bias, dst, scratchpad;
    } * operands;                  /* each thread's */
    dnnl_memory_desc_t weights_md; /* the layout it chose */
    size_t weights_bytes, scratchpad_bytes;
};

static inline dnnl_data_type_t cpu_dnnl_type(int dtype) {
    return dtype == DT_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* y [N,Ho,Wo,K] = conv(x [N,H,W,C], w [K,C,R,R]) (+ b f32 [K]) (+ y), x and y dense, of `dtype`.
 * bias, sum: 0 or 1. Only integers, without holes: compared by memcmp. */
struct cpu_conv {
    int N, H, W, C, Ho, Wo, K, R, stride, top, left, bottom, right, bias, sum, dtype;
};

/* Made once for all weights alike; the device's. layout: the one whose weights' layout to take, or NULL to choose the best. */
const struct cpu_primitive *cpu_primitive_conv(struct cpu_device *dev, const struct cpu_conv *c, const struct cpu_primitive *layout);

/* y [T,K] = act(x [T,C] wᵀ (+ b f32 [K])) (+ y), w [K,C]; rows x_ld and y_ld apart; of `dtype`, y f32 if
 * y_f32. Only integers, without holes: compared by memcmp. */
struct cpu_matmul {
    int T, C, K, x_ld, y_ld, act, bias, sum, y_f32, dtype;
};

/* As above. */
const struct cpu_primitive *cpu_primitive_matmul(struct cpu_device *dev, const struct cpu_matmul *m, const struct cpu_primitive *layout);
/* oneDNN makes the code of its products, and of what packs their weights, when the first one runs: done now, with zeros, where one is
 * planned and none has run. */
void cpu_primitives_warm(struct cpu_device *dev);
/* All of the device's. */
void cpu_primitives_destroy(struct cpu_device *dev);

/* dst [p->weights_bytes] = the dense f32 tensor src of these dims and strides, in p's layout. */
void cpu_primitive_pack(const struct cpu_primitive *p, struct cpu_device *dev, void *dst, const float *src, int rank,
                        const dnnl_dims_t dims, const dnnl_dims_t strides);
/* On the pool's thread of this number; b may be NULL where p has none; scratchpad: p->scratchpad_bytes. A failure is kept in dev->failed,
 * for the caller of pool_for to cpu_check. */
void cpu_primitive_run(const struct cpu_primitive *p, struct cpu_device *dev, int thread, void *y, const void *x, const void *w,
                       const void *b, void *scratchpad);

#endif
