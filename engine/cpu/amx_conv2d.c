/* y = conv(x, w) + b + temb + residual. In bf16 and in two parts AMX has no match; three parts are slower than Winograd, and worth
 * while where there is nothing but a product. */
#include "engine/cpu/amx_kernels.h"
#include "engine/cpu/conv2d_plain.h"

static bool takes(const struct cpu_device *dev, const struct conv_call *c) {
    return amx_parts(dev, c->x.dtype) < AMX_MOST_PARTS || c->w->shape[2] == 1;
}

void cpu_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                     struct view residual, struct conv_shape shape) {
    struct gemm_call c = gemm_of_conv(&(struct conv_call){y, x, temb, residual, w, b, shape});
    if (takes(cpu_of(base), &c.conv)) amx_gemm_plan(cpu_of(base), &c);
    else conv_plain_plan(cpu_of(base), &c.conv);
}

void cpu_conv2d(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                struct view residual, struct conv_shape shape) {
    struct gemm_call c = gemm_of_conv(&(struct conv_call){y, x, temb, residual, w, b, shape});
    if (takes(cpu_of(base), &c.conv)) amx_gemm(cpu_of(base), &c);
    else conv_plain(cpu_of(base), &c.conv);
}
