/* A checkpoint directory as diffusers saves it: where it is, which components it has, which files hold their tensors. */
#ifndef ENGINE_FILES_CHECKPOINT_H
#define ENGINE_FILES_CHECKPOINT_H

#include <stdbool.h>
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/files/safetensors.h"

struct component {
    const char *name;       /* "unet" */
    const char *library;    /* "diffusers" */
    const char *class_name; /* "UNet2DConditionModel" */
    const char *dir;        /* its folder, or the checkpoint's own (root layout) */
    struct json *config;    /* config.json, or NULL where the component has none (tokenizer) */
    struct arena *arena;
    int n_files; /* weight files, headers read and checked; 0 for tokenizer and scheduler */
    struct st_file **files;
    const char *variant;      /* "fp16" where the variant's files are used, else NULL */
    bool old_attention_names; /* query/key/value/proj_attn accepted for to_q/… (single-file checkpoints) */
};

struct checkpoint {
    const char *name; /* as given with -m */
    const char *dir;
    const char *revision;          /* commit in the Hugging Face cache, or NULL */
    struct json *index;            /* model_index.json; NULL for a bare root-layout model */
    const char *pipeline_class;    /* "StableDiffusionPipeline" */
    const char *diffusers_version; /* _diffusers_version or NULL */
    int n_components;
    struct component *components;
};

/* The directory `model` names, as checkpoint_open finds it; *revision receives the commit, NULL for a plain directory. */
const char *checkpoint_locate(struct arena *a, const char *model, const char **revision);
/* model: a directory, or ORG/NAME[@REVISION] in the local Hugging Face cache. Never the network: not there is FAIL_INPUT with the
 * `hf download` line as hint. variant NULL or "fp16" …: used per component where its files exist.
 * Opens model_index.json and every component's config and the headers of its weight files. */
struct checkpoint *checkpoint_open(struct arena *a, const char *model, const char *variant);
/* The same without any model: model_index.json and the scheduler's config, the only one read. */
struct checkpoint *checkpoint_open_scheduler(struct arena *a, const char *model);
void checkpoint_close(struct checkpoint *c);
/* NULL where absent or null. */
struct component *checkpoint_find(const struct checkpoint *c, const char *name);
/* The tensor in any of the component's files, old attention names tried second; NULL if absent. */
const struct tensor *component_find(const struct component *c, const char *name);

/* The directory of ORG/NAME[@REVISION] in the cache (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME), or NULL; *revision receives the commit.
 * Dies FAIL_USAGE if repo is not such a name. */
const char *hub_cache_find(struct arena *a, const char *repo, const char **revision);

#endif
