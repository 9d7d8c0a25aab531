#include "engine/base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/text.h"

int error_quiet;
enum { ON_EXIT_MAX = 4 };
static void (*on_exit_functions[ON_EXIT_MAX])(int code, const char *message);
static int n_on_exit;

static struct job *innermost;

void error_on_exit(void (*f)(int code, const char *message)) {
    assert(n_on_exit < ON_EXIT_MAX);
    on_exit_functions[n_on_exit++] = f;
}

void job_push(struct job *j) {
    j->outer = innermost;
    j->code = 0;
    j->message[0] = 0;
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

static _Noreturn void fail(int code, const char *hint, const char *fmt, va_list ap) {
    char line[ERROR_MAX];
    format_line(line, fmt, ap);
    if (innermost) {
        struct job *j = innermost;
        innermost = j->outer;
        j->code = code;
        memcpy(j->message, line, sizeof line);
        longjmp(j->env, 1);
    }
    while (n_on_exit > 0) on_exit_functions[--n_on_exit](code, line); /* one that fails itself does not run again */
    fprintf(stderr, "diffuse: %s\n", line);
    if (hint) {
        char safe[ERROR_MAX];
        escape_text(safe, sizeof safe, hint, strlen(hint));
        fprintf(stderr, "hint: %s\n", safe);
    }
    exit(code);
}

void die(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(code, NULL, fmt, ap);
}

void die_hint(int code, const char *hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(code, hint, fmt, ap);
}

void warn(const char *fmt, ...) {
    if (error_quiet) return;
    char line[ERROR_MAX];
    va_list ap;
    va_start(ap, fmt);
    format_line(line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "diffuse: warning: %s\n", line);
}
