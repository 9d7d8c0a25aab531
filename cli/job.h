/* One line of a batch as the options of its pictures. */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include "cli/lines.h"
#include "cli/options.h"

/* The defaults, changed by the line: a prompt, or an object of settings and of the options that a line may have, with "id" and "output".
 * Dies FAIL_DATA or FAIL_USAGE; `place` (lines_place) may or may not stand in the message. */
const struct options *job_read(struct arena *a, const struct options *defaults, const struct lines *l, const char *place, const char *line,
                               size_t n);
/* What a job would find missing when its turn comes: the files it reads, the directory it writes into. Dies as it would. */
void job_check_files(struct arena *a, const struct options *o);

#endif
