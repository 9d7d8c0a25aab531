/* Linear layers, without AMX: by our own products where they fit, else by oneDNN's. */
#include "engine/cpu/gemm.h"
#include "engine/cpu/linear_dnnl.h"

void cpu_linear_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                     struct view residual) {
    if (gemm_fits(x.dtype)) gemm_plan(cpu_of(dev), (struct gemm_call[]){gemm_of_linear(y, x, w, b, act, residual)});
    else linear_dnnl_plan(dev, y, x, w, b, act, residual);
}

void cpu_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act, struct view residual) {
    if (gemm_packed(w)) gemm_run(cpu_of(dev), (struct gemm_call[]){gemm_of_linear(y, x, w, b, act, residual)});
    else linear_dnnl(dev, y, x, w, b, act, residual);
}

void cpu_linear_geglu_plan(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    if (gemm_fits(x.dtype)) gemm_plan(cpu_of(dev), (struct gemm_call[]){gemm_of_geglu(y, x, w, b)});
    else linear_dnnl_geglu_plan(dev, y, x, w, b);
}

void cpu_linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    if (gemm_packed(w)) gemm_run(cpu_of(dev), (struct gemm_call[]){gemm_of_geglu(y, x, w, b)});
    else linear_dnnl_geglu(dev, y, x, w, b);
}
