/* DIFFUSE_OPTIONS_FILE: options in a file, as a shell's words: blanks part them, '…' and "…" keep them, \ takes the next character as it
 * is and goes on in the next line, # begins a comment; a BOM is passed over. /dev/null is an empty one. */
#ifndef CLI_OPTIONS_FILE_H
#define CLI_OPTIONS_FILE_H

#include "engine/base/arena.h"

enum { OPTIONS_FILE_MAX = 64 << 10 /* bytes */, OPTIONS_LINE_WORDS_MAX = 256 };

/* Calls take for each line that has words, with those it goes on in: argv[0] is the program's name, argv[argc] NULL. Dies FAIL_INPUT where
 * the file cannot be read, FAIL_DATA where it is longer or holds a NUL, FAIL_USAGE where a line is wrong; where take dies, its message gets
 * "FILE: line N: " in front. */
void options_file_read(struct arena *a, const char *path, void (*take)(void *data, int argc, char **argv), void *data);

#endif
