/* The directories that pictures go into. */
#ifndef CLI_OUTDIR_H
#define CLI_OUTDIR_H

#include <stdbool.h>
#include "engine/base/arena.h"

/* The directory of `path` is there, made with those above it where `make` says so; dies FAIL_CREATE where it is not and cannot be. With
 * `pretend` nothing is made: false where it would be. */
bool outdir_prepare(const char *path, bool make, bool pretend);
/* A text that two paths share where they are one name in one directory, also in one that is still to be made. */
const char *outdir_key(struct arena *a, const char *path);
/* Are both one name in one directory, however the way there is written? */
bool outdir_same(const char *one, const char *other);

#endif
