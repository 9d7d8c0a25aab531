/* Options that exclude, need or replace one another. */
#ifndef CLI_COMBINATIONS_H
#define CLI_COMBINATIONS_H

#include "cli/field.h"
#include "cli/options.h"

/* Dies FAIL_USAGE where two options, or one without another, make no sense; completes o->output. prompt: as it was given, or NULL. */
void options_check_combinations(struct arena *a, struct options *o, const char *prompt);
/* The same for what one picture is asked to be, its texts and seeds too, named so: a line of a batch, or the command where it draws one.
 * Also FAIL_INPUT, for a directory that is not there. */
void options_check_picture(const struct options *o);
/* A text for a text encoder: at most TEXT_MAX bytes of UTF-8, or NULL. */
void options_check_text(const char *name, const char *text);
/* What was given beside a command that looks inside and makes no difference to it is said. */
void options_note_beside(const struct options *o);
/* Row i was taken, under that name, with that value: what that means for --from, --info and --verify, and where it was given before. */
void options_note(struct arena *a, struct options *o, int i, const char *name, const char *value);

#endif
