#include "engine/files/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"
#include "engine/files/safetensors_parse.h"

static void close_file(void *file) {
    st_close(file);
}

void st_close(struct st_file *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

void st_read_ahead(const struct st_file *f) {
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_WILLNEED);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What people download by mistake, by its first bytes; NULL where nothing is known. */
static const char *kind_of(const char *head, size_t n) {
    static const struct {
        const char *magic;
        size_t length;
        const char *kind;
    } kinds[] = {
        {"version https://git-lfs", 23, "a git-LFS pointer"},
        {"GGUF", 4, "a GGUF file"},
        {"PK\3\4", 4, "a zip archive or pickle checkpoint"},
        {"\x1f\x8b", 2, "a gzip file"},
        {"\x89PNG", 4, "a PNG picture"},
        {"\xff\xd8\xff", 3, "a JPEG picture"},
        {"\x80\2", 2, "a pickle"},
        {"\x80\3", 2, "a pickle"},
        {"\x80\4", 2, "a pickle"},
        {"\x80\5", 2, "a pickle"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].length && memcmp(head, kinds[i].magic, kinds[i].length) == 0) return kinds[i].kind;
    while (n && is_blank(*head)) head++, n--;
    if ((n >= 5 && strncasecmp(head, "<html", 5) == 0) || (n >= 9 && strncasecmp(head, "<!doctype", 9) == 0)) return "an HTML page";
    return NULL;
}

const char *st_kind(const char *path) {
    char head[64];
    struct stat st;
    int fd = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? sys.open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? 0 : sys.read(fd, head, sizeof head);
    if (fd >= 0) close(fd);
    return n > 0 ? kind_of(head, (size_t)n) : NULL;
}

/* How to come from there to what can be read; NULL: nobody knows. */
static const char *conversion(const char *kind) {
    if (strstr(kind, "LFS")) return "git lfs pull, or hf download, fetches the file itself";
    if (strstr(kind, "GGUF")) return "it holds quantized weights: take the safetensors file it was made from";
    if (strstr(kind, "pickle"))
        return "convert it where you trust it: in diffusers, StableDiffusionPipeline.from_single_file(FILE).save_pretrained(DIR)";
    return NULL;
}

static _Noreturn void fail_read(const char *path, int error) {
    die(FAIL_IO, "%s: %s", path, error == ESTALE ? "changed while it was read" : strerror(error));
}

/* The header's length, if the first bytes can be those of a safetensors file: L {…, blanks allowed before the brace. */
static uint64_t header_length(const struct st_file *f) {
    char head[64] = "";
    size_t n = f->size < sizeof head - 1 ? (size_t)f->size : sizeof head - 1, at = 8;
    int error = read_at(f->fd, head, n, 0);
    if (error) fail_read(f->path, error);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | (unsigned char)head[i];
    while (at < n && is_blank(head[at])) at++;
    bool plausible = n >= 8 && length <= f->size - 8 && length <= ST_HEADER_MAX && (at == n || head[at] == '{');
    const char *kind = plausible ? NULL : kind_of(head, n);
    if (!f->size) die(FAIL_DATA, "%s: the file is empty (download cut short?)", f->path);
    if (kind) die_hint(FAIL_DATA, conversion(kind), "%s: not a safetensors file but %s", f->path, kind);
    if (n < 8) die(FAIL_DATA, "%s: %zu bytes, shorter than the 8 bytes of a safetensors file's header length", f->path, n);
    if (length > f->size - 8)
        die(FAIL_DATA, "%s: the header says %ju bytes, the file has %ju (download cut short?)", f->path, (uintmax_t)length,
            (uintmax_t)f->size - 8);
    if (length > ST_HEADER_MAX) die(FAIL_DATA, "%s: header of %ju bytes, expected at most %d", f->path, (uintmax_t)length, ST_HEADER_MAX);
    if (length == 0) die(FAIL_DATA, "%s: empty header", f->path);
    return length;
}

struct st_file *st_open(struct arena *a, const char *path) {
    struct st_file *f = arena_alloc(a, sizeof *f);
    struct stat st;
    f->path = arena_strdup(a, path);
    f->fd = -1;
    arena_on_free(a, close_file, f);
    f->fd = open_regular(path, &f->size);
    if (fstat(f->fd, &st) != 0) fail_read(path, errno);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->links = st.st_nlink;
    f->mtime = st.st_mtim;
    f->ctime = st.st_ctim;
    uint64_t length = header_length(f);
    char *header = arena_alloc(a, (size_t)length);
    int error = read_at(f->fd, header, length, 8);
    if (error) fail_read(path, error);
    st_parse_header(a, f, header, (size_t)length);
    return f;
}

static int compare_name(const void *name, const void *tensor) {
    return strcmp(name, (*(const struct tensor *const *)tensor)->name);
}

const struct tensor *st_find(const struct st_file *f, const char *name) {
    const struct tensor **found = f->n_tensors ? bsearch(name, f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, compare_name) : NULL;
    return found ? *found : NULL;
}

int st_read(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return read_at(t->file->fd, dst, n, ((const struct st_tensor *)t)->begin + offset);
}

/* mtime can be set back, ctime cannot; but it counts links too. */
void st_check_unchanged(const struct st_file *f) {
    struct stat st;
    if (fstat(f->fd, &st) != 0) fail_read(f->path, errno);
    if ((uint64_t)st.st_size != f->size || !same_time(st.st_mtim, f->mtime) ||
        (st.st_nlink == f->links && !same_time(st.st_ctim, f->ctime)))
        fail_read(f->path, ESTALE);
}
