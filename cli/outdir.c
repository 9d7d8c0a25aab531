#include "cli/outdir.h"

#include <errno.h>
#include <limits.h>
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

/* Of the directory that the path's last component is in. */
static bool stat_directory(const char *path, const char *name, struct stat *st) {
    char dir[PATH_MAX] = ".";
    size_t n = (size_t)(name - path);
    if (n >= sizeof dir) return false;
    if (n) memcpy(dir, path, n), dir[n] = 0;
    return stat(dir, st) == 0;
}

bool outdir_same(const char *one, const char *other) {
    const char *a = strrchr(one, '/'), *b = strrchr(other, '/');
    struct stat st, other_st;
    if (!strcmp(one, other)) return true;
    a = a ? a + 1 : one;
    b = b ? b + 1 : other;
    if (strcmp(a, b) || !stat_directory(one, a, &st) || !stat_directory(other, b, &other_st)) return false;
    return same_file(&st, &other_st);
}
