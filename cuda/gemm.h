/* Convolutions and linear layers as one problem, and the ways to compute it: gemm_run, conv2d_narrow, conv2d_first and gemm_plain.
 *
 *     sum[m,j] = Σ_rs Σ_c x[pixel(m,rs), c] w[j, rs, c]
 *     y[m,n]   = act(sum[m,n] + bias[n] + temb[image(m),n]) + residual[m,n]
 *     y[m,n]   = v gelu_erf(g) of the sums of n's value row and gate row, plus their biases, where rows are interleaved (GEGLU)
 *
 * Row m is output pixel (image, oy, ox); pixel(m,rs) is what tap rs of the R x R filter sees of x there, zero in the padding.
 * A linear layer is T images of one pixel.
 *
 * A 3x3 convolution of x enlarged twice sees each pixel of x under two rows or columns of its filter: y's pixels (2i+p, 2j+q) are a
 * 2x2 convolution of x itself, at (i+p-1, j+q-1), by weights that are sums of the filter's (cuda_plan_phases). Those are four problems,
 * phase 2p+q each, of M rows: 4/9 of the products. */
#ifndef CUDA_GEMM_H
#define CUDA_GEMM_H

#include <stdbool.h>
#include "engine/ops.h"

struct cuda_device;

struct gemm {
    int M, N, C; /* rows (of one phase), columns of sum, channels of x */
    const void *x;
    int ldx, H, W; /* one image of x */
    int Ho, Wo;    /* one image of y, of one phase */
    int phases;    /* 1, or 4 */
    int R, stride, top, left, upsample;
    int seen_H, seen_W; /* x as the filter sees it: enlarged and cropped; zero beyond */
    const void *w;      /* (j,rs,c) at phase*w_phase + j*w_row + rs*w_tap + c, of dtype */
    int64_t w_phase, w_row, w_tap;
    const float *bias;                  /* [N]|NULL */
    const void *temb, *residual;        /* NULL: none */
    int64_t temb_ld, residual_ld, y_ld; /* temb_ld 0: one row for all */
    void *y;
    enum act act;
    int interleave;   /* 0, or GEGLU: rows of w come as b values, b gates, b values … */
    enum dtype dtype; /* of x, w, temb, residual, y */
    bool vectors;     /* rows of y, bias, temb and residual are aligned to 16 bytes */
};

/* Tensor cores (gemm.cu): has_tensor_path(), x.C % 8 == 0, rows of x aligned to 16 bytes, interleave 0 or 8. */
bool gemm_fits(const struct cuda_device *dev, struct view x, int interleave);
size_t gemm_scratch(const struct cuda_device *dev, const struct gemm *g);
void gemm_run(struct cuda_device *dev, const struct gemm *g);

/* Tensor cores too, where gemm_fits: 3x3 to at most 8 columns, padded by one, of stride 1 (conv2d_narrow.cu). */
bool conv2d_narrow_fits(const struct gemm *g);
void conv2d_narrow(struct cuda_device *dev, const struct gemm *g);

/* Tensor cores: 3x3 of at most 4 channels, padded by one, of stride 1 (conv2d_first.cu). */
bool conv2d_first_fits(const struct cuda_device *dev, const struct gemm *g);
void conv2d_first(struct cuda_device *dev, const struct gemm *g);

/* Any shape, type and GPU, of one phase (gemm_plain.cu). */
void gemm_plain(struct cuda_device *dev, const struct gemm *g);

/* ---- how the tensor-core path cuts the work ---------------------------------------------------------------------- */

struct gemm_tile {
    int M, N;
    int blocks; /* that one SM holds at once */
};
enum { GEMM_K = 32, GEMM_TILES = 8, GEMM_MOST_SPLITS = 32 };
extern const struct gemm_tile gemm_tiles[GEMM_TILES];

struct gemm_choice {
    int tile, splits;
    bool meet; /* a tile's splits are a cluster and finish it themselves, where there can be one of so many; else gemm_reduce does */
};
/* The same for the same shape: planning and running agree. `steps` of GEMM_K products each make one sum. */
struct gemm_choice gemm_choose(int M, int N, int steps, int sm_count);
/* For tests: where tile >= 0, what gemm_choose answers (as many splits as there are steps for). */
extern struct gemm_choice gemm_forced;

/* What a GPU was seen to do fastest, in place of the model: rows of cuda/choices.h, which bench/choices.py writes from a sweep
 * (bench/sweep.c), or of who tries them out. M: rows of all phases. */
struct gemm_measured {
    int sm_count, M, N, steps;
    struct gemm_choice own;
    int proposal; /* which of cuBLASLt's, from 0; -1: own is faster */
};
enum { GEMM_PROPOSALS = 8 };
struct gemm_table {
    const struct gemm_measured *rows;
    int n;
};
extern struct gemm_table gemm_table;
/* NULL where it was not measured. */
const struct gemm_measured *gemm_measured(int M, int N, int steps, int sm_count);
/* For the sweep: which of cuBLASLt's proposals the last linear layer was computed by; -1: own kernels. */
extern int gemm_proposal;
/* And whether the last product of gemm_run was finished by its splits themselves. */
extern bool gemm_met;

#endif
