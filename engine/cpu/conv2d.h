/* The parts of the convolution; conv2d.c chooses among them. */
#ifndef ENGINE_CPU_CONV2D_H
#define ENGINE_CPU_CONV2D_H

#include "engine/cpu/ops.h"

/* One call's operands, as op_conv2d names them. */
struct conv_call {
    struct view y, x, temb, residual;
    struct weight *w, *b;
    struct conv_shape shape;
};

/* Rows and columns of x as the window sees them: enlarged, then cropped to exactly as many as y needs. */
static inline void conv_seen(const struct conv_call *c, int *H, int *W) {
    struct conv_shape s = c->shape;
    int R = (int)c->w->shape[2];
    *H = s.upsample == 2 ? (c->y.H - 1) * s.stride + R - s.top - s.bottom : c->x.H;
    *W = s.upsample == 2 ? (c->y.W - 1) * s.stride + R - s.left - s.right : c->x.W;
}

/* oneDNN, one primitive for each distinct shape a weight is used at: anything, but strided or enlarged operands are
 * copied first. */
void conv_direct_plan(struct cpu_device *dev, const struct conv_call *c);
void conv_direct(struct cpu_device *dev, const struct conv_call *c);

/* Winograd, see conv2d_winograd.c: 3x3 of stride 1 with C % 16 == 0 and K % 16 == 0; strided and enlarged operands as
 * they are. */
bool conv_winograd_fits(const struct conv_call *c);
bool conv_winograd_packed(const struct weight *w); /* w has been planned for it */
void conv_winograd_plan(struct cpu_device *dev, const struct conv_call *c);
void conv_winograd(struct cpu_device *dev, const struct conv_call *c);

/* To at most 4 channels, C % 16 == 0, see conv2d_narrow.c: strided and enlarged operands as they are. */
bool conv_narrow_fits(const struct conv_call *c);
bool conv_narrow_packed(const struct weight *w); /* w has been planned for it */
void conv_narrow_plan(struct cpu_device *dev, const struct conv_call *c);
void conv_narrow(struct cpu_device *dev, const struct conv_call *c);

/* Whichever of these is the faster. */
static inline void conv_plain_plan(struct cpu_device *dev, const struct conv_call *c) {
    cpu_plan_dense(dev, c->b, DT_F32);
    bool planned = cpu_plan_of(dev, c->w) != NULL; /* the first use of w decides its layout */
    if (planned ? conv_winograd_packed(c->w) : conv_winograd_fits(c)) conv_winograd_plan(dev, c);
    else if (planned ? conv_narrow_packed(c->w) : conv_narrow_fits(c)) conv_narrow_plan(dev, c);
    else conv_direct_plan(dev, c);
}

static inline void conv_plain(struct cpu_device *dev, const struct conv_call *c) {
    if (conv_winograd_packed(c->w)) conv_winograd(dev, c);
    else if (conv_narrow_packed(c->w)) conv_narrow(dev, c);
    else conv_direct(dev, c);
}

#endif
