/* A checkpoint in one safetensors file, in the layout of the programs that trained it (CompVis, Stability): UNet, text encoders and VAE
 * side by side under prefixes. Its configuration is not in it: what kind it is follows from its tensors, in the order diffusers'
 * infer_diffusers_model_type looks, and each kind's configuration is built in. */
#ifndef ENGINE_FILES_SINGLE_FILE_H
#define ENGINE_FILES_SINGLE_FILE_H

#include <stdbool.h>
#include "engine/files/dialect.h"
#include "engine/files/safetensors.h"

enum { SINGLE_PARTS_MAX = 8 };

struct single_part {
    const char *name, *library, *class_name; /* as in model_index.json */
    const char *config;                      /* the text of its config.json, scheduler_config.json or tokenizer_config.json */
    const char *prefixes[3];                 /* of its tensors, the first that is there counts; none for what has no tensors */
    const struct rename *renames;
};

struct single_kind {
    const char *name;       /* "SD 1.x" */
    const char *pipeline;   /* "StableDiffusionPipeline" */
    const char *prediction; /* "epsilon", "v_prediction": its scheduler's config does not say */
    const char *options;    /* more of its model_index.json, or NULL */
    struct single_part parts[SINGLE_PARTS_MAX];
};

/* Dies FAIL_UNSUPPORTED, saying what the file is, where it is none of them. SD 2.x come in two kinds of the same names, told apart by the
 * spread of a bias that v-prediction drives apart (as ComfyUI does; diffusers takes all for the larger, v-predicting one). */
const struct single_kind *single_kind_of(const struct st_file *f);
/* The dialect of a part's tensors in the file, NULL where there are none. */
const struct dialect *single_dialect(struct arena *a, const struct st_file *f, const struct single_part *part);
/* NULL where the kind has no such part. */
const struct single_part *single_part_find(const struct single_kind *kind, const char *name);

/* What the denoiser predicts: the file's marker tensors count more than its kind. */
struct single_prediction {
    const char *type; /* "v_prediction", "epsilon" */
    bool zero_snr;    /* the schedule's last step is pure noise (rescale_betas_zero_snr) */
    const char *why;  /* "its tensor 'v_pred'" */
};
struct single_prediction single_prediction_of(const struct st_file *f, const struct single_kind *kind);

/* All kinds (single_kinds.c). */
extern const struct single_kind single_sd1, single_sd1_inpaint, single_sd2, single_sd2_base, single_sd2_inpaint, single_xl,
    single_xl_inpaint, single_xl_refiner;

#endif
