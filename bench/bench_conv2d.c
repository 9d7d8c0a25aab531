/* Times the 3x3 convolutions of SD 1.5 on the CPU device: bench_conv2d [f32|bf16] [threads] [repeats]
 * One line a layer: its shape, the best of the repeats in ms, and the direct algorithm's FLOP divided by that time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/clock.h"
#include "engine/cpu/cpu.h"
#include "engine/files/safetensors.h"

static const struct {
    const char *where;
    int N, H, C, K, stride, upsample;
} layers[] = {
    {"unet 64", 2, 64, 320, 320, 1, 1},      {"unet 64", 2, 64, 640, 320, 1, 1},        {"unet 64", 2, 64, 960, 320, 1, 1},
    {"unet 32", 2, 32, 320, 640, 1, 1},      {"unet 32", 2, 32, 640, 640, 1, 1},        {"unet 32", 2, 32, 960, 640, 1, 1},
    {"unet 32", 2, 32, 1280, 640, 1, 1},     {"unet 32", 2, 32, 1920, 640, 1, 1},       {"unet 16", 2, 16, 640, 1280, 1, 1},
    {"unet 16", 2, 16, 1280, 1280, 1, 1},    {"unet 16", 2, 16, 1920, 1280, 1, 1},      {"unet 16", 2, 16, 2560, 1280, 1, 1},
    {"unet 8", 2, 8, 1280, 1280, 1, 1},      {"unet 8", 2, 8, 2560, 1280, 1, 1},        {"unet up 8", 2, 8, 1280, 1280, 1, 2},
    {"unet up 16", 2, 16, 1280, 1280, 1, 2}, {"unet up 32", 2, 32, 640, 640, 1, 2},     {"unet down 64", 2, 64, 320, 320, 2, 1},
    {"unet down 32", 2, 32, 640, 640, 2, 1}, {"unet down 16", 2, 16, 1280, 1280, 2, 1}, {"unet in", 2, 64, 4, 320, 1, 1},
    {"unet out", 2, 64, 320, 4, 1, 1},       {"vae 64", 1, 64, 512, 512, 1, 1},         {"vae up 64", 1, 64, 512, 512, 1, 2},
    {"vae 128", 1, 128, 512, 512, 1, 1},     {"vae up 128", 1, 128, 512, 512, 1, 2},    {"vae 256", 1, 256, 512, 256, 1, 1},
    {"vae 256", 1, 256, 256, 256, 1, 1},     {"vae up 256", 1, 256, 256, 256, 1, 2},    {"vae 512", 1, 512, 256, 128, 1, 1},
    {"vae 512", 1, 512, 128, 128, 1, 1},     {"vae out", 1, 512, 128, 3, 1, 1},         {"vae in", 1, 64, 4, 512, 1, 1},
};

static void time_layer(int i, enum dtype dtype, int threads, int repeats) {
    int N = layers[i].N, H = layers[i].H, C = layers[i].C, K = layers[i].K;
    int stride = layers[i].stride, up = layers[i].upsample;
    int Ho = H * up / stride;
    struct device *dev = cpu_device_open(dtype, threads);
    size_t n = (size_t)K * C * 9;
    float *values = malloc(n * sizeof *values);
    for (size_t k = 0; k < n; k++) values[k] = (float)((int)(k * 2654435761u >> 16 & 1023) - 512) / 16384;
    struct tensor part = {.name = "w", .dtype = DT_F32, .bytes = n * sizeof *values};
    const struct tensor *parts[] = {&part};
    struct weight w = {.kind = WEIGHT_CONV, .name = "w", .rank = 4, .shape = {K, C, 3, 3}, .n_parts = 1, .parts = parts};
    struct conv_shape shape = {stride, 1, 1, 1, 1, up};
    struct view x = view_alloc(dev, N, H, H, C), y = view_alloc(dev, N, Ho, Ho, K), residual = view_alloc(dev, N, Ho, Ho, K);
    dev->ops->conv2d(dev, y, x, &w, NULL, no_view, residual, shape);
    w.packed = dev->alloc(dev, dev->packed_bytes(dev, &w));
    dev->pack(dev, &w, (const void *[]){values}, NULL);
    dev->plan_end(dev);
    arena_release(dev, 0);
    x = view_alloc(dev, N, H, H, C), y = view_alloc(dev, N, Ho, Ho, K), residual = view_alloc(dev, N, Ho, Ho, K);
    for (size_t k = 0; dtype == DT_F32 && k < view_rows(x) * (size_t)C; k++) ((float *)x.p)[k] = (float)(k % 1021) / 1021;
    double best = 1e9;
    for (int r = 0; r < repeats; r++) {
        double start = clock_ms();
        dev->ops->conv2d(dev, y, x, &w, NULL, no_view, residual, shape);
        double seconds = (clock_ms() - start) / 1e3;
        if (seconds < best) best = seconds;
    }
    double flop = 2.0 * 9 * C * K * N * Ho * Ho;
    printf("%-13s %d x %4d -> %4d, %3d -> %3d: %8.2f ms %6.0f GFLOP/s   packed / plain %.2f, scratch %4.0f MB\n", layers[i].where, N, C, K,
           H, Ho, best * 1e3, flop / best / 1e9, (double)dev->packed_bytes(dev, &w) / (double)(n * dtype_table[dtype].size),
           (double)dev->scratch_bytes(dev) / 1e6);
    fflush(stdout);
    dev->close(dev);
    free(values);
}

int main(int argc, char **argv) {
    enum dtype dtype = argc > 1 && !strcmp(argv[1], "bf16") ? DT_BF16 : DT_F32;
    int threads = argc > 2 ? atoi(argv[2]) : 0, repeats = argc > 3 ? atoi(argv[3]) : 7;
    struct device *dev = cpu_device_open(dtype, threads);
    printf("%s, %s\n", dev->product, dev->isa); /* AMX among them where it computes */
    dev->close(dev);
    for (int i = 0; i < (int)(sizeof layers / sizeof layers[0]); i++) time_layer(i, dtype, threads, repeats);
}
