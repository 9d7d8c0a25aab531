/* What was asked for, as one number: in a picture's own metadata it tells whether the same is asked for again. */
#ifndef CLI_REQUEST_HASH_H
#define CLI_REQUEST_HASH_H

#include "cli/options.h"
#include "engine/pipelines/request.h"

/* 64 hex digits of the settings that change how the picture of that seed looks, where they are not the defaults, the contents of the files
 * it begins from, the type computed in, the file's format and quality, and the model (model_identity). Not of what a picture must not
 * depend on: its name, its number among others, threads, device. Of the settings with their defaults filled in, so that what a picture
 * records of itself asks for the same. dtype: "fp32" … NULL where the picture to begin from was standard input. */
const char *request_hash(struct arena *a, const struct options *o, const struct request *r, uint64_t seed, const char *dtype);

#endif
