#include "cli/result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/base/error.h"

void stdio_guard(void) {
    static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", wrong_way[fd]) != fd) _exit(FAIL_IO);
}

void result_write(const void *data, size_t n) {
    for (const char *p = data; n;) {
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) die(FAIL_IO, "standard output: %s", strerror(errno));
        p += k;
        n -= (size_t)k;
    }
}

void result_path(struct arena *a, const char *path, bool null_separated) {
    size_t n = strlen(path);
    char *line = arena_printf(a, "%s\n", path);
    if (null_separated) line[n] = 0;
    result_write(line, n + 1);
}

void result_close(void) {
    if (close(STDOUT_FILENO) < 0 && errno != EINTR) die(FAIL_IO, "standard output: %s", strerror(errno));
}
