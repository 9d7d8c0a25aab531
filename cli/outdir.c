#include "cli/outdir.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "engine/base/file.h"

bool outdir_prepare(const char *path, bool make, bool pretend) {
    static char there[PATH_MAX]; /* what was found last: a hundred thousand outputs lie in one */
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return true;
    size_t n = (size_t)(slash - path);
    if (n >= sizeof dir) return true; /* who opens it says so */
    memcpy(dir, path, n);
    dir[n] = 0;
    if (!strcmp(dir, there)) return true;
    if (stat(dir, &st) == 0) return strcpy(there, dir), true;
    if (!make) {
        if (errno != ENOENT) return true; /* publish_check says what is wrong */
        die_hint(FAIL_CREATE, "--mkdirs makes it", "%s: directory missing: %s", path, strerror(errno));
    }
    if (pretend) return false;
    for (size_t i = 1; i <= n; i++) {
        char c = dir[i];
        if (c && c != '/') continue;
        dir[i] = 0;
        if (mkdir(dir, 0777) != 0 && errno != EEXIST) die(FAIL_CREATE, "%s: %s", dir, strerror(errno));
        dir[i] = c;
    }
    return true;
}

/* "DEVICE:INODE" of the last directory on the way that is there, and the names below it. */
static const char *directory_key(struct arena *a, const char *path, size_t n) {
    char *there = arena_strdup(a, *path == '/' ? "/" : "."), *below = arena_strdup(a, "");
    char *names = arena_printf(a, "%.*s", (int)n, path);
    struct stat st;
    for (char *name; (name = strsep(&names, "/")) != NULL;) {
        bool up = !strcmp(name, "..");
        char *next = arena_printf(a, "%s/%s", there, name);
        if (!*name || !strcmp(name, ".")) continue;
        if (*below && up) *strrchr(below, '/') = 0;
        else if (!*below && (up || stat(next, &st) == 0)) there = next;
        else below = arena_printf(a, "%s/%s", below, name);
    }
    if (stat(there, &st) != 0) return path;
    return arena_printf(a, "%ju:%ju%s", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, below);
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *outdir_key(struct arena *a, const char *path) {
    static char last[PATH_MAX], key[64]; /* of one that is there: a hundred thousand outputs lie in it */
    const char *slash = strrchr(path, '/');
    size_t n = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof last) return path;
    bool known = *key && !strncmp(path, last, n) && !last[n];
    const char *directory = known ? key : directory_key(a, path, n);
    if (!known && !strchr(directory, '/')) {
        snprintf(key, sizeof key, "%s", directory);
        snprintf(last, sizeof last, "%.*s", (int)n, path);
    }
    return arena_printf(a, "%s/%s", directory, base_of(path));
}

bool outdir_same(const char *one, const char *other) {
    struct arena a = {0};
    bool same = !strcmp(base_of(one), base_of(other)) && !strcmp(outdir_key(&a, one), outdir_key(&a, other));
    arena_free(&a);
    return same;
}
