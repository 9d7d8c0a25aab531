/* test_dpt.c on the CUDA device, emulated or real: in f32, whatever else it computes in. */
#include "cuda/cuda.h"

#define TEST_CUDA
#define OPEN_DEVICE(dtype) cuda_device_open(dtype, -1)
#define DTYPES \
    { DT_F32, DT_F16 }
#include "test/test_dpt.c"
