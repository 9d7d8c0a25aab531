/* The CUDA device. cuda/none.c stands in where the program was built without nvcc. */
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include "engine/device.h"

/* Begins creating the context of the GPU that cuda_device_open will be asked for, on a thread of its own: a few tenths of a second
 * that other work can fill. Optional. */
void cuda_start(int index);
/* NULL if a usable GPU is present, else why not, in a few words; "" where this build has no CUDA code and nobody expects one. */
const char *cuda_device_missing(void);
/* dtype F32, F16 or BF16. Dies FAIL_DEVICE where there is no such GPU, or none this program has code for; index -1 picks the one with
 * most free memory. Starts planning. */
struct device *cuda_device_open(enum dtype dtype, int index);

#endif
