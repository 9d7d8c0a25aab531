#include "cuda/cuda.h"
#include "engine/error.h"

bool cuda_device_available(void) { return false; }

struct device *cuda_device_open(enum dtype dtype, int index) {
    (void)dtype, (void)index;
    die_hint(FAIL_DEVICE, "build where nvcc is installed, or use --device cpu", "--device cuda: this program was built without CUDA");
}
