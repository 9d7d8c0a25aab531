/* Commands about pictures that are there: --info and --verify. */
#ifndef CLI_PICTURES_H
#define CLI_PICTURES_H

#include "cli/options.h"

/* Each prints a line or more for each of o->pictures; one of several that fails is reported and the others go on. They return the exit
 * code: 0, or FAIL_ITEMS where some failed or differ. */
int pictures_info(const struct options *o);
int pictures_verify(const struct options *o);

#endif
