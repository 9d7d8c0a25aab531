/* The files that a run is about to make, and those that are there. */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include "cli/generate.h"

/* Everything that could keep a finished picture from being written, found before any work. False if all are there and stay. */
bool check_outputs(struct arena *a, const struct run *run);
/* Dies FAIL_USAGE where a picture would have the name of another of the run's files … */
void output_check_name(const struct options *o, const char *path);
/* … and where --preview would take the place of one that is read. */
void output_check_inputs(const struct options *o);
/* --dump's directory without slashes at its end; NULL: none. */
const char *output_dump(struct arena *a, const struct options *o);
/* Is the file of image k there and not to be drawn? Dies where it is in the way, or cannot be made. */
bool output_stays(struct arena *a, const struct run *run, int k, const char *path);
/* --resume found it, of another request. */
_Noreturn void output_die_other(const char *path);
/* The archive's own entries: dies where a line before made one of that name. */
void output_check_entry(const struct run *run, const char *name);
/* With -f: dies where the file is one that a line before made; and notes that this one did. */
void output_check_own(struct arena *a, const struct run *run, const char *path);
void output_note_own(struct arena *a, const struct run *run, const char *path);

#endif
