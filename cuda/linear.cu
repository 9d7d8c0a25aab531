/* y = act(x wᵀ + b) + residual and its gated sibling, as the matrix products of gemm.h with one pixel an image. cuBLASLt is asked first
 * where it can do all of it and is likely to be better: in f32, where ours has no tensor cores, and on sm_90 and later, where it has
 * wgmma and ours has not, for as many rows as keep those busy, or where a sweep has shown it. */
#include <cassert>
#include "cuda/device.h"
extern "C" {
#include "cuda/gemm.h"
}

enum { CUBLASLT_ROWS = 256, GEGLU_INTERLEAVE = 8 };

/* The problem but for the weights' values; N: rows of w. */
static struct gemm problem(struct view y, struct view x, const struct weight *w, int N, struct view residual) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    struct gemm g = {};
    g.M = (int)view_rows(x), g.N = N, g.C = x.C;
    g.x = x.p, g.ldx = x.ld;
    g.H = g.W = g.Ho = g.Wo = g.phases = g.R = g.stride = g.upsample = g.seen_H = g.seen_W = 1;
    g.w_row = plan->row_stride, g.w_tap = 0;
    g.residual = residual.p, g.residual_ld = residual.ld;
    g.y = y.p, g.y_ld = y.ld;
    g.interleave = plan->interleave;
    g.dtype = x.dtype;
    g.vectors = rows_aligned(y) && (!residual.p || rows_aligned(residual));
    return g;
}

static void run(struct cuda_device *dev, const struct gemm *g, struct view x) {
    gemm_fits(dev, x, g->interleave) ? gemm_run(dev, g) : gemm_plain(dev, g);
}

static void count(struct cuda_device *dev, const struct gemm *g, int columns) {
    double weights = (double)g->N * g->C, outputs = (double)g->M * columns;
    count_work(dev, 2 * weights * g->M, dtype_table[g->dtype].size * ((double)g->M * g->C + weights + outputs * (g->residual ? 2 : 1)));
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

static bool prefers_cublaslt(const struct cuda_device *dev, const struct gemm *g) {
    if (g->act != ACT_NONE || gemm_forced.tile >= 0 || cuda_forced.plain) return false;
    if (g->dtype == DT_F32) return true;
    const struct gemm_measured *m = gemm_measured(g->M, g->N, (int)ceil_div(g->C, GEMM_K), dev->sm_count);
    return m ? m->proposal >= 0 : dev->arch >= 90 && g->M >= CUBLASLT_ROWS;
}

void cuda_linear_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                      struct view residual) {
    struct cuda_device *dev = cuda_of(base);
    assert(view_rows(x) <= INT32_MAX);
    cuda_plan_dense(dev, w, x.dtype);
    cuda_plan_dense(dev, b, x.dtype);
    struct gemm g = problem(y, x, w, y.C, residual);
    g.act = act;
    if (prefers_cublaslt(dev, &g)) cuda_scratch_reserve(dev, cublaslt_scratch(dev, x.dtype, g.N));
    if (gemm_fits(dev, x, g.interleave)) cuda_scratch_reserve(dev, gemm_scratch(dev, &g));
}

void cuda_linear(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                 struct view residual) {
    struct cuda_device *dev = cuda_of(base);
    struct gemm g = problem(y, x, w, y.C, residual);
    g.w = cuda_packed(dev, w);
    g.bias = static_cast<const float *>(cuda_packed(dev, b));
    g.act = act;
    gemm_proposal = prefers_cublaslt(dev, &g) ? cublaslt_linear(dev, y, x, g.w, g.bias, residual) : -1;
    if (gemm_proposal < 0) run(dev, &g, x);
    count(dev, &g, y.C);
}

/* ---- GEGLU: value and gate rows of w side by side, so that both sums of an output meet in one tile --------------- */

void cuda_linear_geglu_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct cuda_device *dev = cuda_of(base);
    assert(view_rows(x) <= INT32_MAX);
    int interleave = y.C % GEGLU_INTERLEAVE == 0 ? GEGLU_INTERLEAVE : 1;
    cuda_plan_interleaved(dev, w, interleave, x.dtype);
    cuda_plan_interleaved(dev, b, interleave, x.dtype);
    struct gemm g = problem(y, x, w, 2 * y.C, no_view);
    if (gemm_fits(dev, x, g.interleave)) cuda_scratch_reserve(dev, gemm_scratch(dev, &g));
}

void cuda_linear_geglu(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b) {
    struct cuda_device *dev = cuda_of(base);
    struct gemm g = problem(y, x, w, 2 * y.C, no_view);
    g.w = cuda_packed(dev, w);
    g.bias = static_cast<const float *>(cuda_packed(dev, b));
    run(dev, &g, x);
    count(dev, &g, y.C);
}
