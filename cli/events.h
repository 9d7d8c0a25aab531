/* --json and --progress-fd: what happens, as JSON lines on stdout or another descriptor, one write(2) each. Readers ignore fields they do
 * not know; "v" changes only with an incompatible change. Nothing is written until events_enable or events_to. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include "cli/metadata.h"

void events_enable(bool on); /* on stdout */
/* Also to this descriptor, from here on; false where it is 0, 1 or not open for writing. */
bool events_to(int fd);
/* An error and the end: for error_set_reporter. */
void events_failure(int code, const char *message);
/* The end, from a signal's handler. */
void events_abort(int signal_number);
/* The events from here on are of this job of a batch; NULL: of the run. Not copied. */
void events_job(const char *id);
/* Everything is checked, work begins: the settings in force, of the first image. */
void event_start(const struct metadata *m, int count);
void event_load(uint64_t bytes, double ms);
/* Image n (from 1) has done `row` of n_rows model calls; ms: of this one. */
void event_step(int n, int row, int n_rows, double ms);
/* The file is complete; verdict: the safety checker's. */
void event_image(int n, const char *file, uint64_t seed, enum verdict verdict, double ms);
/* It existed, and --on-exists skip left it. seed: the one it says it has, or NULL. */
void event_skipped(int n, const char *file, const uint64_t *seed);
/* --sheet's file is complete. */
void event_sheet(const char *file);
void event_error(int code, const char *message);
/* Tells also how long the process took. */
void event_end(int code);

#endif
