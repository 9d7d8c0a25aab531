/* The inner kernel of a blocked matrix product: a few rows times one panel, accumulators in registers. */
#ifndef ENGINE_CPU_PANEL_GEMM_H
#define ENGINE_CPU_PANEL_GEMM_H

#include "engine/cpu/ops.h"
#include "engine/cpu/vec.h"

/* Columns of a panel, and the rows whose accumulators with two vectors of b and one of a fill the registers. */
enum { PANEL = 2 * LANES, PANEL_ROWS = VEC_REGISTERS == 32 ? 14 : 6 };

/* c = a b, or c += a b        c [rows,PANEL]   a [rows,depth], row stride lda   b [depth,PANEL]
 * Meanwhile the a of a later call, `ahead` floats further on, is fetched into the cache; 0: nothing is. */
void panel_gemm(float *c, const float *a, size_t lda, const float *b, int rows, int depth, bool accumulate, size_t ahead);

#endif
