/* safetensors files: u64 LE header length, a JSON header, the data. The header is checked completely before anything else happens:
 * no overlap, no hole, nothing beyond the end, sizes that multiply without overflow. Files are read by pread, never mapped. */
#ifndef ENGINE_FILES_SAFETENSORS_H
#define ENGINE_FILES_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "engine/base/arena.h"
#include "engine/base/dtype.h"
#include "engine/files/tensor.h"

struct st_tensor {
    struct tensor tensor;
    uint64_t begin; /* offset in the file */
};

struct st_file {
    const char *path;
    int fd;
    uint64_t size;
    dev_t dev;
    ino_t ino;
    nlink_t links;
    struct timespec mtime, ctime;
    int n_tensors;
    struct st_tensor *tensors;     /* in order of offset */
    const struct tensor **by_name; /* in order of name */
};

/* What the file is, of what people take for one of weights ("a PNG picture"); NULL: nothing is known of it, or it cannot be read. */
const char *st_kind(const char *path);

/* Dies FAIL_INPUT (missing, not a regular file), FAIL_DATA (malformed), FAIL_UNSUPPORTED (a dtype of the format that no model here has).
 * The descriptor is closed by st_close, or with the arena. */
struct st_file *st_open(struct arena *a, const char *path);
void st_close(struct st_file *f);
const struct tensor *st_find(const struct st_file *f, const char *name);
/* The string at key of its __metadata__, NULL where there is none. */
const char *st_metadata(struct arena *a, const struct st_file *f, const char *key);
/* struct tensor's read, of the file's bytes. */
int st_read(const struct tensor *t, void *dst, uint64_t offset, uint64_t n);
/* Asks the system to begin reading it into its cache. */
void st_read_ahead(const struct st_file *f);
/* Dies FAIL_IO if size or times differ from those at st_open; a file whose name went to another is still itself. */
void st_check_unchanged(const struct st_file *f);

/* Writing, for --dump and tests: adds tensors, then st_write publishes the file whole, in place of one of that name. */
struct st_writer;
struct st_writer *st_writer_new(struct arena *a);
/* data must stay valid until st_write; dtype F32, I64, I32 or U8 */
void st_writer_add(struct st_writer *w, const char *name, enum dtype dtype, int rank, const int64_t *shape, const void *data);
void st_write(struct st_writer *w, const char *path);

#endif
