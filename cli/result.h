/* Standard output carries results only, and a result that could not be written is an error: every write and the close are checked. */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/base/arena.h"

/* First thing in main: opens /dev/null on descriptors 0, 1 and 2 where they are closed, the wrong way round, so that no file we open
 * becomes one of them and using them is an error. */
void stdio_guard(void);
/* One write(2) where the system takes it whole. Ends the process, FAIL_IO. */
void result_write(const void *data, size_t n);
/* The path of a finished image and a newline, or NUL, in one write. */
void result_path(struct arena *a, const char *path, bool null_separated);
/* Closes stdout; dies FAIL_IO where that reports a lost write. */
void result_close(void);

#endif
