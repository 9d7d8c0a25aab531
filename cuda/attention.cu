/* op_attention: which of the kernels of attention.h an operand of this shape gets. */
#include <cmath>
#include "cuda/attention.h"

static attention_rows rows_of(struct view x) {
    return {x.p, (int)x.ld, x.N == 1 ? 0 : x.image};
}

/* At least: q, k, v are read and y is written once, and a product is made for each key a query sees. */
static void count(cuda_device *dev, const attention_args &a, int n_images, bool shared_keys) {
    double C = (double)a.n_heads * a.D, rows = (double)n_images * a.Tq, keys = (double)(shared_keys ? 1 : n_images) * a.Tk;
    double seen = !a.causal ? (double)a.Tk : a.Tq <= a.Tk ? (a.Tq + 1) / 2.0 : a.Tk - a.Tk * (a.Tk - 1) / (2.0 * a.Tq);
    count_work(dev, 4 * C * rows * seen, 2 * C * (rows + keys) * dtype_table[a.dtype].size);
}

void cuda_attention(struct device *base, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    cuda_device *dev = cuda_of(base);
    int D = q.C / n_heads;
    attention_args a = {rows_of(y),
                        rows_of(q),
                        rows_of(k),
                        rows_of(v),
                        q.H * q.W,
                        k.H * k.W,
                        D,
                        n_heads,
                        causal,
                        q.dtype,
                        1.44269504088896341f / sqrtf((float)D)};
    bool aligned = rows_aligned(q) && rows_aligned(k) && rows_aligned(v) && rows_aligned(y);
    bool done = has_tensor_path(dev, q.dtype) && D % 8 == 0 && aligned &&
                (attention_short(dev, a, q.N) || attention_flash(dev, a, q.N) || attention_wide(dev, a, q.N));
    if (!done) attention_plain(dev, a, q.N);
    count(dev, a, q.N, k.N < q.N);
}
