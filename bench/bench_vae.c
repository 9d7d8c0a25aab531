/* Times SD's VAE on the CPU device: bench_vae DIR [SIDE] [THREADS] [REPEATS]
 * A line for each direction and repeat, the first left out: "encode MS CPU_MS". DIR: a checkpoint, of make_checkpoint --sparse as well. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/cpu/cpu.h"
#include "engine/nets/vae_encoder.h"
#include "engine/weights.h"

static double cpu_ms(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

static void fill(struct view x) {
    float *values = x.p;
    for (size_t i = 0; i < view_rows(x) * (size_t)x.C; i++) values[i] = (float)(i % 1021) / 1021;
}

/* Pixels to moments, or latents to pixels; nothing is told while planning. */
static void run(struct device *dev, const struct vae *vae, int side, bool encode, bool told) {
    int small = side / vae->factor, Z = vae->latent_channels;
    arena_release(dev, 0);
    struct view pixels = view_alloc(dev, 1, side, side, 3), latents = view_alloc(dev, 1, small, small, encode ? 2 * Z : Z);
    if (told) fill(encode ? pixels : latents);
    double start = clock_ms(), used = cpu_ms();
    if (encode) vae_encode(dev, vae->encoder, latents, pixels);
    else vae_decode(dev, vae, pixels, latents);
    if (told) printf("%s %.1f %.1f\n", encode ? "encode" : "decode", clock_ms() - start, cpu_ms() - used);
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc < 2) die(FAIL_USAGE, "usage: bench_vae DIR [SIDE] [THREADS] [REPEATS]");
    int side = argc > 2 ? atoi(argv[2]) : 512, threads = argc > 3 ? atoi(argv[3]) : 0, repeats = argc > 4 ? atoi(argv[4]) : 3;
    struct checkpoint *c = checkpoint_list(&a, &(struct source){.model = argv[1]});
    struct component *part = checkpoint_find(c, "vae");
    component_open(c, part, COMPONENT_NET, NULL);
    struct binder *binder = binder_new(part);
    struct vae *vae = vae_bind(binder);
    struct device *dev = cpu_device_open(DT_F32, threads);
    for (int encode = 0; encode < 2; encode++) run(dev, vae, side, encode, false);
    dev->plan_end(dev);
    weights_load(dev, &binder, 1);
    for (int i = 0; i <= repeats; i++)
        for (int encode = 0; encode < 2; encode++) run(dev, vae, side, encode, i > 0);
    dev->close(dev);
    checkpoint_close(c);
    arena_free(&a);
    return 0;
}
