/* A device planned again and again, on a whole net whose weights come from a file: every picture is, byte for byte, a fresh device's. */
#ifndef TEST_REPLAN_H
#define TEST_REPLAN_H

#include "test/support.h"

#include "engine/files/checkpoint.h"
#include "engine/nets/vae.h"
#include "engine/weights.h"

struct decoder {
    struct arena arena;
    struct binder *binder;
    struct vae *vae;
    struct device *dev;
};

static struct decoder *decoder_open(struct device *dev) {
    struct decoder *d = calloc(1, sizeof *d);
    struct checkpoint *c = checkpoint_list(&d->arena, &(struct source){.model = "test/fixtures/tiny-sd1"});
    struct component *vae = checkpoint_find(c, "vae");
    component_open(c, vae, COMPONENT_NET, NULL);
    d->binder = binder_new(vae);
    d->vae = vae_bind(d->binder);
    d->dev = dev;
    return d;
}

static void decoder_close(struct decoder *d) {
    d->dev->close(d->dev);
    for (int i = 0; i < d->binder->component->n_files; i++) st_close(d->binder->component->files[i]);
    arena_free(&d->arena);
    free(d);
}

/* y: [1, height, width, 3] latents of a fixed pattern make; while planning NULL. */
static void forward(struct decoder *d, int H, int W, float *y) {
    struct device *dev = d->dev;
    int C = d->vae->latent_channels;
    struct view z = view_alloc(dev, 1, H, W, C), image = view_alloc(dev, 1, H * d->vae->factor, W * d->vae->factor, 3);
    float *latents = calloc((size_t)H * (size_t)W * (size_t)C, sizeof *latents);
    for (int i = 0; i < H * W * C; i++) latents[i] = (float)(i * 37 % 101) / 50 - 1;
    dev->ops->upload(dev, z, latents);
    vae_decode(dev, d->vae, image, z);
    if (y) dev->ops->download(dev, y, image);
    free(latents);
    dev->arena_used = 0;
}

static float *decode(struct decoder *d, int H, int W, size_t *n) {
    struct device *dev = d->dev;
    dev->plan_begin(dev);
    forward(d, H, W, NULL);
    dev->plan_end(dev);
    weights_load(dev, &d->binder, 1);
    weights_wait(dev, &d->binder, 1);
    *n = (size_t)(3 * H * W * d->vae->factor * d->vae->factor);
    float *y = calloc(*n, sizeof *y);
    forward(d, H, W, y);
    return y;
}

/* Sizes that grow, shrink, and change what convolutions are done by; twice the same. */
static void compare_with_fresh(struct device *(*open)(void)) {
    static const int sizes[][2] = {{2, 5}, {5, 5}, {16, 12}, {16, 12}, {1, 1}, {8, 8}, {5, 5}};
    struct decoder *d = decoder_open(open());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n, n_fresh;
        float *y = decode(d, sizes[i][0], sizes[i][1], &n);
        struct decoder *other = decoder_open(open());
        float *fresh = decode(other, sizes[i][0], sizes[i][1], &n_fresh);
        decoder_close(other);
        assert_int_equal(n, n_fresh);
        for (size_t k = 0; k < n; k++)
            if (memcmp(&y[k], &fresh[k], sizeof *y) != 0)
                fail_msg("%dx%d: value %zu: fresh %.9g, planned again %.9g", sizes[i][0], sizes[i][1], k, (double)fresh[k], (double)y[k]);
        free(y), free(fresh);
    }
    decoder_close(d);
}

#endif
