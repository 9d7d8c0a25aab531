/* Between the loader (load.cu) and the layouts (pack.cu). */
#ifndef CUDA_PACK_H
#define CUDA_PACK_H

#include "cuda/device.h"

extern "C" {
#include "engine/files/safetensors.h"
}

/* Most bytes that go to the device at once. */
static constexpr size_t SLOT = 4 << 20;

size_t item_bytes(enum dtype dtype);
/* Bytes of w's part that are delivered at once, but for its end: where sums are packed, of whole filters. */
uint64_t piece_bytes(const struct weight *w, const struct tensor *part);
/* n bytes of w's part, the weight's elements from number `first` on, from host memory by way of a device slot. */
cudaError_t deliver(cudaStream_t stream, struct weight *w, enum dtype dtype, size_t first, const void *host, void *slot, size_t n);

#endif
