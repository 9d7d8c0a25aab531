/* Launches the tensor-core kernels of gemm.cuh. */
#include "cuda/gemm.cuh"

#include "cuda/choices.h"

struct gemm_choice gemm_forced = {-1, 0, false};
int gemm_proposal = -1;
bool gemm_met = false;

/* In the order of gemm_tiles. Stable Diffusion's widths are multiples of 160. */
#define TILES(X)           \
    X(0, 256, 128, 64, 64) \
    X(1, 256, 64, 64, 64)  \
    X(2, 128, 128, 64, 64) \
    X(3, 128, 64, 64, 32)  \
    X(4, 64, 128, 32, 64)  \
    X(5, 64, 64, 32, 32)   \
    X(6, 128, 16, 32, 16)  \
    X(7, 128, 160, 64, 80)

#define TILE_ROW(i, BM, BN, WM, WN) {BM, BN, gemm_blocks<BM, BN>},
const struct gemm_tile gemm_tiles[GEMM_TILES] = {TILES(TILE_ROW)};

/* ---- which tile, how many splits -------------------------------------------------------------------------------------
 * A model of a GPU of the H200's kind in clocks of an SM, not measured yet. A block's step takes as long as its bytes take from L2, or
 * its products on the tensor cores; a block alone on its SM is held up by latency. Splitting K costs the second kernel and the partial
 * sums' way through L2. That splits meet in a cluster only a sweep chooses: by the model it is as much to lose as to gain
 * (bench/kernels.md). */

/* mma.sync m16n8k16 is begun every 6.36 clocks on each of an SM's four tensor cores (of wgmma's rate, 63 %); L2 gives an SM 24 to 30 bytes.
 */
static const double products_per_clock = 4 * 2048 / 6.36, bytes_per_clock = 24, step_latency = 220, block_clocks = 1500,
                    kernel_clocks = 3500;

static double clocks(const struct gemm_tile *t, int M, int N, int steps, int splits, int sm_count) {
    double compute = (double)t->M * t->N * (int)GEMM_K / products_per_clock, bytes = (double)(t->M + t->N) * (GEMM_K * 2) / bytes_per_clock;
    double step = compute > bytes ? compute : bytes;
    int64_t blocks = ceil_div(ceil_div(M, t->M) * ceil_div(N, t->N) * splits, sm_count); /* of the busiest SM */
    int64_t waves = ceil_div(blocks, t->blocks);
    double each = blocks * step > waves * step_latency ? blocks * step : waves * step_latency;
    double reduce = splits == 1 ? 0 : kernel_clocks + 2.0 * 4 * splits * M * N / (sm_count * bytes_per_clock);
    return ceil_div(steps, splits) * each + waves * block_clocks + reduce;
}

struct gemm_table gemm_table = {choices, sizeof choices / sizeof *choices};

const struct gemm_measured *gemm_measured(int M, int N, int steps, int sm_count) {
    for (int i = 0; i < gemm_table.n; i++) {
        const struct gemm_measured *m = &gemm_table.rows[i];
        if (m->M == M && m->N == N && m->steps == steps && m->sm_count == sm_count) return m;
    }
    return NULL;
}

struct gemm_choice gemm_choose(int M, int N, int steps, int sm_count) {
    if (gemm_forced.tile >= 0) return {gemm_forced.tile, gemm_forced.splits < steps ? gemm_forced.splits : steps, gemm_forced.meet};
    if (const struct gemm_measured *m = gemm_measured(M, N, steps, sm_count)) return m->own;
    struct gemm_choice best = {0, 1, false};
    double least = 0;
    for (int tile = 0; tile < GEMM_TILES; tile++)
        for (int splits = 1; splits <= GEMM_MOST_SPLITS && splits * 4 <= steps + 3; splits++) {
            double c = clocks(&gemm_tiles[tile], M, N, steps, splits, sm_count);
            if (least == 0 || c < least) least = c, best = {tile, splits, false};
        }
    return best;
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

static int steps_of(const struct gemm *g) {
    return g->R * g->R * (int)ceil_div(g->C, GEMM_K);
}

/* The choice, with no split left without steps. */
static struct gemm_choice choice_of(const struct cuda_device *dev, const struct gemm *g) {
    int steps = steps_of(g);
    struct gemm_choice c = gemm_choose(g->phases * g->M, g->N, steps, dev->sm_count);
    c.splits = (int)ceil_div(steps, ceil_div(steps, c.splits));
    c.meet = c.meet && c.splits > 1 && c.splits <= MOST_CLUSTER && has_arch(dev, CLUSTER_ARCH);
    return c;
}

bool gemm_fits(const struct cuda_device *dev, struct view x, int interleave) {
    return has_tensor_path(dev, x.dtype) && x.C % 8 == 0 && rows_aligned(x) && (interleave == 0 || interleave == 8);
}

size_t gemm_scratch(const struct cuda_device *dev, const struct gemm *g) {
    int splits = choice_of(dev, g).splits;
    return splits == 1 ? 0 : (size_t)splits * g->phases * g->M * ceil_div(g->N, 8) * 8 * sizeof(float);
}

template <class T> static void run(struct cuda_device *dev, const struct gemm *g) {
    struct gemm_choice c = choice_of(dev, g);
    const struct gemm_tile *t = &gemm_tiles[c.tile];
    int steps = steps_of(g), steps_each = (int)ceil_div(steps, c.splits);
    gemm_met = c.meet;
    float *partial = c.splits == 1 ? nullptr : static_cast<float *>(dev->scratch);
    dim3 grid((unsigned)(ceil_div(g->M, t->M) * ceil_div(g->N, t->N)), (unsigned)c.splits, (unsigned)g->phases);
    switch (c.tile) {
#define TILE_CASE(i, BM, BN, WM, WN)                                                                                   \
    case i:                                                                                                            \
        launch_cluster(dev, c.meet ? c.splits : 1, gemm_tile<T, BM, BN, WM, WN>, grid, dim3(BM / WM * (BN / WN) * 32), \
                       gemm_shared_bytes<BM, BN>(), *g, steps, steps_each, partial, c.meet);                           \
        break;
        TILES(TILE_CASE)
    }
    if (!partial || c.meet) return;
    dim3 blocks = grid_for(dev, (size_t)g->phases * g->M * ceil_div(g->N, 8), 256);
    launch(dev, gemm_reduce<T>, blocks, dim3(256), 0, *g, partial, c.splits);
}

void gemm_run(struct cuda_device *dev, const struct gemm *g) {
    DISPATCH_HALF(g->dtype, T, run<T>(dev, g));
}
