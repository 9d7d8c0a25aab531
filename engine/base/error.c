#include "engine/base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/text.h"

int error_quiet, error_once;
const char *error_place;
static void (*put_terminal_right)(void);
static void (*report_failure)(int code, const char *message);

static struct job *innermost;

void error_set_terminal(void (*f)(void)) {
    put_terminal_right = f;
}

void error_set_reporter(void (*f)(int code, const char *message)) {
    report_failure = f;
}

void job_push(struct job *j) {
    j->outer = innermost;
    j->code = 0;
    j->message[0] = j->hint[0] = 0;
    innermost = j;
}

void job_leave(struct job *j) {
    innermost = j->outer;
}

/* One printable line, whatever was in the arguments. */
static void format_line(char line[ERROR_MAX], const char *fmt, va_list ap) {
    char raw[4 * ERROR_MAX];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    escape_text(line, ERROR_MAX, raw, n < 0 ? 0 : strlen(raw));
}

/* One that fails itself does not run again. */
static void leave_process(int code, const char *line) {
    void (*terminal)(void) = put_terminal_right;
    void (*reporter)(int, const char *) = report_failure;
    put_terminal_right = NULL;
    if (terminal) terminal();
    report_failure = NULL;
    if (reporter) reporter(code, line);
}

static _Noreturn void fail(int code, const char *hint, const char *fmt, va_list ap) {
    char line[ERROR_MAX], safe_hint[ERROR_MAX] = "";
    format_line(line, fmt, ap);
    if (hint) escape_text(safe_hint, sizeof safe_hint, hint, strlen(hint));
    if (innermost) {
        struct job *j = innermost;
        innermost = j->outer;
        j->code = code;
        memcpy(j->message, line, sizeof line);
        memcpy(j->hint, safe_hint, sizeof safe_hint);
        longjmp(j->env, 1);
    }
    leave_process(code, line);
    fprintf(stderr, "diffuse: %s\n", line);
    if (*safe_hint) fprintf(stderr, "hint: %s\n", safe_hint);
    exit(code);
}

void die(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(code, NULL, fmt, ap);
}

void die_whole(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    innermost = NULL;
    fail(code, NULL, fmt, ap);
}

void die_hint(int code, const char *hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(code, hint, fmt, ap);
}

/* As far as a table of hashes remembers. */
static bool was_said(const char *line) {
    enum { REMEMBERED = 1024 };
    static uint64_t said[REMEMBERED];
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *s = line; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001b3;
    bool again = said[h % REMEMBERED] == h;
    said[h % REMEMBERED] = h;
    return again;
}

void hint_once(const char *hint) {
    if (*hint && !was_said(hint)) fprintf(stderr, "hint: %s\n", hint);
}

void warn(const char *fmt, ...) {
    if (error_quiet) return;
    char line[ERROR_MAX];
    va_list ap;
    va_start(ap, fmt);
    format_line(line, fmt, ap);
    va_end(ap);
    if (error_once && was_said(line)) return;
    fprintf(stderr, "diffuse: warning: %s%s%s\n", error_place ? error_place : "", error_place ? ": " : "", line);
}
