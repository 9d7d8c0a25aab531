#include "engine/nets/nets.h"

#include <string.h>
#include "engine/nets/clip.h"
#include "engine/nets/controlnet.h"
#include "engine/nets/dpt.h"
#include "engine/nets/safety_checker.h"
#include "engine/nets/unet.h"
#include "engine/nets/vae.h"

static void *bind_clip_text(struct binder *binder) {
    return clip_text_bind(binder);
}

static void *bind_vae(struct binder *binder) {
    return vae_bind(binder);
}

static void *bind_dpt(struct binder *binder) {
    return dpt_bind(binder);
}

static void *bind_controlnet(struct binder *binder) {
    return controlnet_bind(binder);
}

static void *bind_unet(struct binder *binder) {
    return unet_bind(binder);
}

static void *bind_safety_checker(struct binder *binder) {
    return safety_checker_bind(binder);
}

static void *prepare_unet(struct device *dev, const void *net, struct arena *a, const struct conditions *given, const float *t, int n_rows,
                          struct view *temb) {
    struct unet_run *run = unet_prepare(dev, net, a, given, t, n_rows);
    *temb = run->temb;
    return run;
}

static void forward_unet(struct device *dev, const void *net, const void *prepared, struct view y, struct view x, struct view temb,
                         const struct controls *controls) {
    unet_forward(dev, net, prepared, y, x, temb, controls);
}

static struct denoiser denoiser_unet(const void *net) {
    const struct unet *m = net;
    return (struct denoiser){
        .net = m,
        .led = m->conditional ? m : NULL,
        .in_channels = m->in_channels,
        .out_channels = m->out_channels,
        .context_dim = m->conditional ? m->cross_dim : 0,
        .takes_guidance = m->guidance_dim > 0,
        .added_dim = m->added_dim,
        .number_dim = m->number_dim,
        .sample_height = m->sample_height,
        .sample_width = m->sample_width,
        .size_multiple = m->size_multiple,
        .size_least = m->size_least,
        .prepare = prepare_unet,
        .forward = forward_unet,
    };
}

static const struct net_class classes[] = {
    {"CLIPTextModel", bind_clip_text, NULL},
    {"CLIPTextModelWithProjection", bind_clip_text, NULL},
    {"UNet2DConditionModel", bind_unet, denoiser_unet},
    {"UNet2DModel", bind_unet, denoiser_unet},
    {"ControlNetModel", bind_controlnet, NULL},
    {"AutoencoderKL", bind_vae, NULL},
    {"DPTForDepthEstimation", bind_dpt, NULL},
    {"StableDiffusionSafetyChecker", bind_safety_checker, NULL},
};

const struct net_class *net_find(const char *name) {
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(classes[i].name, name)) return &classes[i];
    return NULL;
}
