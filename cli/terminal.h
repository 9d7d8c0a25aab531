/* What a stream can do. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include "cli/options.h"

/* A terminal that understands "\r" and ESC [ K (TERM is set and not "dumb"). */
bool terminal_is_smart(int fd);
/* --color, else NO_COLOR, else whether fd is a smart terminal. */
bool terminal_has_color(int fd, enum when color);
/* Columns, 20..500 whatever the terminal or COLUMNS says; 80 where nobody knows. */
int terminal_columns(int fd);
/* Another process group has the terminal of fd: writing would disturb it. */
bool terminal_in_background(int fd);

#endif
