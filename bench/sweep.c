/* Times every product of the published models (test/gpu_shapes.h) in each way that the CUDA device has to compute it: tile by tile, whole
 * and in parts, and by each of cuBLASLt's proposals.
 *
 *     sweep [TIMES]      "M N C R what us" a line: what is 256x128/2, tile and splits, 256x128/2c, where those are a cluster, or library/0,
 *                        cuBLASLt's first proposal
 *
 * A proposal that did not compute the product has no line: the library is missing, or made fewer, or refused. On stderr, how many.
 *
 * What is read lies in L2 where it fits, as in a step. bench/model.py and bench/choices.py read it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cuda.h"
#include "cuda/gemm.h"
#include "engine/base/dtype.h"
#include "engine/base/error.h"
#include "engine/device.h"
#include "engine/files/tensor.h"
#include "engine/ops.h"
#include "engine/weights.h"

enum kind { CONV, LINEAR, GEGLU, ATTENTION, GROUP_NORM, LAYER_NORM };
struct layer {
    enum kind kind;
    int n, side, C, K, more;
};
static const struct layer layers[] = {
#include "test/gpu_shapes.h"
};

struct product {
    const struct layer *l;
    struct view x, y;
    struct weight w, b;
};

static void call(struct device *dev, struct product *p) {
    struct conv_shape shape = CONV_3X3;
    shape.upsample = p->l->more;
    if (p->l->kind == CONV) dev->ops->conv2d(dev, p->y, p->x, &p->w, &p->b, no_view, no_view, shape);
    else if (p->l->kind == LINEAR) dev->ops->linear(dev, p->y, p->x, &p->w, &p->b, ACT_NONE, no_view);
    else dev->ops->linear_geglu(dev, p->y, p->x, &p->w, &p->b);
}

/* x, row by row: as many values at once as one of them has. */
static void fill(struct device *dev, struct view x) {
    size_t n = (size_t)x.W * (size_t)x.C;
    float *row = malloc(n * sizeof *row);
    if (!row) die(FAIL_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) row[i] = (float)(i * 2654435761u >> 16 & 255) / 128 - 1;
    struct view line = x;
    line.N = line.H = 1;
    for (int i = 0; i < x.N * x.H; i++, line.p = (char *)line.p + n * view_item(x)) dev->ops->upload(dev, line, row);
    free(row);
}

/* us of one call. */
static double measure(struct device *dev, struct product *p, int times) {
    dev->time_mark(dev, 0);
    for (int i = 0; i < times; i++) call(dev, p);
    dev->time_mark(dev, 1);
    return dev->time_wait(dev, 1) * 1e3 / times;
}

/* The way number i to compute it, in *row; false where there are no more. */
static bool way(int i, int steps, bool library, struct gemm_measured *row) {
    static const struct {
        int splits;
        bool meet;
    } parts[] = {{1, 0}, {2, 0}, {2, 1}, {3, 0},  {3, 1},  {4, 0},  {4, 1}, {6, 0},
                 {6, 1}, {8, 0}, {8, 1}, {12, 0}, {16, 0}, {24, 0}, {32, 0}};
    int n_parts = 1;
    while (n_parts < (int)(sizeof parts / sizeof *parts) && parts[n_parts].splits * 4 <= steps + 3) n_parts++;
    row->proposal = i - n_parts * GEMM_TILES;
    if (row->proposal >= 0) return library && row->proposal < GEMM_PROPOSALS;
    row->own = (struct gemm_choice){i / n_parts, parts[i % n_parts].splits, parts[i % n_parts].meet};
    return true;
}

static void sweep(const struct layer *l, const void *values, size_t n_values, int times) {
    struct device *dev = cuda_device_open(DT_F16, -1);
    struct product p = {.l = l};
    bool conv = l->kind == CONV, library = l->kind == LINEAR;
    int N = conv ? l->n : 1, H = conv ? l->side : 1, W = conv ? l->side : l->n, up = conv ? l->more : 1,
        K = l->kind == GEGLU ? 2 * l->K : l->K;
    int R = up == 2 ? 2 : conv ? 3 : 1, M = N * H * W * up * up, steps = R * R * ((l->C + GEMM_K - 1) / GEMM_K);
    struct tensor part = {.name = "w", .dtype = DT_F16, .bytes = 2 * (size_t)K * (size_t)l->C * (conv ? 9 : 1)};
    struct tensor row_of_biases = {.name = "b", .dtype = DT_F16, .bytes = 2 * (size_t)K};
    const struct tensor *parts[] = {&part, &row_of_biases};
    p.w = (struct weight){.kind = conv ? WEIGHT_CONV : WEIGHT_MATRIX, .name = "w", .rank = conv ? 4 : 2, .n_parts = 1, .parts = parts};
    memcpy(p.w.shape, (int64_t[]){K, l->C, conv ? 3 : 1, conv ? 3 : 1}, sizeof p.w.shape);
    p.b = (struct weight){.kind = WEIGHT_VECTOR, .name = "b", .rank = 1, .shape = {K, 1, 1, 1}, .n_parts = 1, .parts = parts + 1};
    if (part.bytes / 2 > n_values) die(FAIL_INTERNAL, "sweep: a layer of more weights than expected");

    struct gemm_measured row = {(int)dev->gpu.n_sms, M, K, steps, {0, 1, false}, -1};
    struct gemm_table table = gemm_table;
    gemm_table = (struct gemm_table){&row, 1};
    p.x = view_alloc(dev, N, H, W, l->C);
    p.y = view_alloc(dev, N, H * up, W * up, l->K);
    for (int i = 0; way(i, steps, library, &row); i++) call(dev, &p); /* scratch for each of them */
    dev->arena_used = 0;
    dev->plan_end(dev);
    struct weight *const weights[] = {&p.w, &p.b};
    for (int i = 0; i < 2; i++) {
        weights[i]->packed_bytes = dev->packed_bytes(dev, weights[i]);
        weights[i]->packed = dev->alloc(dev, weights[i]->packed_bytes);
        if (!dev->pack(dev, weights[i], (const void *[]){values}, NULL)) die(FAIL_MEMORY, "out of device memory");
    }
    p.x = view_alloc(dev, N, H, W, l->C);
    p.y = view_alloc(dev, N, H * up, W * up, l->K);
    fill(dev, p.x);
    dev->time_begin(dev, 2);
    int left_out = 0;
    for (int i = 0; way(i, steps, library, &row); i++) {
        call(dev, &p);
        if (row.proposal >= 0 && gemm_proposal != row.proposal) {
            left_out++;
            continue;
        }
        if (row.proposal < 0 && row.own.meet && !gemm_met) continue; /* fewer parts than asked for, or no clusters */
        printf("%d\t%d\t%d\t%d\t", M, K, l->C, R);
        if (row.proposal >= 0) printf("library/%d\t", row.proposal);
        else printf("%dx%d/%d%s\t", gemm_tiles[row.own.tile].M, gemm_tiles[row.own.tile].N, row.own.splits, row.own.meet ? "c" : "");
        printf("%.2f\n", measure(dev, &p, times));
    }
    fflush(stdout);
    if (left_out)
        fprintf(stderr, "sweep: %d x %d of %d: %d of cuBLASLt's %d proposals left out: the library is missing, or made fewer, or refused\n",
                M, K, l->C, left_out, GEMM_PROPOSALS);
    gemm_table = table;
    dev->close(dev);
}

int main(int argc, char **argv) {
    int times = argc > 1 ? atoi(argv[1]) : 20;
    size_t n_values = (size_t)2560 * 1280 * 9;
    uint16_t *values = malloc(n_values * sizeof *values);
    if (!values || times < 1) die(FAIL_USAGE, "usage: sweep [TIMES]");
    for (size_t i = 0; i < n_values; i++) values[i] = f32_to_f16(((float)(i * 2246822519u >> 16 & 255) / 128 - 1) / 64);
    struct device *dev = cuda_device_open(DT_F16, -1);
    printf("# %s, %d multiprocessors, f16\nM\tN\tC\tR\twhat\tus\n", dev->product, (int)dev->gpu.n_sms);
    dev->close(dev);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (layers[i].kind <= GEGLU && layers[i].C % 8 == 0) sweep(&layers[i], values, n_values, times);
    free(values);
    return 0;
}
