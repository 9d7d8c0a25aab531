/* What a PNG says about how it was made: for AUTOMATIC1111's readers, for this program, and for those who must know it is synthetic. */
#ifndef CLI_METADATA_H
#define CLI_METADATA_H

#include <stdint.h>
#include "cli/json_out.h"
#include "cli/png.h"
#include "engine/base/dtype.h"
#include "engine/base/rng.h"

/* Values in force, defaults filled in. Texts NULL where there is none, guidance NAN where there is no prompt to be guided by. */
struct metadata {
    const char *prompt, *negative;
    const char *model;    /* as given with -m */
    const char *revision; /* commit in the Hugging Face cache */
    const char *variant;
    const char *model_hash;      /* sha256 of the denoiser's file, hex */
    const char *scheduler;       /* as given with -x */
    const char *scheduler_class; /* "PNDMScheduler" */
    const char *schedule_type;   /* A1111's: "Karras" …; NULL is its default */
    const char *latents;         /* file of the initial noise */
    int steps, width, height;
    int clip_skip; /* diffusers' meaning; <= 0: none */
    double guidance, guidance_rescale, eta;
    uint64_t seed;
    enum rng_kind rng;
    int rng_sms;
    enum dtype rng_dtype;
    const char *dtype, *device; /* "fp32", "cpu" */
    const char *vae_dtype;      /* where the VAE was given one of its own */
};

/* "fp32", "fp16" or "bf16", as --dtype takes it, and back: `otherwise` for "auto". */
const char *dtype_word(enum dtype dtype);
enum dtype dtype_of(const char *word, enum dtype otherwise);

enum { METADATA_COMMENTS_MAX = 3 };

/* level "full": `parameters`, `diffuse` and XMP; "minimal": the disclosure alone; "none": nothing. Returns the number of comments. */
int metadata_comments(struct arena *a, const struct metadata *m, const char *level, struct png_comment comments[METADATA_COMMENTS_MAX]);

/* The parts: A1111's infotext; the fields of one JSON object; the XMP packet with IPTC's DigitalSourceType. */
const char *metadata_infotext(struct arena *a, const struct metadata *m);
void metadata_fields(struct json_out *j, const struct metadata *m);
const char *metadata_xmp(void);

#endif
