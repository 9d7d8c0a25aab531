/* Files: opened once and checked, published whole or not at all. */
#ifndef ENGINE_BASE_FILE_H
#define ENGINE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "engine/base/arena.h"

/* Opens a regular file for reading (never blocks on a FIFO or device). Dies FAIL_INPUT naming path and reason (FAIL_MEMORY
 * without descriptors, FAIL_IO where the disk fails). *size receives its size. */
int open_regular(const char *path, uint64_t *size);
/* n bytes at offset, whatever the number of reads it takes: 0, or an errno (ESTALE where the file ends too soon). Never dies. */
int read_at(int fd, void *dst, uint64_t n, uint64_t offset);
/* The whole file, NUL-terminated, at most max bytes (else FAIL_DATA). */
char *read_file(struct arena *a, const char *path, size_t max, size_t *length);
bool file_exists(const char *path);
/* Are both of one file, whatever it is called? */
static inline bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}
/* True for a link that leads nowhere too: opening it then says so. */
bool name_exists(const char *path);

enum on_exists { EXISTS_ERROR, EXISTS_SKIP, EXISTS_NUMBER /* name-1.png, name-2.png … */, EXISTS_OVERWRITE };

/* Writes n bytes to path so that a file of that name is complete whenever it exists: O_TMPFILE + linkat, or a temporary beside it and
 * renameat2 where that is not supported or the nameless file gets no name; removed on every path, signals included. Symlinks are replaced,
 * never followed. Dies FAIL_CREATE (exists, no such directory, not writable) or FAIL_IO (disk full, …). Returns the path written (another
 * one than asked with EXISTS_NUMBER), in the arena, or NULL where EXISTS_SKIP found a file. */
const char *publish_file(struct arena *a, const char *path, const void *data, size_t n, enum on_exists on_exists);
/* Before any work: dies as publish_file would if path cannot be created now, which it tries; takes away temporaries whose writer was
 * killed. False if it exists and on_exists is EXISTS_SKIP. */
bool publish_check(const char *path, enum on_exists on_exists);
/* Unlinks a temporary under way; async-signal-safe. */
void publish_abort(void);

#endif
