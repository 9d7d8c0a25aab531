/* A file under its final name is complete: data go to a file without a name (O_TMPFILE), are synced, and only then get
 * the name, in one step that fails if the name is taken. A process killed at any instant leaves nothing behind. */
#include "engine/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/sys.h"

/* The temporary under way, for publish_abort. */
static struct {
    volatile sig_atomic_t active;
    int dir;
    char name[64];
} temporary;

struct target {
    const char *path; /* for messages */
    char dir[PATH_MAX], name[NAME_MAX + 1];
    int dir_fd, fd; /* -1 where not open */
};

/* With EXISTS_OVERWRITE a FIFO or a device is written to, never replaced; true if path is one. Dies for what cannot be
 * replaced. */
static bool is_stream(const char *path) {
    char link[64] = "";
    struct stat st;
    if (readlink(path, link, sizeof link - 1) > 0 && strncmp(link, "/proc/self/fd/", 14) == 0)
        die_hint(FAIL_CREATE, "-o - writes to standard output", "%s: not a file", path);
    bool magic = strncmp(link, "pipe:[", 6) == 0 || strncmp(link, "socket:[", 8) == 0; /* /dev/fd/63 */
    if ((magic ? stat(path, &st) : lstat(path, &st)) != 0) return false;
    if (S_ISDIR(st.st_mode)) die(FAIL_CREATE, "%s: is a directory", path);
    if (S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode)) die(FAIL_CREATE, "%s: not a regular file", path);
    return S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
}

static _Noreturn void target_fail(struct target *t, int error) {
    publish_abort();
    if (t->fd >= 0) close(t->fd);
    if (t->dir_fd >= 0) close(t->dir_fd);
    if (error == EEXIST && is_stream(t->path)) die_hint(FAIL_CREATE, "-f writes into it", "%s: no file, a device or a pipe", t->path);
    if (error == EEXIST) die_hint(FAIL_CREATE, "-f replaces it, --on-exists number picks another name", "%s: the file exists", t->path);
    die(error_code(error, FAIL_CREATE), "%s: %s", t->path, strerror(error));
}

static void target_split(struct target *t, const char *path) {
    *t = (struct target){.path = path, .dir_fd = -1, .fd = -1};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t dir_length = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (!*name) die(FAIL_CREATE, "%s: not a file name", *path ? path : "output");
    if (strlen(name) >= sizeof t->name || dir_length >= sizeof t->dir) target_fail(t, ENAMETOOLONG);
    strcpy(t->name, name);
    memcpy(t->dir, dir_length ? path : ".", dir_length ? dir_length : 1);
}

void publish_abort(void) {
    if (!temporary.active) return;
    unlinkat(temporary.dir, temporary.name, 0);
    temporary.active = 0;
}

static void temporary_name(struct target *t) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) random = (uintptr_t)t;
    temporary.dir = t->dir_fd;
    snprintf(temporary.name, sizeof temporary.name, ".diffuse-%ld-%016jx.tmp", (long)getpid(), (uintmax_t)random);
}

/* The temporary beside the target, locked as long as its writer lives: sweep() takes those that nobody holds. */
static void target_open_named(struct target *t) {
    struct stat st;
    do {
        if (t->fd >= 0) close(t->fd);
        temporary_name(t);
        temporary.active = 1;
        t->fd = (int)TEMP_FAILURE_RETRY(sys.openat(t->dir_fd, temporary.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
        if (t->fd < 0) target_fail(t, errno);
    } while (flock(t->fd, LOCK_EX | LOCK_NB) == 0 && fstat(t->fd, &st) == 0 && st.st_nlink == 0); /* swept before it was locked */
}

static void target_open_directory(struct target *t) {
    t->dir_fd = (int)TEMP_FAILURE_RETRY(sys.open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (t->dir_fd < 0 && errno == EACCES)
        t->dir_fd = sys.open(t->dir, O_PATH | O_DIRECTORY | O_CLOEXEC); /* one may write there, not look */
    if (t->dir_fd < 0) target_fail(t, errno);
}

/* A descriptor to write to: without a name where the file system can, else the temporary. */
static void target_open(struct target *t) {
    target_open_directory(t);
    t->fd = (int)TEMP_FAILURE_RETRY(sys.openat(t->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
    if (t->fd >= 0) {
        flock(t->fd, LOCK_EX | LOCK_NB);
        return;
    }
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) target_fail(t, errno);
    target_open_named(t);
}

/* 0 or an errno. */
static int target_write(struct target *t, const void *data, size_t n) {
    int error = write_all(t->fd, data, n);
    if (!error && TEMP_FAILURE_RETRY(sys.fsync(t->fd)) != 0 && errno != EINVAL) error = errno;
    return error;
}

static int link_as(int from_dir, const char *from, const struct target *t, const char *name, int flags) {
    return TEMP_FAILURE_RETRY(sys.linkat(from_dir, from, t->dir_fd, name, flags)) == 0 ? 0 : errno;
}

/* Gives the nameless file the name: 0 or an errno. */
static int link_nameless(const struct target *t, const char *name) {
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", t->fd);
    return link_as(AT_FDCWD, proc, t, name, AT_SYMLINK_FOLLOW);
}

/* Gives the written file the name if it is free: 0, EEXIST, or another errno. */
static int name_new(const struct target *t, const char *name) {
    if (!temporary.active) return link_nameless(t, name);
    if (TEMP_FAILURE_RETRY(sys.renameat2(t->dir_fd, temporary.name, t->dir_fd, name, RENAME_NOREPLACE)) != 0) {
        if (errno != EINVAL && errno != ENOSYS) return errno;
        int error = link_as(t->dir_fd, temporary.name, t, name, 0);
        if (error) return error;
        unlinkat(t->dir_fd, temporary.name, 0);
    }
    temporary.active = 0;
    return 0;
}

/* The same, taking the name from whatever has it: only rename can, so the nameless file needs a name for an instant if the one
 * wanted is taken. */
static int name_over(struct target *t) {
    if (!temporary.active) {
        int error = link_nameless(t, t->name);
        if (error != EEXIST) return error;
        temporary_name(t);
        temporary.active = 1;
        error = link_nameless(t, temporary.name);
        if (error) return temporary.active = 0, error;
    }
    if (TEMP_FAILURE_RETRY(sys.renameat2(t->dir_fd, temporary.name, t->dir_fd, t->name, 0)) != 0) return errno;
    temporary.active = 0;
    return 0;
}

/* name-1.png, name-2.png … */
static int name_numbered(struct target *t) {
    char stem[NAME_MAX + 1], extension[NAME_MAX + 1];
    strcpy(stem, t->name);
    char *dot = strrchr(stem, '.');
    strcpy(extension, dot && dot != stem ? dot : "");
    if (*extension) *dot = 0;
    for (int i = 1; i < 1000000; i++) {
        if (snprintf(t->name, sizeof t->name, "%s-%d%s", stem, i, extension) > NAME_MAX) return ENAMETOOLONG;
        int error = name_new(t, t->name);
        if (error != EEXIST) return error;
    }
    return EEXIST;
}

static int target_name(struct target *t, enum on_exists on_exists) {
    if (on_exists == EXISTS_OVERWRITE) return name_over(t);
    int error = name_new(t, t->name);
    return error == EEXIST && on_exists == EXISTS_NUMBER ? name_numbered(t) : error;
}

/* Written and named. Where the nameless file gets no name (no /proc, a policy, a file system that lies), a named one is written. */
static int target_publish(struct target *t, const void *data, size_t n, enum on_exists on_exists) {
    int error = target_write(t, data, n);
    if (error) return error;
    bool nameless = !temporary.active;
    error = target_name(t, on_exists);
    if (!error || error == EEXIST || error_code(error, 0) || !nameless || temporary.active) return error;
    target_open_named(t);
    error = target_write(t, data, n);
    return error ? error : target_name(t, on_exists);
}

/* Temporaries whose writer was killed: nobody holds their lock. */
static void sweep(const struct target *t) {
    int fd = sys.openat(t->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (strncmp(e->d_name, ".diffuse-", 9) != 0 || n < 13 || strcmp(e->d_name + n - 4, ".tmp") != 0) continue;
        int left = sys.openat(t->dir_fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        if (left >= 0 && fstat(left, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && flock(left, LOCK_EX | LOCK_NB) == 0)
            unlinkat(t->dir_fd, e->d_name, 0);
        if (left >= 0) close(left);
    }
    if (d) closedir(d);
}

static void write_stream(const char *path, const void *data, size_t n) {
    int fd = (int)TEMP_FAILURE_RETRY(sys.open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (fd < 0) die(error_code(errno, FAIL_CREATE), "%s: %s", path, strerror(errno));
    int error = write_all(fd, data, n);
    if (close(fd) != 0 && !error) error = errno;
    if (error) die(FAIL_IO, "%s: %s", path, strerror(error));
}

const char *publish_file(struct arena *a, const char *path, const void *data, size_t n, enum on_exists on_exists) {
    if (on_exists == EXISTS_OVERWRITE && is_stream(path)) return write_stream(path, data, n), arena_strdup(a, path);
    struct target t;
    target_split(&t, path);
    target_open(&t);
    int error = target_publish(&t, data, n, on_exists);
    if (error == EEXIST && on_exists == EXISTS_SKIP) path = NULL;
    else if (error) target_fail(&t, error);
    publish_abort();     /* the temporary of a skipped file */
    sys.fsync(t.dir_fd); /* the name too survives a power cut; some file systems cannot, and the data are safe without */
    if (close(t.fd) != 0 && errno == EIO) t.fd = -1, target_fail(&t, EIO);
    close(t.dir_fd);
    if (!path) return NULL;
    return on_exists == EXISTS_NUMBER && strchr(path, '/') ? arena_printf(a, "%s/%s", strcmp(t.dir, "/") ? t.dir : "", t.name)
                                                           : arena_strdup(a, on_exists == EXISTS_NUMBER ? t.name : path);
}

/* What cannot be asked is tried: quotas, policies, file systems. */
static void try_directory(struct target *t, enum on_exists on_exists) {
    target_open(t);
    if (on_exists == EXISTS_OVERWRITE || temporary.active) sweep(t);
    publish_abort();
    close(t->fd);
    close(t->dir_fd);
}

bool publish_check(const char *path, enum on_exists on_exists) {
    struct target t;
    struct stat st;
    if (on_exists == EXISTS_OVERWRITE && is_stream(path)) return true;
    target_split(&t, path);
    if (lstat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) target_fail(&t, EISDIR);
        if (on_exists == EXISTS_SKIP) return false;
        if (on_exists == EXISTS_ERROR) target_fail(&t, EEXIST);
    } else if (errno != ENOENT) {
        target_fail(&t, errno);
    }
    if (stat(t.dir, &st) != 0) die(FAIL_CREATE, "%s: directory %s: %s", path, t.dir, strerror(errno));
    if (!S_ISDIR(st.st_mode)) die(FAIL_CREATE, "%s: %s is not a directory", path, t.dir);
    if (faccessat(AT_FDCWD, t.dir, W_OK | X_OK, AT_EACCESS) != 0) die(FAIL_CREATE, "%s: directory %s: %s", path, t.dir, strerror(errno));
    static dev_t tried_on;
    static ino_t tried; /* the directory last tried: a hundred thousand outputs lie in one */
    if (st.st_dev != tried_on || st.st_ino != tried) try_directory(&t, on_exists);
    tried_on = st.st_dev, tried = st.st_ino;
    return true;
}
