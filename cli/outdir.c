#include "cli/outdir.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/error.h"

bool outdir_prepare(const char *path, bool make, bool pretend) {
    static char there[PATH_MAX]; /* what was found last: a hundred thousand outputs lie in one */
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return true;
    size_t n = (size_t)(slash - path); /* template_expand keeps paths below PATH_MAX */
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
