/* What a picture is asked to be: plain values, of the command line or of a job. */
#ifndef ENGINE_PIPELINES_SETTINGS_H
#define ENGINE_PIPELINES_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/dtype.h"
#include "engine/base/rng.h"

enum { SIDE_MAX = 8192 /* pixels of a picture's width and height */ };

struct extent {
    int width, height;
};
struct place {
    int x, y;
};

/* LoRAs in the order given: what each adds is added up. The list is not changed once it is there; a longer one takes its place. */
enum { LORAS_MAX = 32 };
struct lora_list {
    int n;
    const struct lora_item {
        const char *path; /* as lora_open takes it */
        double weight;
    } * items;
};

/* Textual inversions, in the order of their ids; as the former. */
enum { EMBEDDINGS_MAX = 128 };
struct embedding_list {
    int n;
    const struct embedding_item {
        const char *path;  /* as embedding_open takes it */
        const char *token; /* the word it is learned for; NULL: the file's own */
    } * items;
};

/* The VAE in tiles that overlap: bounded memory, and another picture. AUTO: where it does not fit in one piece. */
enum vae_tiling { TILING_AUTO, TILING_ON, TILING_OFF };

/* In the order given. */
struct text_list {
    int n;
    const char *const *items;
};
struct number_list {
    int n;
    const double *items;
};

/* Zero or NAN means the checkpoint's or diffusers' default. */
struct settings {
    const char *model, *variant, *config, *vae; /* as struct source has them */
    bool no_safety_checker;                     /* likewise */
    const char *prompt, *negative;              /* negative NULL = "", or what SDXL has for none */
    const char *prompt2, *negative2;            /* for the second text encoder; NULL or "": the same */
    int prompt_syntax;                          /* a row of prompt_syntaxes: how the four are read */
    bool long_prompts;                          /* beyond the model's limit they go on in further chunks */
    uint64_t seed;
    bool seed_given;       /* else `seed` is a random one */
    int steps;             /* 0: the checkpoint's, else 50, DDPM 1000 */
    double guidance;       /* NAN: the checkpoint's, else 7.5 */
    double image_guidance; /* NAN: 1.5 where the class has one */
    double guidance_rescale, eta;
    int clip_skip;         /* diffusers' meaning: 1 leaves out one layer; -1 or 0: none */
    int width, height;     /* pixels; 0: the checkpoint's, else sample_size * VAE factor; said where the other is given */
    const char *scheduler; /* "NAME[,key=value…]", or NULL for the checkpoint's own */
    bool swaps;            /* other requests of the model may name one */
    enum rng_kind rng;
    struct rng_gpu rng_gpu; /* of RNG_CUDA; zeros: the one in use, on the CPU an H100 */
    enum dtype rng_dtype;
    const char *image;    /* picture to begin from, or NULL; "-": standard input */
    double strength;      /* how much of it goes: 0 to 1, of the steps; NAN: the class's default for the task */
    const char *mask;     /* where it is white the image is painted anew; or NULL */
    bool invert_mask;     /* where it is black */
    double mask_blur;     /* radius in pixels of the mask */
    bool mask_crop_given; /* the mask's surroundings alone are drawn, … */
    int mask_crop;        /* … with so many pixels around it, and laid into the picture */
    const char *depth;    /* of the picture: white is near; NULL: estimated */
    int resize;           /* enum resize_mode: how image and mask come to the size */
    bool resize_given;
    struct lora_list loras;
    struct embedding_list embeddings;
    /* ControlNets: a directory or ORG/NAME each, none for the checkpoint's own, and a picture for each. Of what follows one is for all of
     * them, or there is one for each. */
    struct text_list controls, control_images;
    struct text_list control_preprocess;             /* what is made of the pictures before (preprocess.h) */
    struct number_list control_scales;               /* the class's default for the task */
    struct number_list control_starts, control_ends; /* 0 to 1, of the calls: 0 and 1 */
    bool guess_mode;      /* they lead the conditional output alone, the more the deeper in the net; always where the first pools */
    const char *lora_dir; /* where <lora:NAME:WEIGHT> of a prompt is; NULL: such text is text */
    bool lora_lenient;    /* modules that are none of the model's are left out, not refused */
    const char *latents;  /* safetensors file with the initial noise, or NULL */
    int batch_size;       /* pictures drawn at once; 0: as many as are faster and fit into memory */
    int count;            /* images that will be asked for: --dump makes a folder for each of several */
    const char *dump;     /* directory, or NULL */
    bool vae_dtype_given; /* the VAE computes in vae_dtype, else in the device's type as the UNet does */
    enum dtype vae_dtype;
    int vae_tiling;      /* enum vae_tiling */
    const char *refiner; /* the checkpoint that draws the last steps, or NULL */
    double refine_at;    /* from which part of the noise schedule on, 0 to 1; NAN: 0.8 */
    /* SDXL: sizes told to the UNet, which change what is drawn; of width 0: the picture's own. */
    struct extent original_size, target_size, negative_original_size, negative_target_size;
    struct place crop, negative_crop;
    double aesthetic_score, negative_aesthetic_score; /* the refiner's; NAN: 6 and 2.5 */
    bool incomplete;                                  /* nothing will be drawn: what the model needs to begin from may be missing */
    bool strict;                                      /* a prompt that does not fit is an error, not a warning */
};

#endif
