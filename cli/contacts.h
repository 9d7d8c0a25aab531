/* --sheet: every picture of a run on one, with labels. */
#ifndef CLI_CONTACTS_H
#define CLI_CONTACTS_H

#include "cli/options.h"

struct contacts;

/* NULL without --sheet. Dies as publish_check where the sheet could not be written. Of a sweep, rows and columns are its axes; else the
 * pictures stand in their order, near a square. */
struct contacts *contacts_new(struct arena *a, const struct options *o);
/* Makes its directory, where that is asked for: once nothing else is refused. */
void contacts_begin(const struct contacts *c);
/* The complete file of W x H pixels; number: of the sweep's job, from 0. label: copied. c NULL: nothing. */
void contacts_add(struct contacts *c, int number, const char *path, const char *label, int W, int H);
/* Draws it, publishes it and tells of it, once all pictures are there. A picture that is no longer there, or was not made, leaves its place
 * empty. Dies as publish_file does. */
void contacts_publish(struct contacts *c);

#endif
