/* Matrix products of our own, for linear layers and convolutions: what is asked of them, and those in f32. AMX's are amx_kernels.h. */
#ifndef ENGINE_CPU_GEMM_H
#define ENGINE_CPU_GEMM_H

#include "engine/cpu/conv2d.h"
#include "engine/cpu/vmath.h"

/* y = act(conv(x, w) + b + temb) + residual, or, with two halves of w's rows, values v and gates g: y = v gelu(g). A linear layer is a
 * convolution of one tap. */
struct gemm_call {
    struct conv_call conv;
    enum act act;
    int halves;
};

static inline struct gemm_call gemm_of_conv(const struct conv_call *c) {
    return (struct gemm_call){.conv = *c, .act = ACT_NONE, .halves = 1};
}

static inline struct gemm_call gemm_of_linear(struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                                              struct view residual) {
    static const struct conv_shape one_tap = {.stride = 1, .upsample = 1};
    return (struct gemm_call){.conv = {y, x, no_view, residual, w, b, one_tap}, .act = act, .halves = 1};
}

static inline struct gemm_call gemm_of_geglu(struct view y, struct view x, struct weight *w, struct weight *b) {
    struct gemm_call c = gemm_of_linear(y, x, w, b, ACT_NONE, no_view);
    c.halves = 2;
    return c;
}

/* Rows of w, a linear layer's [K,C] or a convolution's [K,C,R,R]. */
static inline int gemm_side(const struct weight *w) {
    return w->rank == 4 ? (int)w->shape[2] : 1;
}

/* One tap, of every pixel its own: row t of y is of row t of x. */
static inline bool gemm_is_of_rows(const struct conv_call *c) {
    const struct conv_shape *s = &c->shape;
    return gemm_side(c->w) == 1 && s->stride == 1 && s->upsample == 1 && !(s->top | s->left | s->bottom | s->right);
}

static inline void gemm_activate(float *v, int n, enum act act) {
    if (act == ACT_SILU)
#pragma omp simd
        for (int i = 0; i < n; i++) v[i] = vm_silu(v[i]);
    if (act == ACT_QUICK_GELU)
#pragma omp simd
        for (int i = 0; i < n; i++) v[i] = vm_swish(v[i], 1.702f);
    if (act == ACT_GELU)
#pragma omp simd
        for (int i = 0; i < n; i++) v[i] = vm_gelu(v[i]);
}

/* In f32, with vectors of eight or more; strided and enlarged operands as they are. With four oneDNN's products stay: not measured. */
bool gemm_fits(enum dtype dtype);
bool gemm_packed(const struct weight *w); /* w has been planned for it */
void gemm_plan(struct cpu_device *dev, const struct gemm_call *c);
void gemm_run(struct cpu_device *dev, const struct gemm_call *c);

#endif
