/* Convolution without AMX: whichever way is the fastest. */
#ifndef ENGINE_CPU_CONV2D_PLAIN_H
#define ENGINE_CPU_CONV2D_PLAIN_H

#include "engine/cpu/gemm.h"

static inline void conv_plain_plan(struct cpu_device *dev, const struct conv_call *c) {
    cpu_plan_dense(dev, c->b, DT_F32);
    bool planned = cpu_plan_of(dev, c->w) != NULL; /* the first use of w decides its layout */
    if (planned ? conv_winograd_packed(c->w) : conv_winograd_fits(c)) conv_winograd_plan(dev, c);
    else if (planned ? conv_narrow_packed(c->w) : conv_narrow_fits(c)) conv_narrow_plan(dev, c);
    else if (planned ? gemm_packed(c->w) : gemm_fits(c->x.dtype)) gemm_plan(dev, (struct gemm_call[]){gemm_of_conv(c)});
    else conv_direct_plan(dev, c);
}

static inline void conv_plain(struct cpu_device *dev, const struct conv_call *c) {
    if (conv_winograd_packed(c->w)) conv_winograd(dev, c);
    else if (conv_narrow_packed(c->w)) conv_narrow(dev, c);
    else if (gemm_packed(c->w)) gemm_run(dev, (struct gemm_call[]){gemm_of_conv(c)});
    else conv_direct(dev, c);
}

#endif
