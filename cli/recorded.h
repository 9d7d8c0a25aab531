/* The settings that a picture carries, of this program or another: what can be asked for again, and what cannot. */
#ifndef CLI_RECORDED_H
#define CLI_RECORDED_H

#include "cli/field.h"
#include "cli/json_flat.h"
#include "engine/images/comments.h"
#include "engine/pipelines/settings.h"

enum { RECORDED_MAX = 64, RECORDED_OTHERS_MAX = 256 };

struct recorded {
    struct arena *arena;
    const char *path;    /* the picture; NULL where it was read already */
    const char *file;    /* the same, printable, for messages */
    const char *program; /* "diffuse 0.1.0", "AUTOMATIC1111" */
    bool own;            /* of this program: complete, and with facts */
    int n_settings;
    struct recorded_setting {
        const struct field *field; /* of settings_fields */
        const char *value;         /* as it would be given; it is one that the field takes. NULL: a flag */
    } settings[RECORDED_MAX];
    int n_others;
    struct recorded_other {             /* what has no counterpart here */
        const char *name, *value, *why; /* why NULL: there is nothing like it */
    } others[RECORDED_OTHERS_MAX];
    int n_facts;
    struct recorded_fact { /* own: what it was drawn with, by the keys of metadata: "dtype", "components.unet" */
        const char *name, *value;
    } facts[RECORDED_MAX];
};

/* The settings in the file ("-": standard input), whose path is kept. Dies FAIL_INPUT where there is no such file, FAIL_DATA where it is no
 * picture, has none, or has malformed ones. */
struct recorded *recorded_read(struct arena *a, const char *path);
/* The same of its n bytes; name for messages. */
struct recorded *recorded_decode(struct arena *a, const void *data, size_t n, const char *name);
/* The same of comments that were read already. */
struct recorded *recorded_parse(struct arena *a, struct image_comments comments, const char *file);
/* Every setting that pictures record becomes the picture's, or the default where it has none. */
void recorded_apply(const struct recorded *r, struct settings *s);
/* NULL: not recorded. */
const char *recorded_fact(const struct recorded *r, const char *name);
/* The value recorded for the setting of that name, or NULL. */
const char *recorded_value(const struct recorded *r, const char *field);
/* "a.png: Hires upscale: 2: not taken: …" on stderr, a line for each that does not map. */
void recorded_warn(const struct recorded *r);
/* --info: as text, or one JSON line. */
void recorded_print(const struct recorded *r, bool json);

/* ---- for the dialects -------------------------------------------------------------------------------------------- */

/* The setting `field` of settings_fields, which they call `name`. A value it does not take goes to the others, with the reason. */
void recorded_take(struct recorded *r, const char *field, const char *name, const char *value);
void recorded_leave(struct recorded *r, const char *name, const char *value, const char *why);
/* recorded_foreign.c. True where the comments have settings of that kind, which are then in *r. */
bool recorded_invokeai(struct recorded *r, struct image_comments comments);
bool recorded_mflux(struct recorded *r, struct image_comments comments);
bool recorded_infotext(struct recorded *r, struct image_comments comments); /* AUTOMATIC1111, its forks, sd.cpp */
bool recorded_comfyui(struct recorded *r, struct image_comments comments);  /* one sampler, plain nodes */

#endif
