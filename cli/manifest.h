/* --manifest: one JSON line for each picture that was made and each that failed, appended and on the disk before the next is begun. A
 * machine that goes down between a picture and its line leaves one without: with --resume it gets one. */
#ifndef CLI_MANIFEST_H
#define CLI_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct manifest;

/* What became of one. */
struct manifest_line {
    const char *id; /* of the job; NULL: no batch */
    uint64_t line;  /* of the batch; 0 */
    uint64_t seed;
    const char *file, *request; /* NULL: not known */
    const void *data;           /* what the file holds, n bytes */
    size_t n;
    double ms; /* NAN: not known */
    int code;  /* 0, or why it failed … */
    const char *message;
};

/* Made where it is not there; it is never shortened, and a line that was torn off is ended, which is said. Goes with the arena. Dies
 * FAIL_CREATE, also where the file holds something else, and FAIL_USAGE where it is `jobs`, the file of the batch (NULL: none). resume:
 * what it has is read for manifest_restore. */
struct manifest *manifest_open(struct arena *a, const char *path, const char *jobs, bool resume);
/* One write(2), then synced. m NULL: does nothing. Dies FAIL_IO. */
void manifest_add(struct manifest *m, const struct manifest_line *l);
/* The same of a picture that was there, unless it has a line already, of this file and request: what it holds is read, and how long it took
 * nobody knows any more. Dies FAIL_INPUT, too. */
void manifest_restore(struct manifest *m, const struct manifest_line *l);
/* How many lines that made. m NULL: 0. */
uint64_t manifest_restored(const struct manifest *m);

#endif
