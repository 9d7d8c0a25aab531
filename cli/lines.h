/* The jobs of --batch as text: a line each, of a file, a FIFO or standard input. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "engine/base/arena.h"

enum { LINE_BYTES_MAX = 1 << 20, LINES_NAME_MAX = 256 };

struct lines {
    int fd;           /* -1: a text in memory */
    const char *text; /* which; NULL: a file */
    size_t text_n;
    off_t start;               /* where it was opened; -1: it cannot seek */
    char name[LINES_NAME_MAX]; /* of the file, printable */
    char *data;                /* LINE_BYTES_MAX + 1 */
    size_t begin, end;         /* what was read and not yet handed out */
    bool over;
    bool drained;    /* lines_next gave up: SIGUSR1 came while it waited */
    uint64_t number; /* of the last line handed out, from 1, blank ones counted */
    enum { LINES_UNKNOWN, LINES_TEXT, LINES_JSON } format;
};

/* Dies FAIL_INPUT. "-": standard input. The buffer lies in the arena. */
void lines_open(struct arena *a, struct lines *l, const char *path);
/* The lines of a text, that stays as it is; name: for messages. */
void lines_of_text(struct arena *a, struct lines *l, const char *name, const char *text, size_t n);
/* The next that is not blank, without BOM and CR, NUL behind it, and its length; it stays until the next call. NULL behind the last. The
 * first one says what all of them are: '{' first, JSON objects; anything else, prompts. Dies FAIL_DATA where a line is too long. */
const char *lines_next(struct lines *l, size_t *n);
/* Can they be read twice? */
bool lines_seekable(const struct lines *l);
/* To where it was opened. */
void lines_rewind(struct lines *l);
/* "FILE: line N", of the last line handed out. */
const char *lines_place(struct arena *a, const struct lines *l);

#endif
