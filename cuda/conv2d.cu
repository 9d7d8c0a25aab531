/* y = conv(x, w) + b + temb + residual, as a matrix product whose rows are gathered from x while it runs (gemm.h): padding, stride and
 * the enlargement of x are a matter of which pixel is gathered, and nothing is written on the way. Weights lie as [K,R,R,C]. On tensor
 * cores an enlarging convolution is four of 2x2 (gemm.h), unless y is cropped: its last pixel would see what was cut off. */
#include <cassert>
#include "cuda/device.h"
extern "C" {
#include "cuda/gemm.h"
}

static bool by_phases(const struct cuda_device *dev, struct view y, struct view x, const struct weight *w, struct conv_shape s) {
    return gemm_fits(dev, x, 0) && w->shape[2] == 3 && s.upsample == 2 && s.stride == 1 && s.top == 1 && s.bottom == 1 && s.left == 1 &&
           s.right == 1 && y.H == 2 * x.H && y.W == 2 * x.W;
}

/* The problem but for the weights' values. */
static struct gemm problem(const struct cuda_device *dev, struct view y, struct view x, const struct weight *w, struct view temb,
                           struct view residual, struct conv_shape s) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    struct gemm g = {};
    g.M = (int)view_rows(y), g.N = y.C, g.C = x.C;
    g.x = x.p, g.ldx = x.ld, g.H = x.H, g.W = x.W;
    g.Ho = y.H, g.Wo = y.W;
    g.phases = 1, g.R = (int)w->shape[2], g.stride = s.stride, g.top = s.top, g.left = s.left, g.upsample = s.upsample;
    g.seen_H = s.upsample == 1 ? x.H : (y.H - 1) * s.stride + g.R - s.top - s.bottom;
    g.seen_W = s.upsample == 1 ? x.W : (y.W - 1) * s.stride + g.R - s.left - s.right;
    g.w_row = plan->row_stride, g.w_tap = plan->c_stride;
    if (by_phases(dev, y, x, w, s)) {
        g.phases = 4, g.M /= 4, g.R = 2, g.upsample = 1;
        g.Ho = g.seen_H = x.H, g.Wo = g.seen_W = x.W;
        g.w_row = 4 * g.w_tap, g.w_phase = g.N * g.w_row;
    }
    g.temb = temb.p, g.temb_ld = temb.N == 1 ? 0 : temb.ld;
    g.residual = residual.p, g.residual_ld = residual.ld;
    g.y = y.p, g.y_ld = y.ld;
    g.dtype = x.dtype;
    g.vectors = rows_aligned(y) && (!temb.p || rows_aligned(temb)) && (!residual.p || rows_aligned(residual));
    return g;
}

/* Tests force tiles, which are of products. */
static bool is_narrow(const struct gemm *g) {
    return gemm_forced.tile < 0 && conv2d_narrow_fits(g);
}

void cuda_conv2d_plan(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                      struct view residual, struct conv_shape shape) {
    struct cuda_device *dev = cuda_of(base);
    assert(view_rows(x) <= INT32_MAX && view_rows(y) <= INT32_MAX);
    assert(2 * x.H <= INT16_MAX && 2 * x.W <= INT16_MAX); /* struct gemm_row */
    if (by_phases(dev, y, x, w, shape)) cuda_plan_phases(dev, w, x.dtype);
    else cuda_plan_krsc(dev, w, x.C, x.dtype);
    cuda_plan_dense(dev, b, x.dtype);
    struct gemm g = problem(dev, y, x, w, temb, residual, shape);
    if (gemm_fits(dev, x, 0) && !is_narrow(&g)) cuda_scratch_reserve(dev, gemm_scratch(dev, &g));
}

void cuda_conv2d(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                 struct view residual, struct conv_shape shape) {
    struct cuda_device *dev = cuda_of(base);
    struct gemm g = problem(dev, y, x, w, temb, residual, shape);
    g.w = g.phases == 1 ? cuda_packed(dev, w) : cuda_packed_phases(dev, w);
    g.bias = static_cast<const float *>(cuda_packed(dev, b));
    if (conv2d_first_fits(dev, &g)) conv2d_first(dev, &g);
    else if (!gemm_fits(dev, x, 0)) gemm_plain(dev, &g);
    else if (is_narrow(&g)) conv2d_narrow(dev, &g);
    else gemm_run(dev, &g);

    double products = (double)g.R * g.R * g.C, outputs = (double)view_rows(y) * g.N, weights = g.phases * products * g.N;
    count_work(dev, 2 * products * outputs, view_item(x) * ((double)view_rows(x) * g.C + weights + outputs * (residual.p ? 2 : 1)));
}
