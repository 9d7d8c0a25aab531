/* A checkpoint: where it is, which components it has, which files hold their tensors. A directory as diffusers saves it, or one file. */
#ifndef ENGINE_FILES_CHECKPOINT_H
#define ENGINE_FILES_CHECKPOINT_H

#include <stdbool.h>
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/files/dialect.h"
#include "engine/files/generation.h"
#include "engine/files/safetensors.h"
#include "engine/files/single_file.h"

/* What a model is made of, as its user names it. */
struct source {
    const char *model;      /* a directory, a safetensors file, or ORG/NAME[@REVISION] in the local Hugging Face cache */
    const char *variant;    /* "fp16" …: the weight files taken where there are such; or NULL */
    const char *config;     /* a directory or ORG/NAME whose configuration a file is read by, else the one of its kind; or NULL */
    const char *vae;        /* a directory or safetensors file in place of the checkpoint's own; or NULL */
    bool no_safety_checker; /* leave it out, where there is one */
    bool swapped;           /* a scheduler is named: the checkpoint's own may be of a class that is converted from alone */
    const char *option;     /* what names the model, for hints; NULL: "-m DIR" */
};

struct component {
    const char *name;       /* "unet" */
    const char *library;    /* "diffusers" */
    const char *class_name; /* "UNet2DConditionModel": the index's word; a lone model's own */
    const char *dir;        /* its folder, or the checkpoint's own (root layout, one file) */
    struct json *config;    /* config.json or as its kind names it, or NULL where it has none (tokenizer) */
    const char *builtin;    /* the text of a tokenizer's config where the vocabulary is the built-in one, else NULL */
    struct arena *arena;
    int n_files; /* weight files, headers read and checked; 0 for tokenizer and scheduler */
    struct st_file **files;
    const char *variant;           /* "fp16" where the variant's files are used, else NULL */
    const struct dialect *dialect; /* other names its tensors may have, or NULL */
};

struct checkpoint {
    const char *name;              /* as given with -m */
    const char *dir;               /* or the file */
    const char *revision;          /* commit in the Hugging Face cache, or NULL */
    struct json *index;            /* model_index.json; NULL for a bare root-layout model */
    const char *pipeline_class;    /* "StableDiffusionPipeline" */
    const char *diffusers_version; /* _diffusers_version or NULL */
    struct generation generation;
    struct st_file *file;                /* all of its tensors, where it is one file, else NULL … */
    const struct single_kind *kind;      /* … what it is … */
    struct single_prediction prediction; /* … what its denoiser predicts, unless config_dir says it … */
    const char *config_dir;              /* … and where its configuration comes from; NULL: it is built in */
    const char *vae;                     /* as struct source has it */
    bool swapped;                        /* likewise */
    int n_components;
    struct component *components;
};

/* The directory `model` names, as checkpoint_list finds it; *revision receives the commit, NULL for a plain directory. option: what names
 * one, for the hint: "--vae DIR". */
const char *checkpoint_locate(struct arena *a, const char *option, const char *model, const char **revision);
/* The same of what is one file in its directory, a LoRA: the hint asks for no more. */
const char *checkpoint_locate_lone(struct arena *a, const char *option, const char *model);
/* What model_index.json says (a lone model's config.json), or for a file what its tensors do; nothing else is looked at. Never the network:
 * not there is FAIL_INPUT with the `hf download` line as hint. */
struct checkpoint *checkpoint_list(struct arena *a, const struct source *source);
/* The same of a folder that holds one net, of diffusers or of transformers, which becomes a component of that name. option: as above. */
struct checkpoint *checkpoint_list_net(struct arena *a, const char *option, const char *path, const char *name, bool transformer);
/* Is its class of that library, or of a module of it ("diffusers.models")? */
bool component_from(const struct component *c, const char *library);
/* Dies FAIL_UNSUPPORTED where a component's class comes from a module of the checkpoint's own. */
void checkpoint_check_modules(const struct checkpoint *c);

/* Opens what a component's kind has: its config, a net's with the headers of its weight files, a tokenizer's folder. variant NULL or
 * "fp16" …: taken where its files exist. Dies FAIL_INPUT where the folder or a file is not there, FAIL_DATA, FAIL_UNSUPPORTED. */
enum component_kind {
    COMPONENT_NET,
    COMPONENT_SCHEDULER,
    COMPONENT_TOKENIZER,
    COMPONENT_EXTRACTOR,
    COMPONENT_CONFIG /* a net's config alone */
};
void component_open(const struct checkpoint *c, struct component *m, enum component_kind kind, const char *variant);
/* After the last is opened: dies FAIL_INPUT where a variant was asked for that none has. */
void checkpoint_check_variant(const struct checkpoint *c, const char *variant);
void checkpoint_close(struct checkpoint *c);
/* NULL where absent or null. */
struct component *checkpoint_find(const struct checkpoint *c, const char *name);
/* The tensor in any of the component's files, its name in the component's dialect tried second; NULL if absent. Eight-bit floats are taken
 * with the scale that lies beside them ("X.scale_weight", "X.weight_scale"; none is 1), as F32. */
const struct tensor *component_find(const struct component *c, const char *name);

/* The directory of ORG/NAME[@REVISION] in the cache (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME), or NULL; *revision receives the commit.
 * Dies FAIL_USAGE if repo is not such a name; what: what named it, "model" or "--vae". */
const char *hub_cache_find(struct arena *a, const char *what, const char *repo, const char **revision);
/* The repositories in the cache, which is *folder, whose main revision is a pipeline, by name; at most max. Returns how many. */
int hub_cache_list(struct arena *a, const char **folder, const char *repos[], int max);

#endif
