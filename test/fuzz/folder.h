/* What targets that read files share: an input of several parts with NULs between, and a folder in memory, where a disk would set the
 * pace. It goes when the program ends. */
#ifndef TEST_FUZZ_FOLDER_H
#define TEST_FUZZ_FOLDER_H

#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The rest of an input. */
struct parts {
    const char *at, *end;
};

static inline struct parts parts_of(const uint8_t *data, size_t n) {
    return (struct parts){(const char *)data, n ? (const char *)data + n : (const char *)data};
}

/* The next part, its length in *n; an empty one behind the last. */
static inline const char *part_next(struct parts *p, size_t *n) {
    const char *part = p->at, *stop = p->at < p->end ? memchr(p->at, 0, (size_t)(p->end - p->at)) : NULL;
    if (!stop) stop = p->end;
    *n = (size_t)(stop - part);
    p->at = stop < p->end ? stop + 1 : p->end;
    return part;
}

/* The next part as a text of malloc's. */
static inline char *part_text(struct parts *p) {
    size_t n;
    const char *part = part_next(p, &n);
    char *text = malloc(n + 1);
    if (!text) abort();
    if (n) memcpy(text, part, n);
    text[n] = 0;
    return text;
}

static char folder[] = "/dev/shm/diffuse-fuzz-XXXXXX";

/* FOLDER/NAME until the next call. */
static inline const char *folder_path(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int folder_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void folder_go(void) {
    nftw(folder, folder_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folder at the first call, with these in it, those that hold others before them; ended by NULL. */
static inline void folder_make(const char *const *folders) {
    static int made;
    if (made++) return;
    if (!mkdtemp(folder)) abort();
    atexit(folder_go);
    for (; *folders; folders++)
        if (mkdir(folder_path(*folders), 0700)) abort();
}

/* A file of n bytes, or none where n is 0. */
static inline void folder_put(const char *name, const void *data, size_t n) {
    FILE *f = n ? fopen(folder_path(name), "wb") : NULL;
    if (!f) unlink(folder_path(name));
    else fwrite(data, 1, n, f), fclose(f);
}

#endif
