/* --help and --version. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "engine/base/arena.h"

/* One screen: at most 60 lines of 80 columns, from the option table. */
const char *help_text(struct arena *a);
const char *version_text(struct arena *a);
/* Prints the text on stdout and ends the program: 0, or 74 where it could not be written. */
_Noreturn void print_and_exit(const char *text);

#endif
