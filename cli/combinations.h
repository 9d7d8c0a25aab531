/* Options that exclude, need or replace one another. */
#ifndef CLI_COMBINATIONS_H
#define CLI_COMBINATIONS_H

#include "cli/field.h"
#include "cli/options.h"

/* Dies FAIL_USAGE where two options, or one without another, make no sense; completes o->output. prompt: as it was given, or NULL. */
void options_check_combinations(struct arena *a, struct options *o, const char *prompt);
/* The same for what the settings of one picture say: also FAIL_INPUT, for a directory that is not there. */
void settings_check(const struct settings *s);
/* An option was taken, under that name: what that means for --from, --info and --verify. */
void options_note(struct arena *a, struct options *o, const struct field *f, const char *name);

#endif
