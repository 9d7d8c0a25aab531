#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "engine/base/text.h"

bool terminal_is_smart(int fd) {
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") && isatty(fd);
}

bool terminal_has_color(int fd, enum when color) {
    const char *no_color = getenv("NO_COLOR");
    if (color != WHEN_AUTO) return color == WHEN_ALWAYS;
    return !(no_color && *no_color) && terminal_is_smart(fd);
}

int terminal_columns(int fd) {
    struct winsize size = {0};
    uint64_t columns = 0;
    const char *text = getenv("COLUMNS");
    if (ioctl(fd, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
    if (!columns && (!text || !parse_u64(text, &columns) || !columns)) columns = 80;
    return columns < 20 ? 20 : columns > 500 ? 500 : (int)columns;
}

bool terminal_in_background(int fd) {
    pid_t group = tcgetpgrp(fd);
    return group > 0 && group != getpgrp();
}
