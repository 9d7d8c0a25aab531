#include "engine/pipelines/classes.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/checkpoint.h"

static const struct pipeline_class *const classes[] = {&stable_diffusion_class,
                                                       &image_to_image_class,
                                                       &inpaint_class,
                                                       &legacy_inpaint_class,
                                                       &xl_class,
                                                       &xl_image_to_image_class,
                                                       &xl_inpaint_class,
                                                       &control_class,
                                                       &control_image_class,
                                                       &control_inpaint_class,
                                                       &xl_control_class,
                                                       &xl_control_image_class,
                                                       &xl_control_inpaint_class,
                                                       &depth_to_image_class,
                                                       &instruct_pix2pix_class,
                                                       &latent_consistency_class,
                                                       &latent_consistency_image_class,
                                                       &ddpm_class,
                                                       &ddim_class};
enum { N_CLASSES = sizeof classes / sizeof *classes };

struct task_defaults class_defaults(const struct pipeline_class *class, bool image, bool masked, bool led) {
    if (masked) return led ? class->led_masked : class->masked;
    if (image) return led ? class->led_image : class->image;
    return (struct task_defaults){class->guidance, NAN, 1};
}

const struct pipeline_class *pipeline_class_of(struct arena *a, const struct checkpoint *c) {
    const char *name = c->pipeline_class ? c->pipeline_class : ddpm_class.name, *known = "";
    for (int i = 0; i < N_CLASSES; i++)
        if (!strcmp(classes[i]->name, name)) return classes[i];
    for (int i = 0; i < N_CLASSES; i++) known = arena_printf(a, "%s%s%s", known, i ? ", " : "", classes[i]->name);
    die_hint(FAIL_UNSUPPORTED, arena_printf(a, "supported: %s", known), "%s: pipeline class '%s' is not supported", c->dir, name);
}
