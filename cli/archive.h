/* --archive: a batch's pictures as one stream on standard output, for a million of them without a million files. Ustar as POSIX.1-1988 has
 * it; each picture is followed by a JSON file of the same name with its settings, which is how WebDataset tells a sample's files. */
#ifndef CLI_ARCHIVE_H
#define CLI_ARCHIVE_H

#include "cli/options.h"

/* Dies FAIL_USAGE where the stream does not go with the run's other options. */
void archive_check(const struct options *o);
/* A name of ustar's that WebDataset cuts where the extension begins; dies FAIL_USAGE. */
void archive_check_name(const char *name);
/* Both entries in one write; json NULL: the picture alone. Dies FAIL_IO. */
void archive_add(struct arena *a, const char *name, const void *file, size_t size, const char *json);
/* The end of the archive, where it is complete. */
void archive_end(void);

#endif
