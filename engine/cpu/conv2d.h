/* The parts of the convolution; conv2d_plain.h chooses among them and gemm.h's. */
#ifndef ENGINE_CPU_CONV2D_H
#define ENGINE_CPU_CONV2D_H

#include "engine/cpu/row.h"

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

/* What the tap (r, q) of the output pixel (n, h, w) reads, of H x W as conv_seen has them; NULL: padding. */
static inline const void *conv_pixel(const struct conv_call *c, int H, int W, int n, int h, int w, int r, int q) {
    struct conv_shape s = c->shape;
    int row = h * s.stride + r - s.top, column = w * s.stride + q - s.left;
    if (row < 0 || row >= H || column < 0 || column >= W) return NULL;
    int half = s.upsample == 2;
    return row_at(c->x, ((size_t)n * (size_t)c->x.H + (size_t)(row >> half)) * (size_t)c->x.W + (size_t)(column >> half), 0);
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

#endif
