/* Linear layers on AMX: convolutions of one tap. */
#include "engine/cpu/amx_kernels.h"

static struct amx_call call(struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    static const struct conv_shape one_tap = {.stride = 1, .upsample = 1};
    return (struct amx_call){.conv = {y, x, no_view, residual, w, b, one_tap}, .act = act, .halves = 1};
}

static struct amx_call geglu_call(struct view y, struct view x, struct weight *w, struct weight *b) {
    struct amx_call c = call(y, x, w, b, ACT_NONE, no_view);
    c.halves = 2;
    return c;
}

void cpu_linear_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                     struct view residual) {
    struct amx_call c = call(y, x, w, b, act, residual);
    amx_gemm_plan(cpu_of(dev), &c);
}

void cpu_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    struct amx_call c = call(y, x, w, b, act, residual);
    amx_gemm(cpu_of(dev), &c);
}

void cpu_linear_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct amx_call c = geglu_call(y, x, w, b);
    amx_gemm_plan(cpu_of(dev), &c);
}

void cpu_linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct amx_call c = geglu_call(y, x, w, b);
    amx_gemm(cpu_of(dev), &c);
}
