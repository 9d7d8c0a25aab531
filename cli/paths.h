/* Where pictures go: -o's template, filled in. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include "cli/options.h"
#include "engine/pipelines/request.h"

/* The path of image k after `step` of its rows, -1 for the finished one. */
const char *path_of_image(struct arena *a, const struct request *r, const struct options *o, int k, int step);
/* The finished image's before the model is known; NULL where the template asks for what only the model tells. */
const char *path_before_model(struct arena *a, const struct options *o, int k);
/* The same with what is not known left empty: equal ones become equal paths. */
const char *path_outline(struct arena *a, const struct options *o, int k);

#endif
