/* The table of options: those that are settings (settings_table.h), then those that say where results go, what is said and which command
 * is meant. */
#ifndef CLI_OPTION_TABLE_H
#define CLI_OPTION_TABLE_H

#include "cli/field.h"
#include "cli/options.h"

/* A row without help is left out of --help, completion and the man page. */
int option_count(void);
const struct field *option_row(int i);
/* What the row's value is stored in: o or its settings. */
void *option_base(struct options *o, int i);
struct options options_defaults(struct arena *a);
extern const char *const field_group_titles[N_GROUPS];

#endif
