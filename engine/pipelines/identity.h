/* Which model it is, told without reading a weight. */
#ifndef ENGINE_PIPELINES_IDENTITY_H
#define ENGINE_PIPELINES_IDENTITY_H

#include "engine/base/arena.h"
#include "engine/pipelines/settings.h"

/* 64 hex digits of what the model's parts and its refiner's consist of, wherever they lie: the texts of their configs, the name and size of
 * each other file, and in the hub's cache the blob it is a link to, which is named by its hash. Weights changed in place, their size kept,
 * are not seen. Dies as checkpoint_list does. */
const char *model_identity(struct arena *a, const struct settings *settings);

#endif
