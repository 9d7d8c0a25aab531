/* Every entry of sys.h's table is made to fail at each of its uses while a small picture is made by the whole program: the documented
 * exit code, one line on stderr, in the output directory what was there or the complete picture, no crash, no hang.
 *
 * What happens before the output is opened is tried by one run that forks at each use: the child goes on from there with the failure,
 * the parent without. The calls that share an open file with the parent are tried by runs from the beginning. */
#define main diffuse_main
#include "main.c"
#undef main

#include "test/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "engine/base/error.h"

#ifdef __SANITIZE_ADDRESS__
/* Some thousands of processes end here, most of them by die(), which frees nothing: their leaks are not looked for. */
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}
#endif

/* name, what it returns when it fails, result, parameters, arguments */
#define CALLS(X)                                                                                                                     \
    X(malloc, NULL, void *, (size_t n), (n))                                                                                         \
    X(calloc, NULL, void *, (size_t n, size_t size), (n, size))                                                                      \
    X(realloc, NULL, void *, (void *p, size_t n), (p, n))                                                                            \
    X(aligned_alloc, NULL, void *, (size_t align, size_t n), (align, n))                                                             \
    X(mmap, MAP_FAILED, void *, (void *at, size_t n, int protection, int flags, int fd, off_t offset),                               \
      (at, n, protection, flags, fd, offset))                                                                                        \
    X(open, -1, int, (const char *path, int flags, ...), (path, flags, 0666))                                                        \
    X(openat, -1, int, (int dir, const char *path, int flags, ...), (dir, path, flags, 0666))                                        \
    X(fopen, NULL, FILE *, (const char *path, const char *mode), (path, mode))                                                       \
    X(opendir, NULL, DIR *, (const char *path), (path))                                                                              \
    X(pread, -1, ssize_t, (int fd, void *dst, size_t n, off_t offset), (fd, dst, n, offset))                                         \
    X(read, -1, ssize_t, (int fd, void *dst, size_t n), (fd, dst, n))                                                                \
    X(write, -1, ssize_t, (int fd, const void *src, size_t n), (fd, src, n))                                                         \
    X(fsync, -1, int, (int fd), (fd))                                                                                                \
    X(linkat, -1, int, (int from_dir, const char *from, int to_dir, const char *to, int flags), (from_dir, from, to_dir, to, flags)) \
    X(renameat2, -1, int, (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),                              \
      (from_dir, from, to_dir, to, flags))                                                                                           \
    X(pthread_create, errno, int, (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument),          \
      (thread, attr, start, argument))

#define ID(name, bad, result, parameters, arguments) ID_##name,
enum { CALLS(ID) N_CALLS };
#define NAME(name, bad, result, parameters, arguments) #name,
static const char *const call_names[] = {CALLS(NAME)};

enum { ANYWHERE = 1 /* by a run that forks at each use */, FROM_START = 2, MAY_GO_ON = 4 /* 0 is right too */, FIRST = 8 /* use alone */ };
static const struct fault {
    int call, error, code, how;
} faults[] = {
    {ID_malloc, ENOMEM, FAIL_MEMORY, ANYWHERE},
    {ID_calloc, ENOMEM, FAIL_MEMORY, ANYWHERE | MAY_GO_ON}, /* without a second thread */
    {ID_realloc, ENOMEM, FAIL_MEMORY, ANYWHERE},
    {ID_aligned_alloc, ENOMEM, FAIL_MEMORY, ANYWHERE | MAY_GO_ON},
    {ID_mmap, ENOMEM, FAIL_MEMORY, ANYWHERE},
    {ID_open, EMFILE, FAIL_MEMORY, ANYWHERE},
    {ID_open, ENFILE, FAIL_MEMORY, ANYWHERE},
    {ID_open, EIO, FAIL_IO, ANYWHERE},
    {ID_open, EINTR, 0, ANYWHERE},
    {ID_openat, EMFILE, FAIL_MEMORY, FROM_START | MAY_GO_ON}, /* when it looks for what the dead have left */
    {ID_openat, EIO, FAIL_IO, FROM_START | MAY_GO_ON},
    {ID_openat, EACCES, FAIL_CREATE, FROM_START | MAY_GO_ON},
    {ID_openat, EOPNOTSUPP, 0, FROM_START},
    {ID_openat, EINTR, 0, FROM_START},
    {ID_fopen, EMFILE, 0, ANYWHERE}, /* what the kernel says of the machine */
    {ID_pread, EIO, FAIL_IO, ANYWHERE},
    {ID_read, EIO, FAIL_IO, FROM_START},
    {ID_read, EINTR, 0, FROM_START},
    {ID_write, ENOSPC, FAIL_IO, FROM_START},
    {ID_write, EIO, FAIL_IO, FROM_START},
    {ID_write, EAGAIN, 0, FROM_START},
    {ID_write, EINTR, 0, FROM_START},
    {ID_fsync, EIO, FAIL_IO, FROM_START | FIRST},     /* of the picture … */
    {ID_fsync, EIO, FAIL_IO, FROM_START | MAY_GO_ON}, /* … and of the directory */
    {ID_fsync, EINTR, 0, FROM_START},
    {ID_linkat, EIO, FAIL_IO, FROM_START},
    {ID_linkat, ENOSPC, FAIL_IO, FROM_START},
    {ID_linkat, ENOENT, 0, FROM_START}, /* no /proc */
    {ID_linkat, EPERM, 0, FROM_START},
    {ID_linkat, EINTR, 0, FROM_START},
    {ID_renameat2, EIO, FAIL_IO, FROM_START},
    {ID_renameat2, EACCES, FAIL_CREATE, FROM_START},
    {ID_renameat2, EINTR, 0, FROM_START},
    {ID_pthread_create, EAGAIN, 0, FROM_START}, /* fewer threads */
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

enum { ARGUMENTS_MAX = 7 };
static const struct scene {
    const char *name, *arguments[ARGUMENTS_MAX];
    bool taken /* box/a.png exists */, forks /* one thread, so that it can */, hashes /* the weights', which a picture can do without */;
} scenes[] = {
    {"plain", {"x", "--threads", "1", "--metadata", "none"}, .forks = true},
    {"-f", {"x", "--threads", "1", "-f", "--metadata", "none"}, .taken = true},
    {"part by part", {"x", "--threads", "1", "--metadata", "none", "--offload", "stage"}, .forks = true},
    {"prompt from stdin, two threads", {"-", "--threads", "2"}, .hashes = true},
};

static struct sys real;
static const struct scene *scene;
static const struct fault *fault; /* the one to happen in this process, … */
static int failing_use;           /* … at this use; -1: at every other one */
static int n_uses[N_CALLS];
static bool forking;                                                  /* at each use */
static int *n_tried, *n_wrong, *uses_seen /* [N_CALLS] */, report_fd; /* the pointers' are shared with the children */
static char work[] = "/tmp/diffuse-faults-XXXXXX", picture[1 << 20];
static size_t picture_size;

static size_t slurp(const char *name, char *text, size_t size) {
    FILE *f = fopen(name, "rb");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    return f ? n : SIZE_MAX;
}

static const char mine[] = "mine";

static void box_prepare(void) {
    if (!scene->taken) return (void)unlink("box/a.png");
    FILE *f = fopen("box/a.png", "wb");
    fputs(mine, f);
    fclose(f);
}

/* What is wrong with what a run left in box, or NULL. */
static const char *box_wrong(bool drawn) {
    static char data[sizeof picture];
    DIR *d = opendir("box");
    const char *wrong = NULL;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, "a.png")) {
            wrong = "something was left behind";
            unlinkat(dirfd(d), e->d_name, 0);
        }
    closedir(d);
    size_t n = slurp("box/a.png", data, sizeof data);
    if (n == picture_size && !memcmp(data, picture, n)) return wrong;
    bool whole = n != SIZE_MAX && n > 12 && !memcmp(data + n - 8, "IEND", 4);
    if (drawn && scene->hashes && whole) return wrong;
    if (drawn) return "no picture, or another one";
    if (n != SIZE_MAX && (!scene->taken || strcmp(data, mine))) return "an incomplete picture";
    return n == SIZE_MAX && scene->taken ? "what was there is gone" : wrong;
}

static bool one_message(const char *text) {
    if (strncmp(text, "diffuse: ", 9) != 0) return false;
    const char *end = strchr(text, '\n');
    if (!end) return false;
    return !end[1] || (!strncmp(end + 1, "hint: ", 6) && strchr(end + 1, '\n') == text + strlen(text) - 1);
}

static void judge(int status) {
    static char err[4096], out[256];
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    slurp("err", err, sizeof err);
    slurp("out", out, sizeof out);
    const char *wrong = box_wrong(code == 0);
    if (code != fault->code && (code || !(fault->how & MAY_GO_ON || scene->hashes))) wrong = "exit code";
    else if (code ? !one_message(err) : *err) wrong = "stderr";
    else if (strcmp(out, "box/a.png\n") && (!code || *out)) wrong = "stdout";
    ++*n_tried;
    if (wrong) {
        ++*n_wrong;
        dprintf(report_fd, "%s: %s, use %d: %s: %s; exit code %d, expected %d; said: %s%s\n", scene->name, call_names[fault->call],
                failing_use, strerror(fault->error), wrong, code, fault->code, err, out);
    }
    assert_int_equal(truncate("err", 0), 0); /* what the parent says is looked at in the end */
    box_prepare();
}

/* In a child: where what it says goes. */
static void redirect(void) {
    int in = open("prompt", O_RDONLY), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600),
        err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(in, STDIN_FILENO), dup2(out, STDOUT_FILENO), dup2(err, STDERR_FILENO);
    close(in), close(out), close(err);
    alarm(60);
}

/* True where this use is the one to fail, errno set. */
static bool fails(int call) {
    int use = ++n_uses[call];
    if (fault) return fault->call == call && (failing_use < 0 ? use % 2 : use == failing_use) && (errno = fault->error);
    for (int i = 0; forking && i < N_FAULTS; i++) {
        if (faults[i].call != call || !(faults[i].how & ANYWHERE)) continue;
        fault = &faults[i], failing_use = use;
        pid_t child = fork();
        if (child == 0) return redirect(), errno = fault->error, true;
        int status;
        waitpid(child, &status, 0);
        judge(status);
        fault = NULL;
    }
    return false;
}

#define WRAPPER(name, bad, result, parameters, arguments) \
    static result my_##name parameters {                  \
        if (fails(ID_##name)) return bad;                 \
        return real.name arguments;                       \
    }
CALLS(WRAPPER)

static void keep_uses(void) {
    if (!fault) memcpy(uses_seen, n_uses, sizeof n_uses);
}

static int run(bool forks) {
    char *argv[24] = {"diffuse", "--device", "cpu", "-m", "model", "-s", "1", "--steps", "1", "--size", "64x64", "-o", "box/a.png"};
    int argc = 13, status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < ARGUMENTS_MAX && scene->arguments[i]; i++) argv[argc++] = (char *)(uintptr_t)scene->arguments[i];
        redirect();
        if (forks) alarm(0);
        forking = forks;
        atexit(keep_uses);
#define WRAP(name, bad, result, parameters, arguments) sys.name = my_##name;
        CALLS(WRAP)
        exit(diffuse_main(argc, argv));
    }
    waitpid(child, &status, 0);
    return status;
}

static void no_fault(bool forks) {
    static char err[4096];
    box_prepare();
    int status = run(forks);
    slurp("err", err, sizeof err);
    if (status || *err) fail_msg("%s, no fault: status %d: %s", scene->name, status, err);
}

/* The picture of the scene, and what it takes. */
static void draw_whole(void) {
    no_fault(false);
    picture_size = slurp("box/a.png", picture, sizeof picture);
    assert_true(picture_size > 1000 && picture_size < sizeof picture);
}

static void fail_from_start(const struct fault *f) {
    fault = f;
    if (!f->code && f->error == EINTR) failing_use = -1, judge(run(false));
    int n = f->how & FIRST ? 1 : uses_seen[f->call];
    for (failing_use = 1; failing_use <= n; failing_use++) box_prepare(), judge(run(false));
    fault = NULL;
}

static void test_each_use_fails(void **state) {
    (void)state;
    int most[N_CALLS] = {0};
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        scene = &scenes[i];
        draw_whole();
        for (int call = 0; call < N_CALLS; call++)
            if (uses_seen[call] > most[call]) most[call] = uses_seen[call];
        for (int j = 0; j < N_FAULTS; j++)
            if (faults[j].how & FROM_START) fail_from_start(&faults[j]);
        static const struct fault interrupted = {ID_pread, EINTR, 0, 0};
        fault = &interrupted, failing_use = -1;
        box_prepare();
        judge(run(false));
        fault = NULL;
        if (scene->forks) no_fault(true);
    }
    for (int i = 0; i < N_FAULTS; i++)
        if (!most[faults[i].call]) fail_msg("%s: never used", call_names[faults[i].call]);
    printf("%d faults\n", *n_tried);
    assert_int_equal(*n_wrong, 0);
}

int main(void) {
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    n_tried = shared, n_wrong = shared + 1, uses_seen = shared + 2;
    char *model = realpath("test/fixtures/tiny-sd1", NULL);
    FILE *prompt;
    if (!model || !mkdtemp(work) || chdir(work) || mkdir("box", 0700) || symlink(model, "model") || !(prompt = fopen("prompt", "w")))
        return 1;
    fputs("x", prompt);
    fclose(prompt);
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    real = sys;
    report_fd = dup(STDERR_FILENO);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_use_fails)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < 5; i++) remove((const char *[]){"box/a.png", "prompt", "model", "out", "err"}[i]);
    rmdir("box");
    rmdir(work);
    free(model);
    return failed;
}
