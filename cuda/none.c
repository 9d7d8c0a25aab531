#include "cuda/cuda.h"
#include "engine/base/error.h"

void cuda_start(int index) {
    (void)index;
}

const char *cuda_device_missing(void) {
    return "";
}

struct device *cuda_device_open(enum dtype dtype, int index) {
    (void)dtype, (void)index;
    die_hint(FAIL_DEVICE, "build where nvcc is installed, or use --device cpu", "--device cuda: this program was built without CUDA");
}
