/* The CUDA device. cuda/none.c stands in where the program was built without nvcc. */
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include "engine/device.h"

/* True if this build has CUDA code and a usable GPU is present. */
bool cuda_device_available(void);
/* Dies FAIL_DEVICE where there is none; index -1 picks the GPU with most free memory. */
struct device *cuda_device_open(enum dtype dtype, int index);

#endif
