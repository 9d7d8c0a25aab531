/* --man: the man page, diffuse(1), from the tables of settings and options. */
#ifndef CLI_MAN_H
#define CLI_MAN_H

#include "engine/base/arena.h"

/* roff, with the man macros. */
const char *man_page(struct arena *a);

#endif
