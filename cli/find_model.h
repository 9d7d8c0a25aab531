/* Which model is meant. */
#ifndef CLI_FIND_MODEL_H
#define CLI_FIND_MODEL_H

#include "engine/base/arena.h"

struct recorded;

/* What -m says (given; NULL: nothing), else the model that the picture names where that can be found by its name (from; NULL: none), else
 * DIFFUSE_MODEL, else the one that ships; NULL where there is none. Warns where the picture names another than is found. */
const char *find_model(struct arena *a, const char *given, const struct recorded *from);

#endif
