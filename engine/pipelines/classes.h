/* The kinds of pipeline, by the class name in model_index.json: a row and a file each, as schedulers are. What all of them do alike stands
 * in model.c, request.c and picture.c; a row says what sets its kind apart. */
#ifndef ENGINE_PIPELINES_CLASSES_H
#define ENGINE_PIPELINES_CLASSES_H

#include <stdbool.h>
#include "engine/base/arena.h"
#include "engine/device.h"
#include "schedulers/scheduler.h"

struct checkpoint;
struct latents;
struct model;
struct picture;
struct request;

/* The components that do something here. */
enum part {
    PART_SCHEDULER,
    PART_TOKENIZER,
    PART_TOKENIZER_2,
    PART_FEATURE_EXTRACTOR,
    PART_DEPTH_EXTRACTOR, /* pictures for the depth estimator */
    PART_TEXT_ENCODER,    /* nets from here on */
    PART_TEXT_ENCODER_2,
    PART_DEPTH,
    PART_DENOISER,
    PART_VAE,
    PART_SAFETY_CHECKER,
    N_PARTS
};

static inline bool part_is_net(enum part part) {
    return part >= PART_TEXT_ENCODER;
}

struct part_spec {
    enum part part;
    const char *name;           /* its folder and its key in model_index.json; NULL ends a list */
    const char *const *classes; /* those it may be of, NULL-terminated; NULL: schedulers/ knows */
    bool optional;              /* may be absent or null */
};

/* What a task begins with where nothing else is said; control_scale: of its ControlNets. */
struct task_defaults {
    double guidance, strength, control_scale;
};

/* What the denoiser's input holds behind the Z channels of the latents. */
enum beside {
    BESIDE_NOTHING, /* or, where it has 2 Z + 1 channels in all, the mask and the masked picture's latents */
    BESIDE_DEPTH,   /* 1 channel */
    BESIDE_PICTURE, /* the picture's latents */
};

struct pipeline_class {
    const char *name; /* "StableDiffusionPipeline" */
    bool takes_prompt;
    int steps;                                  /* where none are asked for */
    double guidance;                            /* NAN: there is nothing to be guided by */
    struct task_defaults image, masked;         /* from a picture; with a mask … */
    struct task_defaults led_image, led_masked; /* … and led by ControlNets, as diffusers' classes for that have it */
    double image_guidance;                      /* towards the picture beside the latents; 0: there is none */
    enum beside beside;
    const char *scheduler;                /* the class any stored scheduler is converted to, or NULL */
    enum sched_fixup fixup, masked_fixup; /* what its constructor does to a stored scheduler; that of the class that paints in a mask */
    bool strength_to_scheduler;           /* see sched_config_set_strength */
    /* Its mask is grey, read at the latents' size; what is kept has the noise of the row that was, and last the picture itself is laid over
     * the latents by the same degrees. */
    bool grey_mask;
    const struct part_spec *parts; /* nets in order of use; safety checker and feature extractor, where the checkpoint has them */
    /* The context is the last hidden state but one of each text encoder, side by side, and the last of them pools the prompt; else it is
     * the normed last state of the one there is. */
    bool penultimate;
    bool whole_vae; /* the VAE's force_upcast, latents_mean and latents_std count */
    /* Do the parts fit together? Dies FAIL_UNSUPPORTED. */
    void (*check)(struct model *m);
    /* What all pictures of the request share, in device memory: its context, and what else the denoiser's input holds beside the latents.
     * Planning calls it too. NULL: there is nothing. */
    void (*prepare)(struct request *r);
    /* The latents as a picture [1,height,width,3] in the device's arena. */
    struct view (*decode)(const struct request *r, const struct latents *l);
};

/* Of the task; strength NAN: it has none. */
struct task_defaults class_defaults(const struct pipeline_class *class, bool image, bool masked, bool led);

/* In the order they are told to the user. */
extern const struct pipeline_class stable_diffusion_class, image_to_image_class, inpaint_class, xl_class, xl_image_to_image_class,
    xl_inpaint_class, legacy_inpaint_class, control_class, control_image_class, control_inpaint_class, xl_control_class,
    xl_control_image_class, xl_control_inpaint_class, depth_to_image_class, instruct_pix2pix_class, latent_consistency_class,
    latent_consistency_image_class, ddpm_class, ddim_class;

/* A directory that holds a lone UNet2DModel is run as a DDPMPipeline. Dies FAIL_UNSUPPORTED. */
const struct pipeline_class *pipeline_class_of(struct arena *a, const struct checkpoint *c);

#endif
