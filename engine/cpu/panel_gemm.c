/* gcc keeps acc[][] in registers once the loops over it are unrolled, so every number of rows is compiled on its own.
 * On AVX-512: 28 accumulators, 2 vectors of b, one broadcast of a; 14 cycles of FMA to 8 of loads. 90 % of peak
 * measured from the caches. The products are summed first and then added to c: with a deep product cut up by its
 * caller, that is several times as exact as one long sum. */
#include "engine/cpu/panel_gemm.h"

/* Of the depth at a time. With AVX2 two: less to issue besides the multiply-adds, which tells where a neighbour shares the core; with four,
 * and without fused multiply-adds with two, gcc 12 runs out of registers. */
enum { STEP = LANES == 8 ? 2 : 1 };

/* acc += a[:, k] b[k, :] */
static inline __attribute__((always_inline)) void add_product(vec acc[PANEL_ROWS][2], const float *a, size_t lda, const float *b,
                                                              const int rows) {
    vec b0 = vec_load(b), b1 = vec_load(b + LANES);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        acc[i][0] += a[i * lda] * b0;
        acc[i][1] += a[i * lda] * b1;
    }
}

static inline __attribute__((always_inline)) void rows_gemm(float *restrict c, const float *restrict a, size_t lda, const float *restrict b,
                                                            int depth, bool accumulate, size_t ahead, const int rows) {
    vec acc[PANEL_ROWS][2];
    int k = 0;
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vec){0};
    for (; k + STEP <= depth; k += STEP) {
        for (int i = 0; ahead && k % 16 == 0 && i < rows; i++) __builtin_prefetch(a + i * lda + k + ahead);
#pragma GCC unroll 2
        for (int j = 0; j < STEP; j++) add_product(acc, a + k + j, lda, b + (size_t)(k + j) * PANEL, rows);
    }
    for (; k < depth; k++) add_product(acc, a + k, lda, b + (size_t)k * PANEL, rows);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        vec_store(c + i * PANEL, accumulate ? vec_load(c + i * PANEL) + acc[i][0] : acc[i][0]);
        vec_store(c + i * PANEL + LANES, accumulate ? vec_load(c + i * PANEL + LANES) + acc[i][1] : acc[i][1]);
    }
}

static void some_rows(float *c, const float *a, size_t lda, const float *b, int rows, int depth, bool accumulate, size_t ahead) {
    switch (rows) {
#define ROWS(n) \
    case n: rows_gemm(c, a, lda, b, depth, accumulate, ahead, n); break
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
#if defined __AVX512F__
        ROWS(7);
        ROWS(8);
        ROWS(9);
        ROWS(10);
        ROWS(11);
        ROWS(12);
        ROWS(13);
        ROWS(14);
#endif
#undef ROWS
    }
}

void panel_gemm(float *c, const float *a, size_t lda, const float *b, int rows, int depth, bool accumulate, size_t ahead) {
    int groups = (rows + PANEL_ROWS - 1) / PANEL_ROWS;
    for (int g = 0; g < groups; g++) { /* of nearly equal size: a rest of one or two rows would waste the registers */
        int begin = rows * g / groups, end = rows * (g + 1) / groups;
        some_rows(c + begin * PANEL, a + begin * lda, lda, b, end - begin, depth, accumulate, ahead);
    }
}
