/* Files for tests: a temporary directory that goes with the test, writing and reading whole files, and what die() said.
 */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/error.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of them */

/* The expression must die with the code, its message holding the fragment. */
#define assert_dies(expected, fragment, ...)                                                                                    \
    do {                                                                                                                        \
        struct job dies_job;                                                                                                    \
        if (job_enter(&dies_job)) {                                                                                             \
            (void)(__VA_ARGS__);                                                                                                \
            job_leave(&dies_job);                                                                                               \
            fail_msg("%s: did not die", #__VA_ARGS__);                                                                          \
        }                                                                                                                       \
        if (dies_job.code != (expected) || !strstr(dies_job.message, fragment))                                                 \
            fail_msg("%s: expected %d '%s', found %d '%s'", #__VA_ARGS__, expected, fragment, dies_job.code, dies_job.message); \
    } while (0)

static void must(bool ok, const char *what) {
    if (!ok) fail_msg("%s: %s", what, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Replaces whatever has the name: the checkpoint's files are links to the fixture, never to be written through. */
static FILE *replace_file(const char *path) {
    remove_tree(path);
    FILE *f = fopen(path, "wb");
    must(f != NULL, path);
    return f;
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = replace_file(path);
    must(fwrite(data, 1, n, f) == n && fclose(f) == 0, path);
}

static char *slurp(const char *path, size_t *n) {
    struct stat st;
    FILE *f = fopen(path, "rb");
    must(f && fstat(fileno(f), &st) == 0, path);
    char *text = calloc(1, (size_t)st.st_size + 1);
    must(text && fread(text, 1, (size_t)st.st_size, f) == (size_t)st.st_size, path);
    fclose(f);
    *n = (size_t)st.st_size;
    return text;
}

/* A new directory; the caller removes it. */
static const char *temp_dir(void) {
    static char dir[PATH_MAX];
    const char *place = getenv("TMPDIR");
    char template[PATH_MAX];
    snprintf(template, sizeof template, "%s/diffuse-test-XXXXXX", place ? place : "/tmp");
    must(mkdtemp(template) && realpath(template, dir), template);
    return dir;
}

/* DIR/FMT; four calls before it is overwritten. */
__attribute__((format(printf, 2, 3))) static const char *path_in(const char *dir, const char *fmt, ...) {
    static char paths[4][2 * PATH_MAX];
    static int turn;
    char *path = paths[turn++ % 4];
    int n = snprintf(path, PATH_MAX, "%s/", dir);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(path + n, PATH_MAX, fmt, ap);
    va_end(ap);
    return path;
}

#endif
