/* y = conv(x, w) + b + temb + residual, without AMX. */
#include "engine/cpu/conv2d_plain.h"

void cpu_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                     struct view residual, struct conv_shape shape) {
    conv_plain_plan(cpu_of(base), &(struct conv_call){y, x, temb, residual, w, b, shape});
}

void cpu_conv2d(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                struct view residual, struct conv_shape shape) {
    conv_plain(cpu_of(base), &(struct conv_call){y, x, temb, residual, w, b, shape});
}
