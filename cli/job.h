/* One line of a batch as the options of its pictures. */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include "cli/lines.h"
#include "cli/options.h"
#include "engine/pipelines/model.h"

/* The defaults, changed by the line: a prompt, or an object of settings and of the options that a line may have, with "id" and "output".
 * Dies FAIL_DATA or FAIL_USAGE; `place` (lines_place) may or may not stand in the message. */
const struct options *job_read(struct arena *a, const struct options *defaults, const struct lines *l, const char *place, const char *line,
                               size_t n);
/* What is wrong with a job and only the model tells, or the files it reads, or the directory it writes into: dies as its drawing would.
 * pixels: else what may be wrong with a picture to begin from waits until then, and what only the size of one tells.
 * Returns what will be drawn, NULL where that waits. */
const struct request *job_check(struct arena *a, const struct options *o, struct model *m, bool pixels);

#endif
