/* DDPMPipeline and DDIMPipeline (Ho et al. 2020; diffusers pipelines/ddpm, ddim): pictures are denoised as they are.
 *
 *   noise -> denoiser and scheduler row, n times -> pixels */
#include <math.h>
#include "engine/base/error.h"
#include "engine/pipelines/request.h"

static void check(struct model *m) {
    const char *dir = m->checkpoint->dir;
    const struct denoiser *d = &m->denoiser;
    int C = d->in_channels;
    if ((C != 3 && C != 1) || (d->out_channels != C && d->out_channels != 2 * C))
        die(FAIL_UNSUPPORTED, "%s: %d input and %d output channels: only pictures of 3, or of 1, grey, are supported", dir, C,
            d->out_channels);
}

static struct view decode(const struct request *r, const struct latents *l) {
    struct device *dev = r->model->device;
    struct view image = view_alloc(dev, 1, l->H, l->W, l->C);
    dev->ops->model_input(dev, image, l->x, 1);
    return image;
}

static const char *const denoisers[] = {"UNet2DModel", NULL};

static const struct part_spec parts[] = {
    {PART_SCHEDULER, "scheduler", NULL, false},
    {PART_DENOISER, "unet", denoisers, false},
    {.name = NULL},
};

const struct pipeline_class ddpm_class = {
    .name = "DDPMPipeline",
    .steps = 1000,
    .guidance = NAN,
    .fixup = FIXUP_NONE,
    .parts = parts,
    .check = check,
    .decode = decode,
};

const struct pipeline_class ddim_class = {
    .name = "DDIMPipeline",
    .steps = 50,
    .guidance = NAN,
    .scheduler = "DDIMScheduler",
    .fixup = FIXUP_NONE,
    .parts = parts,
    .check = check,
    .decode = decode,
};
