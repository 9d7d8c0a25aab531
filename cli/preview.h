/* --preview: a file with the picture as it is being drawn, which is there as long as the run goes on. */
#ifndef CLI_PREVIEW_H
#define CLI_PREVIEW_H

#include "cli/options.h"
#include "engine/pipelines/picture.h"

/* Dies FAIL_CREATE where the file is there already, unless it may be replaced, or cannot be made. foreseen: what will be read is known, and
 * is none of it; else no file is replaced. */
void preview_begin(const struct options *o, bool foreseen);
/* After `row` of the picture: at most ten times a second, and after the last. Of pictures drawn at once the first. */
void preview_step(const struct options *o, struct picture *p, int row);
/* Takes the file away, from a signal's handler too. */
void preview_end(void);

#endif
