/* Linear layers on AMX: convolutions of one tap. */
#include "engine/cpu/amx_kernels.h"

void cpu_linear_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                     struct view residual) {
    struct gemm_call c = gemm_of_linear(y, x, w, b, act, residual);
    amx_gemm_plan(cpu_of(dev), &c);
}

void cpu_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    struct gemm_call c = gemm_of_linear(y, x, w, b, act, residual);
    amx_gemm(cpu_of(dev), &c);
}

void cpu_linear_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct gemm_call c = gemm_of_geglu(y, x, w, b);
    amx_gemm_plan(cpu_of(dev), &c);
}

void cpu_linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct gemm_call c = gemm_of_geglu(y, x, w, b);
    amx_gemm(cpu_of(dev), &c);
}
