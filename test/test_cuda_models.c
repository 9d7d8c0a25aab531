/* test_models.c on the CUDA device, emulated or real. */
#include "cuda/cuda.h"

#define OPEN_DEVICE(dtype) cuda_device_open(dtype, -1)
/* f32: as on the CPU. f16 and bf16 round every layer's weights and output to 11 and 8 bits; the reference is f32: 2^-11 and 2^-8 a
 * rounding, carried through up to some fifty layers. */
#define DEVICE_CASES                                    \
    {                                                   \
        {"f32", DT_F32, 1e-4}, {"f16", DT_F16, 2e-2}, { \
            "bf16", DT_BF16, 1e-1                       \
        }                                               \
    }
#include "test/test_models.c"
