/* y = conv(x, w) + b + temb + residual: shape checks and the choice of the algorithm. */
#include <assert.h>
#include "engine/cpu/conv2d.h"

static int output_size(int in, int before, int after, int R, int stride) {
    return (in + before + after - R) / stride + 1;
}

static void check_shapes(const struct conv_call *c) {
    struct view y = c->y, x = c->x;
    struct conv_shape s = c->shape;
    assert(c->w->rank == 4 && c->w->shape[0] == y.C && c->w->shape[1] == x.C && c->w->shape[2] == c->w->shape[3]);
    int R = (int)c->w->shape[2], Ho = output_size(x.H * s.upsample, s.top, s.bottom, R, s.stride);
    int Wo = output_size(x.W * s.upsample, s.left, s.right, R, s.stride);
    assert(R >= 1 && R <= 16 && s.stride >= 1 && s.stride <= 16 && (s.upsample == 1 || s.upsample == 2));
    assert(y.N == x.N && y.H <= Ho && y.H > Ho - s.upsample && y.W <= Wo && y.W > Wo - s.upsample);
    assert(!c->b || (c->b->rank == 1 && c->b->shape[0] == y.C));
    assert(!c->temb.p || ((c->temb.N == y.N || c->temb.N == 1) && c->temb.H == 1 && c->temb.W == 1 && c->temb.C == y.C));
    assert(!c->residual.p || (c->residual.N == y.N && c->residual.H == y.H && c->residual.W == y.W && c->residual.C == y.C));
    (void)Ho, (void)Wo;
}

void cpu_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                     struct view residual, struct conv_shape shape) {
    struct conv_call c = {y, x, temb, residual, w, b, shape};
    check_shapes(&c);
    cpu_plan_dense(cpu_of(base), b, DT_F32);
    if (cpu_plan_of(cpu_of(base), w) ? conv_winograd_packed(w) : conv_winograd_fits(&c)) /* the first use of w decides its layout */
        conv_winograd_plan(cpu_of(base), &c);
    else conv_direct_plan(cpu_of(base), &c);
}

void cpu_conv2d(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                struct view residual, struct conv_shape shape) {
    struct conv_call c = {y, x, temb, residual, w, b, shape};
    if (conv_winograd_packed(w)) conv_winograd(cpu_of(base), &c);
    else conv_direct(cpu_of(base), &c);
}
