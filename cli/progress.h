/* The progress line on stderr: only on a terminal that can erase it, from 300 ms on, at most ten times a second, gone at the end. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include "cli/options.h"

/* WHEN_ALWAYS where stderr is no such terminal: plain lines, one every 10 s and one at the end of each image. Also clears
 * the line before an error message, which thus never lands in the bar. */
void progress_begin(enum when progress, enum when color, bool quiet);
/* Image k of count (from 0) begins, one of n drawn at once; they take n_rows model calls. */
void progress_image(int k, int n, int count, int n_rows);
/* `done` of its rows are finished. */
void progress_row(int done);
/* Erases the line. Anything printed on the terminal while a run goes on comes after this. */
void progress_clear(void);
/* The same, async-signal-safe. */
void progress_abort(void);

#endif
