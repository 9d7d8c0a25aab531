/* One way to fail.
 *
 * The world is wrong (a file, an option, the disk): die() with the exit code the manual promises for that class of fault and
 * one line "FILE: THING: what is wrong, expected X, found Y". We are wrong: assert(). A function returns a status only where its
 * caller has an alternative.
 *
 * die() unwinds to the innermost job boundary where one is set (one image of many, one input of a fuzzer), and ends the process
 * where none is. Whatever a job allocates comes from arenas its owner frees, so unwinding leaks nothing.
 * Never call die() in an item of a pool's loop. */
#ifndef ENGINE_BASE_ERROR_H
#define ENGINE_BASE_ERROR_H

#include <setjmp.h>

enum exit_code {
    FAIL_ITEMS = 1,        /* some images of several failed */
    FAIL_USAGE = 2,        /* bad option, value or combination */
    FAIL_DATA = 65,        /* malformed model, tokenizer, image or batch line */
    FAIL_INPUT = 66,       /* an input is missing or unreadable */
    FAIL_DEVICE = 69,      /* no usable device */
    FAIL_INTERNAL = 70,    /* internal error, or an image that is not finite */
    FAIL_MEMORY = 71,      /* out of host or device memory, or of descriptors */
    FAIL_CREATE = 73,      /* the output exists or cannot be created */
    FAIL_IO = 74,          /* a read or write failed under way */
    EXIT_DRAINED = 75,     /* told to stop (SIGUSR1) with work left: the same command goes on */
    FAIL_UNSUPPORTED = 78, /* well-formed, but a model or option we do not implement, or inconsistent parts */
};

enum { ERROR_MAX = 1024 };

struct job {
    jmp_buf env;
    struct job *outer;
    int code;                /* after a failure: the exit code … */
    char message[ERROR_MAX]; /* … the escaped message, without "diffuse: " … */
    char hint[ERROR_MAX];    /* … and the escaped hint, without "hint: "; "" where there is none */
};

/* if (job_enter(&j)) { …body…; job_leave(&j); } else { …failed: j.code, j.message… }
 * Locals changed in the body and read after a failure must be volatile (setjmp). */
#define job_enter(j) (job_push(j), setjmp((j)->env) == 0)
void job_push(struct job *j);
void job_leave(struct job *j);

/* Ends the job or the process with `code`. The message is escaped as a whole (escape_text), cut at ERROR_MAX, and printed as
 * "diffuse: MESSAGE"; die_hint adds a second line "hint: HINT". */
_Noreturn void die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void die_hint(int code, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Ends the process, in a job too: what the jobs' results go to is lost, and none after this one would do better. */
_Noreturn void die_whole(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "diffuse: warning: MESSAGE" on stderr unless error_quiet was set, "diffuse: warning: PLACE: MESSAGE" where error_place is: the line of a
 * batch, escaped, whose job is under way. What was said lately is not said again where error_once is, of whatever place: many jobs ask for
 * the same. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern int error_quiet, error_once;
extern const char *error_place;

/* "hint: HINT" on stderr, unless it is "" or was said lately. */
void hint_once(const char *hint);

/* What die() calls before it ends the process, first the terminal's: it puts the terminal back in order; the reporter says what failed
 * where programs read it. One of each, NULL for none, set as often as one likes. */
void error_set_terminal(void (*f)(void));
void error_set_reporter(void (*f)(int code, const char *message));

#endif
