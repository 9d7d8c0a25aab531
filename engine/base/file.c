#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/sys.h"

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* A path too long to open is too long to print. */
static const char *printable(const char *path) {
    size_t n = strlen(path);
    return n > 512 ? path + n - 255 : path;
}

int open_regular(const char *path, uint64_t *size) {
    int fd = (int)TEMP_FAILURE_RETRY(sys.open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat st;
    if (fd < 0) {
        int error = errno;
        bool dangling = error == ENOENT && lstat(path, &st) == 0;
        if (error == ENXIO) die(FAIL_INPUT, "%s: not a regular file", path);
        die(error_code(error, FAIL_INPUT), "%s: %s", printable(path), dangling ? "a link whose target is missing" : strerror(error));
    }
    if (fstat(fd, &st) != 0) {
        int error = errno;
        close(fd);
        die(FAIL_INPUT, "%s: %s", path, strerror(error));
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        die(FAIL_INPUT, "%s: not a regular file but %s", path, kind_of(st.st_mode));
    }
    if (size) *size = (uint64_t)st.st_size;
    return fd;
}

int read_at(int fd, void *dst, uint64_t n, uint64_t offset) {
    enum { CHUNK = 1 << 30 }; /* Linux reads at most 2 GiB - 4096 at once */
    char *p = dst;
    while (n) {
        ssize_t got = sys.pread(fd, p, n < CHUNK ? n : CHUNK, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return ESTALE; /* the file shrank since its size was taken */
        p += got, n -= (uint64_t)got, offset += (uint64_t)got;
    }
    return 0;
}

char *read_file(struct arena *a, const char *path, size_t max, size_t *length) {
    uint64_t size;
    int fd = open_regular(path, &size);
    if (size > max) {
        close(fd);
        die(FAIL_DATA, "%s: %ju bytes, expected at most %zu", path, (uintmax_t)size, max);
    }
    char *text = arena_alloc(a, (size_t)size + 1);
    int error = read_at(fd, text, size, 0);
    close(fd);
    if (error) die(FAIL_IO, "%s: %s", path, error == ESTALE ? "changed while it was read" : strerror(error));
    if (length) *length = (size_t)size;
    return text;
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool name_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}
