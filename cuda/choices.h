/* The fastest way to each product on each GPU, by bench/choices.py from bench/gpu-visit.sh's sweep. None has been measured yet: the one row
 * is of no product. */
#ifndef CUDA_CHOICES_H
#define CUDA_CHOICES_H

#include "cuda/gemm.h"

/* multiprocessors, M, N, steps, {tile, splits, meet}, cuBLASLt's proposal */
static const struct gemm_measured choices[] = {
    {0, 0, 0, 0, {0, 1, false}, -1},
};

#endif
