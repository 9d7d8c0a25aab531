#include "engine/pipelines/begin.h"

#include <string.h>
#include "engine/pipelines/depth.h"
#include "engine/pipelines/init.h"

/* Without a picture: noise. */
static void start_from_noise(const struct picture *p, float *x) {
    const struct request *r = p->drawing->request;
    for (size_t i = 0; i < request_latent_count(r); i++) x[i] = p->noise[i] * r->schedule->init_noise_sigma;
}

static void start_from_image(const struct picture *p, float *x, const float *clean) {
    const struct sched_row *first = &p->drawing->request->schedule->rows[0];
    for (size_t i = 0; i < request_latent_count(p->drawing->request); i++) x[i] = first->add_x * clean[i] + first->add_z * p->noise[i];
}

/* What the rows of 4-channel inpainting hold the rest of the picture to. */
static void upload_kept(const struct picture *p, const float *clean) {
    const struct request *r = p->drawing->request;
    struct device *dev = r->model->device;
    struct latents l = picture_latents(p);
    dev->ops->upload_latents(dev, l.mask, r->init->mask, 1, l.H, l.W, 1);
    dev->ops->upload_latents(dev, l.clean, clean, 1, l.H, l.W, l.C);
    dev->ops->upload_latents(dev, l.noise, p->noise, 1, l.H, l.W, l.C);
}

/* Channels [c,c+C) of the picture's input in a copy. values: [H,W,C] */
static void upload_beside(const struct picture *p, int copy, int c, int C, const float *values) {
    const struct request *r = p->drawing->request;
    r->model->device->ops->upload(r->model->device, view_slice(view_images(r->input, copy * r->pictures + p->i, 1), c, C), values);
}

/* Mask and masked latents, beside the latents of every copy. masked: [C,H,W] */
static void upload_masked(const struct picture *p, const float *masked) {
    const struct request *r = p->drawing->request;
    int C = r->model->channels;
    float *nhwc = arena_array(p->drawing->arena, request_latent_count(r), sizeof *nhwc);
    latents_to_nhwc(nhwc, masked, 1, (size_t)r->latent_height * (size_t)r->latent_width, C);
    for (int i = 0; i < r->copies; i++) {
        upload_beside(p, i, C, 1, r->init->mask);
        upload_beside(p, i, C + 1, C, nhwc);
    }
}

/* The mean of the picture's latents, unscaled; with guidance the first copy is shown nothing. */
static void upload_seen(const struct picture *p) {
    const struct request *r = p->drawing->request;
    size_t C = (size_t)r->model->channels, n = request_latent_count(r);
    float *mean = arena_array(p->drawing->arena, n, sizeof *mean), *nothing = arena_array(p->drawing->arena, n, sizeof *nothing);
    for (size_t i = 0; i < n; i++) mean[i] = r->init->moments[i / C * 2 * C + i % C];
    for (int i = 0; i < r->copies; i++) upload_beside(p, i, (int)C, (int)C, i || r->copies == 1 ? mean : nothing);
}

void picture_begin(struct picture *p) {
    const struct request *r = p->drawing->request;
    const struct init *init = r->init;
    struct latents l = picture_latents(p);
    size_t n = request_latent_count(r);
    float *x = arena_array(p->drawing->arena, n, sizeof *x), *clean = arena_array(p->drawing->arena, n, sizeof *clean),
          *masked = arena_array(p->drawing->arena, n, sizeof *masked);
    bool seen = init && r->model->class->beside == BESIDE_PICTURE;
    bool grey = r->model->class->grey_mask;
    bool whole = !init || seen || (init->mask && !grey && r->settings.strength == 1); /* nothing of the picture is in the first latents */
    if (init && !seen && !(whole && init->masked)) init_sample(r, init->moments, &p->rng, clean);
    if (r->given_noise) memcpy(p->noise, r->given_noise, n * sizeof *p->noise);
    else picture_noise(p);
    if (init && init->mask && !grey) init_sample(r, init->masked ? init->masked_moments : init->moments, &p->rng, masked);
    if (whole) start_from_noise(p, x);
    else start_from_image(p, x, clean);
    r->model->device->ops->upload_latents(r->model->device, l.x, x, 1, l.H, l.W, l.C);
    if (l.mask) upload_kept(p, clean);
    if (init && init->masked) upload_masked(p, masked);
    if (seen) upload_seen(p);
    for (int i = 0; init && init->depth && i < r->copies; i++) upload_beside(p, i, l.C, 1, init->depth->map);
}
