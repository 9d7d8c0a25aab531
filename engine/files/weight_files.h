/* Which files hold a component's tensors. */
#ifndef ENGINE_FILES_WEIGHT_FILES_H
#define ENGINE_FILES_WEIGHT_FILES_H

#include "engine/files/checkpoint.h"

/* Opens the headers of c's weight files: a sharded set by its index, else the single file, the variant's first. `model`: as given with -m,
 * for the hint of what to download; NULL where it is no repository. Dies FAIL_INPUT listing what is missing, FAIL_UNSUPPORTED where
 * there are pickles only, FAIL_DATA where index and shards disagree. */
void weight_files_open(struct component *c, const char *variant, const char *model);
/* The name of a file in dir that is a pickle checkpoint (.bin, .ckpt, .pt), or NULL. */
const char *pickle_in(struct arena *a, const char *dir);

#endif
