#include "engine/files/single_file.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"

/* ---- what is there ----------------------------------------------------------------------------------------------- */

#define UNET "model.diffusion_model."
#define FIRST_CONV UNET "input_blocks.0.0.weight"
#define CROSS_KEY UNET "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
#define UPSCALER_KEY UNET "input_blocks.10.0.skip_connection.bias"
#define SD2_KEY "cond_stage_model.model.positional_embedding"
#define XL_KEY "conditioner.embedders.1.model.positional_embedding"
#define REFINER_KEY "conditioner.embedders.0.model.positional_embedding"

/* Names are in order: the first not below the prefix has it, or none. */
static bool has_prefix(const struct st_file *f, const char *prefix) {
    int low = 0, high = f->n_tensors;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(f->by_name[middle]->name, prefix) < 0) low = middle + 1;
        else high = middle;
    }
    return low < f->n_tensors && strncmp(f->by_name[low]->name, prefix, strlen(prefix)) == 0;
}

/* Some name has it in it. */
static bool has_text(const struct st_file *f, const char *text) {
    for (int i = 0; i < f->n_tensors; i++)
        if (strstr(f->by_name[i]->name, text)) return true;
    return false;
}

/* The axis' extent, or -1 where there is no such tensor or axis. */
static int64_t extent(const struct st_file *f, const char *name, int axis) {
    const struct tensor *t = st_find(f, name);
    return t && axis < t->rank ? t->shape[axis] : -1;
}

/* What else a safetensors file may be, by something in its names. */
static const struct {
    const char *text, *what, *hint;
} others[] = {
    {"control_model.", "a ControlNet", NULL},
    {"controlnet_cond_embedding.", "a ControlNet", NULL},
    {"motion_modules.", "an AnimateDiff module", NULL},
    {"joint_blocks.", "an SD 3 checkpoint", NULL},
    {"double_blocks.", "a Flux checkpoint", NULL},
    {"double_layers.", "an AuraFlow checkpoint", NULL},
    {"patchify_proj.", "an LTX-Video checkpoint", NULL},
    {"lora_", "a LoRA", "-m takes the model it goes with"},
    {"down_blocks.", "one model of a directory as diffusers saves it", "-m DIR, where its model_index.json is"},
    {"text_model.", "a text encoder", "-m DIR, where the model_index.json is"},
    {"decoder.up.", "a VAE", "--vae FILE, with the model it goes with as -m"},
};

static void refuse_others(const struct st_file *f) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_text(f, others[i].text))
            die_hint(FAIL_UNSUPPORTED, others[i].hint, "%s: %s, not a checkpoint of the Stable Diffusion family", f->path, others[i].what);
}

/* The standard deviation of a small tensor, 0 where there is none. */
static double spread(const struct tensor *t) {
    enum { MOST = 4096 };
    float x[MOST];
    uint64_t n = t && tensor_is_float(t) ? tensor_count(t) : 0;
    double mean = 0, sum = 0;
    if (n < 2 || n > MOST || tensor_read_f32(t, x, 0, n)) return 0;
    for (uint64_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
    for (uint64_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

/* Of SD 2.x, 768 pixels and v-prediction or 512 and noise. */
static const struct single_kind *kind_of_sd2(const struct st_file *f) {
    double x = spread(st_find(f, UNET "output_blocks.11.1.transformer_blocks.0.norm1.bias"));
    return x > 0.09 ? &single_sd2 : &single_sd2_base;
}

const struct single_kind *single_kind_of(const struct st_file *f) {
    int64_t channels = extent(f, FIRST_CONV, 1), context = extent(f, CROSS_KEY, 1);
    bool inpaint = channels == 9, sd2 = context == 1024 || st_find(f, SD2_KEY), xl = st_find(f, XL_KEY), refiner = st_find(f, REFINER_KEY);
    if (!xl && !refiner && st_find(f, UPSCALER_KEY)) die(FAIL_UNSUPPORTED, "%s: an x4 upscaler is not supported", f->path);
    if (st_find(f, "edm_mean")) die(FAIL_UNSUPPORTED, "%s: a Playground 2.5 checkpoint is not supported", f->path);
    if (channels < 0) refuse_others(f);
    if (channels < 0) die(FAIL_UNSUPPORTED, "%s: not a checkpoint of the Stable Diffusion family: no tensor '" FIRST_CONV "'", f->path);
    if (channels != 4 && !inpaint)
        die(FAIL_UNSUPPORTED, "%s: a UNet with %jd input channels: only 4 and, for inpainting, 9 are supported", f->path,
            (intmax_t)channels);
    if (sd2) return inpaint ? &single_sd2_inpaint : kind_of_sd2(f);
    if (xl) return inpaint ? &single_xl_inpaint : &single_xl;
    if (refiner && !inpaint) return &single_xl_refiner;
    return inpaint ? &single_sd1_inpaint : &single_sd1;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

const struct single_part *single_part_find(const struct single_kind *kind, const char *name) {
    for (const struct single_part *p = kind->parts; p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

const struct dialect *single_dialect(struct arena *a, const struct st_file *f, const struct single_part *part) {
    for (int i = 0; part->prefixes[i]; i++) {
        if (!has_prefix(f, part->prefixes[i])) continue;
        struct dialect *d = arena_alloc(a, sizeof *d);
        *d = (struct dialect){part->prefixes[i], part->renames};
        return d;
    }
    return NULL;
}

/* ---- prediction -------------------------------------------------------------------------------------------------- */

struct single_prediction single_prediction_of(const struct st_file *f, const struct single_kind *kind) {
    bool marked = st_find(f, "v_pred"), measured = kind == &single_sd2 || kind == &single_sd2_base;
    return (struct single_prediction){.type = marked ? "v_prediction" : kind->prediction,
                                      .zero_snr = st_find(f, "ztsnr"),
                                      .why = marked     ? "its tensor 'v_pred'"
                                             : measured ? "the spread of its 'norm1.bias'"
                                                        : "its kind"};
}
