#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/signals.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"
#include "engine/base/text.h"

void lines_open(struct arena *a, struct lines *l, const char *path) {
    bool standard = !strcmp(path, "-");
    *l = (struct lines){.data = arena_alloc(a, LINE_BYTES_MAX + 1)};
    escape_text(l->name, sizeof l->name, standard ? "standard input" : path, strlen(standard ? "standard input" : path));
    /* a FIFO's writer is waited for where signals are */
    do l->fd = standard ? STDIN_FILENO : sys.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (l->fd < 0 && errno == EINTR);
    if (l->fd < 0 || (!standard && fcntl(l->fd, F_SETFL, O_RDONLY) < 0))
        die(error_code(errno, FAIL_INPUT), "%s: %s", l->name, strerror(errno));
    l->start = lseek(l->fd, 0, SEEK_CUR);
}

void lines_of_text(struct arena *a, struct lines *l, const char *name, const char *text, size_t n) {
    *l = (struct lines){.fd = -1, .data = arena_alloc(a, n + 1), .text = text, .text_n = n, .start = -1};
    escape_text(l->name, sizeof l->name, name, strlen(name));
    lines_rewind(l);
}

/* False: asked to stop meanwhile. */
static bool fill(struct lines *l) {
    memmove(l->data, l->data + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    if (l->end == LINE_BYTES_MAX)
        die(FAIL_DATA, "%s: line %llu: expected at most %d bytes, found more", l->name, (unsigned long long)l->number + 1, LINE_BYTES_MAX);
    if (!signals_wait(l->fd)) return false;
    ssize_t n = sys.read(l->fd, l->data + l->end, LINE_BYTES_MAX - l->end);
    if (n < 0 && errno != EINTR) die(error_code(errno, FAIL_INPUT), "%s: %s", l->name, strerror(errno));
    if (n > 0) l->end += (size_t)n;
    l->over = n == 0;
    return true;
}

/* NUL in place of the newline. */
static char *next_line(struct lines *l, size_t *n) {
    for (;;) {
        char *line = l->data + l->begin, *newline = memchr(line, '\n', l->end - l->begin);
        if (!newline && !l->over) {
            l->drained = !fill(l);
            if (l->drained) return NULL;
            continue;
        }
        if (!newline && l->end == l->begin) return NULL;
        *n = newline ? (size_t)(newline - line) : l->end - l->begin;
        l->begin += *n + (newline != NULL);
        l->number++;
        line[*n] = 0;
        return line;
    }
}

const char *lines_next(struct lines *l, size_t *n) {
    for (char *line; (line = next_line(l, n)) != NULL;) {
        if (l->number == 1 && *n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) line += 3, *n -= 3;
        if (*n && line[*n - 1] == '\r') line[--*n] = 0;
        size_t blank = strspn(line, " \t");
        if (blank == *n) continue;
        if (!l->format) l->format = line[blank] == '{' ? LINES_JSON : LINES_TEXT;
        return line;
    }
    return NULL;
}

bool lines_seekable(const struct lines *l) {
    struct stat st;
    return l->text || (l->start >= 0 && fstat(l->fd, &st) == 0 && S_ISREG(st.st_mode));
}

void lines_rewind(struct lines *l) {
    if (l->text) memcpy(l->data, l->text, l->text_n);
    else if (lseek(l->fd, l->start, SEEK_SET) < 0) die(FAIL_INPUT, "%s: %s", l->name, strerror(errno));
    l->begin = l->number = 0;
    l->end = l->text_n;
    l->over = l->text != NULL;
    l->format = LINES_UNKNOWN;
}

const char *lines_place(struct arena *a, const struct lines *l) {
    return arena_printf(a, "%s: line %llu", l->name, (unsigned long long)l->number);
}
