/* Which files hold a component's tensors. */
#ifndef ENGINE_FILES_WEIGHT_FILES_H
#define ENGINE_FILES_WEIGHT_FILES_H

#include "engine/files/checkpoint.h"

/* Opens the headers of c's weight files: a sharded set by its index, else the single file, the variant's first. Dies FAIL_INPUT listing
 * what is missing, FAIL_UNSUPPORTED where there are pickles only, FAIL_DATA where index and shards disagree. */
void weight_files_open(struct component *c, const char *variant, const struct checkpoint *checkpoint);
/* The command that fetches what is missing, as a hint. */
const char *download_hint(struct arena *a, const struct checkpoint *c);
/* Whether a download was begun and not finished: huggingface_hub leaves its parts behind. */
bool download_interrupted(struct arena *a, const struct checkpoint *c);
/* The name of a file in dir that is a pickle checkpoint (.bin, .ckpt, .pt), or NULL. */
const char *pickle_in(struct arena *a, const char *dir);

#endif
