/* Curves drawn in plain ASCII, which every terminal and locale shows. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include "engine/base/buffer.h"
#include "schedulers/scheduler.h"

/* The noise level of each row, on a logarithmic scale, in lines of at most `columns` columns (20 at least). Nothing
 * where there are fewer than two levels to tell apart. */
void plot_sigmas(struct buffer *b, const struct schedule *schedule, int columns);

#endif
