#include "cli/options_file.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

/* How long a line's end is that a backslash before it takes away, with the backslash; 0: here is none. */
static size_t joint(const char *s) {
    return *s != '\\' ? 0 : s[1] == '\n' ? 2 : s[1] == '\r' && s[2] == '\n' ? 3 : 0;
}

static const char *behind_blanks(const char *s) {
    for (size_t n; (n = joint(s) + strspn(s + joint(s), " \t\r"));) s += n;
    return s;
}

/* The next word at *s, which moves behind it; NULL: none is left of the line, and *s is its end. */
static char *next_word(struct arena *a, const char **s) {
    struct buffer b = {.arena = a};
    const char *p = behind_blanks(*s);
    char quote = 0;
    if (!*p || *p == '#' || *p == '\n') return *s = p + strcspn(p, "\n"), NULL;
    buffer_add(&b, "", 0);
    for (; *p && *p != '\n' && (quote || !strchr(" \t\r", *p)); p++) {
        bool escape = *p == '\\' && quote != '\'' && (!quote || p[1] == '"' || p[1] == '\\');
        if (escape && !p[1]) die(FAIL_USAGE, "expected a character after \\, found the file's end");
        if (quote != '\'' && joint(p)) p += joint(p) - 1;
        else if (escape) buffer_add(&b, ++p, 1);
        else if (*p == quote) quote = 0;
        else if (!quote && (*p == '\'' || *p == '"')) quote = *p;
        else buffer_add(&b, p, 1);
    }
    if (quote) die(FAIL_USAGE, "expected %c, found the line's end", quote);
    *s = p;
    return b.data;
}

static void take_line(struct arena *a, const char **line, void (*take)(void *data, int argc, char **argv), void *data) {
    char *words[OPTIONS_LINE_WORDS_MAX + 2] = {"diffuse"}, *word;
    int n = 1;
    while ((word = next_word(a, line)) != NULL) {
        if (n > OPTIONS_LINE_WORDS_MAX) die(FAIL_USAGE, "expected at most %d words, found more", OPTIONS_LINE_WORDS_MAX);
        words[n++] = word;
    }
    if (n > 1) take(data, n, words);
}

/* Dies with the line's place before the message. */
static void take_placed(struct arena *a, const char *path, int number, const char **line, void (*take)(void *data, int argc, char **argv),
                        void *data) {
    struct job job;
    if (job_enter(&job)) {
        take_line(a, line, take, data);
        job_leave(&job);
        return;
    }
    die_hint(job.code, *job.hint ? job.hint : NULL, "%s: line %d: %s", path, number, job.message);
}

/* The system's way to say that there is no file, which is as an empty one. */
static bool is_null_device(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

void options_file_read(struct arena *a, const char *path, void (*take)(void *data, int argc, char **argv), void *data) {
    size_t n;
    if (is_null_device(path)) return;
    char *text = read_file(a, path, OPTIONS_FILE_MAX, &n);
    if (memchr(text, 0, n)) die(FAIL_DATA, "%s: expected text, found a NUL byte at offset %zu", path, strlen(text));
    bool marked = n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3); /* a BOM */
    const char *line = text + (marked ? 3 : 0), *end = line;
    for (int number = 1; *end;) {
        end = line;
        take_placed(a, path, number, &end, take, data);
        for (; line <= end; line++) number += *line == '\n';
    }
}
