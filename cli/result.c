#include "cli/result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/sys.h"

void stdio_guard(void) {
    static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && sys.open("/dev/null", wrong_way[fd]) != fd) _exit(FAIL_IO);
}

void result_write(const void *data, size_t n) {
    int error = write_all(STDOUT_FILENO, data, n);
    if (error) die_whole(FAIL_IO, "standard output: %s", strerror(error));
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
