/* What the driver's management library (libnvidia-ml.so.1, which comes with every driver) says without a context on the GPU. */
#ifndef CUDA_NVML_H
#define CUDA_NVML_H

/* The GPU with most free memory of CUDA's first `count`; 0 where the library is missing or says nothing. */
int nvml_most_free_memory(int count);

#endif
