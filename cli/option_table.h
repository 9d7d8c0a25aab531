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
/* Changes *o by the keys of a job: settings, and the options that a line may have; one that is the whole run's is refused by name. "id"
 * and "output" are the caller's. As settings_from_json else. */
void options_from_json(struct arena *a, struct options *o, const struct json *object);
extern const char *const field_group_titles[N_GROUPS];

#endif
