/* The command itself: a prompt becomes pictures on disk. */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "cli/options.h"
#include "engine/pipelines/settings.h"

/* Opens, plans, loads, makes every image and publishes each as soon as it is done. Returns the exit code: 0, or FAIL_ITEMS if some of
 * several images failed. */
int generate(struct arena *a, const struct options *o);

#endif
