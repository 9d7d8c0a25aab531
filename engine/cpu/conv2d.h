/* The parts of the convolution; conv2d.c chooses among them. */
#ifndef ENGINE_CPU_CONV2D_H
#define ENGINE_CPU_CONV2D_H

#include "engine/cpu/cpu.h"

/* One call's operands, as op_conv2d names them. */
struct conv_call {
    struct view y, x, temb, residual;
    struct weight *w, *b;
    struct conv_shape shape;
};

/* oneDNN, one primitive for each distinct shape a weight is used at: anything, but strided or enlarged operands are copied first. */
void conv_direct_plan(struct cpu_device *dev, const struct conv_call *c);
void conv_direct(struct cpu_device *dev, const struct conv_call *c);

#endif
