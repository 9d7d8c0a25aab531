/* y = conv(x, w) + b + temb + residual: the choice of the algorithm. */
#include "engine/cpu/conv2d.h"

void cpu_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                     struct view residual, struct conv_shape shape) {
    struct conv_call c = {y, x, temb, residual, w, b, shape};
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
