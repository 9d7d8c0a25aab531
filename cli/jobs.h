/* --batch: many requests, a line each, drawn in order with the model resident.
 *
 * The first byte that is not blank decides: '{', and every line is a JSON object of settings by their long names, with "id" and "output"
 * beside them; anything else, and every line is a prompt. UTF-8; a BOM, CRLF and blank lines are passed over. Lines are counted from 1,
 * all of them; a line's number in eight digits is its id where it gives none. */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "cli/options.h"

/* Draws the jobs of o->batch, o's settings being the defaults. A regular file is checked whole before anything else: a line that is wrong
 * dies, naming it. From a pipe a job is drawn as soon as its line is there, and such a line is a job that failed: reported, the others go
 * on, unless the device failed. Returns the exit code: 0, FAIL_ITEMS if some failed, FAIL_DEVICE if the device did. */
int jobs(struct arena *a, const struct options *o);

#endif
