/* Other programs' names for the tensors nets ask for: one table for each way of naming. */
#ifndef ENGINE_FILES_DIALECT_H
#define ENGINE_FILES_DIALECT_H

#include "engine/files/tensor.h"

/* What of their tensor is ours. */
enum take { TAKE_ALL, TAKE_TRANSPOSED, TAKE_THIRD_1, TAKE_THIRD_2, TAKE_THIRD_3 /* of its rows: a fused q, k, v */ };

/* Where `ours` stands in a name, at its beginning or behind a dot, they say `theirs`; what is before and behind stays. '#' in ours stands
 * for a number, which theirs calls a, b, … in order and puts in braces, in a sum of multiples: {a}, {1+3a+b}, {3-a}. */
struct rename {
    const char *ours, *theirs;
    enum take take;
};

struct dialect {
    const char *prefix;           /* of all their names, "" for none */
    const struct rename *renames; /* each is applied once, in order, to what those before made of the name; ended by one without ours */
};

/* Diffusers before 0.15. */
extern const struct dialect dialect_old_attention;
/* The original layout, of UNets whose way up begins with attention (XL) and without (SD, the refiner), of VAEs, and of open_clip's text
 * encoder; and no other names but for the prefix. */
extern const struct rename unet_renames[], unet_plain_top_renames[], vae_renames[], openclip_renames[], same_renames[];

/* Their name for our tensor `name`, NULL where it would be the same; *take says what of it is ours. */
const char *dialect_name(struct arena *a, const struct dialect *d, const char *name, enum take *take);
/* That part of t, whose rows are a multiple of three, or its axes two, where it is asked for; NULL otherwise. */
const struct tensor *dialect_take(struct arena *a, const struct tensor *t, enum take take);

#endif
