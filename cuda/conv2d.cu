/* y = conv(x, w) + b + temb + residual, as a matrix product whose rows are gathered from x while it runs (gemm.h): padding, stride and
 * the enlargement of x are a matter of which pixel is gathered, and nothing is written on the way. Weights lie as [K,R,R,C]. */
#include <cassert>
#include "cuda/device.h"
extern "C" {
#include "cuda/gemm.h"
}

/* The problem but for the weights' values. */
static struct gemm problem(struct view y, struct view x, const struct weight *w, struct view temb, struct view residual,
                           struct conv_shape s) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    struct gemm g = {};
    g.M = (int)view_rows(y), g.N = y.C, g.C = x.C;
    g.x = x.p, g.ldx = x.ld, g.H = x.H, g.W = x.W;
    g.Ho = y.H, g.Wo = y.W;
    g.R = (int)w->shape[2], g.stride = s.stride, g.top = s.top, g.left = s.left, g.upsample = s.upsample;
    g.seen_H = s.upsample == 1 ? x.H : (y.H - 1) * s.stride + g.R - s.top - s.bottom;
    g.seen_W = s.upsample == 1 ? x.W : (y.W - 1) * s.stride + g.R - s.left - s.right;
    g.w_row = plan->row_stride, g.w_tap = plan->c_stride;
    g.temb = temb.p, g.temb_ld = temb.N == 1 ? 0 : temb.ld;
    g.residual = residual.p, g.residual_ld = residual.ld;
    g.y = y.p, g.y_ld = y.ld;
    g.dtype = x.dtype;
    g.vectors = rows_aligned(y) && (!temb.p || rows_aligned(temb)) && (!residual.p || rows_aligned(residual));
    return g;
}

void cuda_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                      struct view residual, struct conv_shape shape) {
    struct cuda_device *dev = cuda_of(base);
    assert(view_rows(x) <= INT32_MAX && view_rows(y) <= INT32_MAX);
    assert(2 * x.H <= INT16_MAX && 2 * x.W <= INT16_MAX); /* struct gemm_row */
    cuda_plan_krsc(dev, w, x.C, x.dtype);
    cuda_plan_dense(dev, b, x.dtype);
    struct gemm g = problem(y, x, w, temb, residual, shape);
    if (gemm_fits(dev, &g, x)) cuda_scratch_reserve(dev, gemm_scratch(dev, &g));
}

void cuda_conv2d(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                 struct view residual, struct conv_shape shape) {
    struct cuda_device *dev = cuda_of(base);
    struct gemm g = problem(y, x, w, temb, residual, shape);
    g.w = cuda_packed(dev, w);
    g.bias = static_cast<const float *>(cuda_packed(dev, b));
    gemm_fits(dev, &g, x) ? gemm_run(dev, &g) : gemm_plain(dev, &g);

    double weights = (double)g.N * g.R * g.R * g.C, outputs = (double)g.M * g.N;
    count_work(dev, 2 * weights * g.M, view_item(x) * ((double)view_rows(x) * g.C + weights + outputs * (residual.p ? 2 : 1)));
}
