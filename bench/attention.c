/* Times flash attention as the published models have it, two images at once, f16.
 *
 *     attention [TIMES]      "4096x8x40 US us" a line, queries, heads and their width, of TIMES calls each (100)
 *
 * attention_polynomial_N (Makefile) is the same with FLASH_POLYNOMIAL N; bench/gpu-visit.sh polynomial lets them take turns. */
#include <stdio.h>
#include <stdlib.h>

#include "cuda/cuda.h"
#include "engine/base/error.h"
#include "engine/device.h"
#include "engine/ops.h"

static void attend(struct device *dev, struct view y, struct view qkv, int heads) {
    dev->ops->attention(dev, y, view_slice(qkv, 0, y.C), view_slice(qkv, y.C, y.C), view_slice(qkv, 2 * y.C, y.C), heads, false);
}

static void measure(int side, int heads, int D, int times) {
    struct device *dev = cuda_device_open(DT_F16, -1);
    int C = heads * D;
    attend(dev, view_alloc(dev, 2, side, side, C), view_alloc(dev, 2, side, side, 3 * C), heads);
    dev->arena_used = 0;
    dev->plan_end(dev);
    struct view y = view_alloc(dev, 2, side, side, C), qkv = view_alloc(dev, 2, side, side, 3 * C);
    size_t n = view_rows(qkv) * (size_t)qkv.C;
    float *values = malloc(n * sizeof *values);
    if (!values) die(FAIL_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) values[i] = (float)(i * 2654435761u >> 16 & 255) / 128 - 1;
    dev->ops->upload(dev, qkv, values);
    free(values);
    dev->time_begin(dev, 2);
    attend(dev, y, qkv, heads);
    dev->time_mark(dev, 0);
    for (int i = 0; i < times; i++) attend(dev, y, qkv, heads);
    dev->time_mark(dev, 1);
    printf("%dx%dx%d %.2f us\n", side * side, heads, D, dev->time_wait(dev, 1) * 1e3 / times);
    fflush(stdout);
    dev->close(dev);
}

int main(int argc, char **argv) {
    static const struct {
        int side, heads, D;
    } layers[] = {{16, 8, 160}, {32, 8, 80}, {64, 8, 40}, {96, 5, 64}, {48, 10, 64}, {64, 10, 64}, {32, 20, 64}};
    int times = argc > 1 ? atoi(argv[1]) : 100;
    if (times < 1) die(FAIL_USAGE, "usage: attention [TIMES]");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) measure(layers[i].side, layers[i].heads, layers[i].D, times);
    return 0;
}
