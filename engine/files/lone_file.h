/* The one file of weights that a path stands for. */
#ifndef ENGINE_FILES_LONE_FILE_H
#define ENGINE_FILES_LONE_FILE_H

#include "engine/base/arena.h"

/* path: a file, a directory that holds one (of the name `usual`, or its only .safetensors), or ORG/NAME in the local Hugging Face cache.
 * option: what names one, for the hint: "--lora FILE". Dies FAIL_INPUT; FAIL_UNSUPPORTED for a pickle (.pt, .bin), or a directory of such
 * alone. */
const char *lone_file(struct arena *a, const char *option, const char *path, const char *usual);

#endif
