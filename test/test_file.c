/* Files read and published: what is opened, what replaces what, and that nothing half-written is ever seen under a
 * final name. */
#include <fcntl.h>
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "engine/base/arena.h"
#include "engine/base/file.h"
#include "test/files.h"

static struct arena arena;
#define in_dir(...) path_in(dir, __VA_ARGS__)
static char dir[PATH_MAX];

static void expect_content(const char *path, const char *want) {
    size_t n;
    char *got = slurp(path, &n);
    if (n != strlen(want) || memcmp(got, want, n) != 0) fail_msg("%s: expected '%s', found '%s'", path, want, got);
    free(got);
}

static int count_files(void) {
    DIR *d = opendir(dir);
    int n = -2;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static const char *publish(const char *path, const char *text, enum on_exists on_exists) {
    return publish_file(&arena, path, text, strlen(text), on_exists);
}

static int set_up(void **state) {
    (void)state;
    strcpy(dir, temp_dir());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove_tree(dir);
    arena_free(&arena);
    return 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void test_read(void **state) {
    (void)state;
    size_t n;
    uint64_t size;
    write_file(in_dir("f"), "a\0b", 3);
    char *text = read_file(&arena, in_dir("f"), 3, &n);
    assert_true(n == 3 && memcmp(text, "a\0b", 4) == 0);
    assert_dies(65, "/f: 3 bytes, expected at most 2", read_file(&arena, in_dir("f"), 2, &n));
    int fd = open_regular(in_dir("f"), &size);
    assert_int_equal(size, 3);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    char bytes[4] = "";
    assert_int_equal(read_at(fd, bytes, 2, 1), 0);
    assert_memory_equal(bytes, "\0b", 3);
    assert_int_equal(read_at(fd, bytes, 3, 1), ESTALE);
    close(fd);
    assert_int_equal(read_at(fd, bytes, 1, 0), EBADF);
    assert_true(file_exists(in_dir("f")) && !file_exists(in_dir("g")));
}

static void test_not_regular(void **state) {
    (void)state;
    assert_dies(66, "/none: No such file", open_regular(in_dir("none"), NULL));
    assert_dies(66, "not a regular file but a directory", open_regular(dir, NULL));
    assert_dies(66, "not a regular file but a device", open_regular("/dev/zero", NULL));
    must(mkfifo(in_dir("fifo"), 0600) == 0, "fifo");
    assert_dies(66, "not a regular file but a FIFO", open_regular(in_dir("fifo"), NULL));
    must(symlink("nowhere", in_dir("link")) == 0, "link");
    assert_dies(66, "a link whose target is missing", open_regular(in_dir("link"), NULL));
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static void test_exists(void **state) {
    (void)state;
    assert_string_equal(publish(in_dir("a.png"), "one", EXISTS_ERROR), in_dir("a.png"));
    assert_dies(73, "a.png: the file exists", publish(in_dir("a.png"), "two", EXISTS_ERROR));
    assert_null(publish(in_dir("a.png"), "two", EXISTS_SKIP));
    expect_content(in_dir("a.png"), "one");
    assert_string_equal(publish(in_dir("a.png"), "two", EXISTS_NUMBER), in_dir("a-1.png"));
    assert_string_equal(publish(in_dir("a.png"), "three", EXISTS_NUMBER), in_dir("a-2.png"));
    assert_string_equal(publish(in_dir("a.png"), "four", EXISTS_OVERWRITE), in_dir("a.png"));
    expect_content(in_dir("a.png"), "four");
    expect_content(in_dir("a-2.png"), "three");
    publish(in_dir("noext"), "x", EXISTS_SKIP);
    assert_string_equal(publish(in_dir("noext"), "y", EXISTS_NUMBER), in_dir("noext-1"));
    publish(in_dir(".hidden"), "x", EXISTS_ERROR);
    assert_string_equal(publish(in_dir(".hidden"), "y", EXISTS_NUMBER), in_dir(".hidden-1"));
    assert_int_equal(count_files(), 7);
}

static void test_relative(void **state) {
    (void)state;
    char before[PATH_MAX];
    must(getcwd(before, sizeof before) && chdir(dir) == 0, dir);
    publish("r.png", "x", EXISTS_ERROR);
    const char *numbered = publish("r.png", "y", EXISTS_NUMBER);
    must(chdir(before) == 0, before);
    assert_string_equal(numbered, "r-1.png");
    expect_content(in_dir("r-1.png"), "y");
}

static void test_mode(void **state) {
    (void)state;
    struct stat st;
    mode_t old = umask(027);
    publish(in_dir("m"), "x", EXISTS_ERROR);
    umask(old);
    must(stat(in_dir("m"), &st) == 0, "m");
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* A link under the final name is replaced or in the way, its target never written. */
static void test_links(void **state) {
    (void)state;
    struct stat st;
    write_file(in_dir("target"), "kept", 4);
    must(symlink("target", in_dir("link")) == 0 && symlink("nowhere", in_dir("dangling")) == 0, "links");
    assert_dies(73, "the file exists", publish(in_dir("link"), "x", EXISTS_ERROR));
    assert_dies(73, "the file exists", publish(in_dir("dangling"), "x", EXISTS_ERROR));
    assert_false(publish_check(in_dir("dangling"), EXISTS_SKIP));
    publish(in_dir("link"), "new", EXISTS_OVERWRITE);
    publish(in_dir("dangling"), "new", EXISTS_OVERWRITE);
    must(lstat(in_dir("link"), &st) == 0, "link");
    assert_true(S_ISREG(st.st_mode));
    expect_content(in_dir("target"), "kept");
    expect_content(in_dir("dangling"), "new");
    assert_false(file_exists(in_dir("nowhere")));
}

static void test_refusals(void **state) {
    (void)state;
    char name[400];
    memset(name, 'n', 300);
    name[300] = 0;
    assert_dies(73, "No such file", publish(in_dir("no/such/x"), "x", EXISTS_ERROR));
    assert_dies(73, "directory", publish_check(in_dir("no/such/x"), EXISTS_ERROR));
    assert_dies(73, "is a directory", publish(dir, "x", EXISTS_OVERWRITE));
    assert_dies(73, "directory", publish_check(dir, EXISTS_SKIP));
    assert_dies(73, "not a file name", publish(in_dir("%s", ""), "x", EXISTS_ERROR));
    assert_dies(73, "File name too long", publish(in_dir("%s", name), "x", EXISTS_ERROR));
    assert_dies(73, "File name too long", publish_check(in_dir("%s", name), EXISTS_ERROR));
    write_file(in_dir("f"), "x", 1);
    assert_dies(73, "Not a directory", publish(in_dir("f/x"), "x", EXISTS_ERROR));
    assert_dies(73, "Not a directory", publish_check(in_dir("f/x"), EXISTS_ERROR));
    assert_dies(73, "the file exists", publish_check(in_dir("f"), EXISTS_ERROR));
    assert_dies(73, "not a file", publish_check("/dev/stdout", EXISTS_OVERWRITE));
    assert_true(publish_check(in_dir("g"), EXISTS_ERROR) && publish_check(in_dir("f"), EXISTS_OVERWRITE));
    assert_int_equal(count_files(), 1);
}

/* Devices and FIFOs are written to where overwriting is asked for, and never replaced. */
static void test_streams(void **state) {
    (void)state;
    struct stat st;
    assert_dies(73, "/dev/full: no file, a device or a pipe", publish("/dev/full", "x", EXISTS_ERROR));
    assert_dies(74, "/dev/full: No space left", publish("/dev/full", "x", EXISTS_OVERWRITE));
    assert_string_equal(publish("/dev/null", "x", EXISTS_OVERWRITE), "/dev/null");
    must(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode), "/dev/null");
    must(mkfifo(in_dir("fifo"), 0600) == 0, "fifo");
    int reader = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK);
    char got[5] = "";
    publish(in_dir("fifo"), "pipe", EXISTS_OVERWRITE);
    assert_int_equal(read(reader, got, 4), 4);
    assert_string_equal(got, "pipe");
    close(reader);
}

/* ---- in a child: faults ------------------------------------------------------------------------------------------ */

/* Runs body in a child process and returns its exit code. */
static int in_child(void (*body)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid, "child");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* _exit with the code of the failure, or 0. */
static void exit_as(const char *path, const char *text, enum on_exists on_exists) {
    struct job job;
    if (!job_enter(&job)) _exit(job.code);
    publish(path, text, on_exists);
    job_leave(&job);
}

static void publish_beyond_limit(void) {
    static char large[100000];
    memset(large, 'x', sizeof large - 1);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
    exit_as(in_dir("large"), large, EXISTS_ERROR);
}

static void test_full(void **state) {
    (void)state;
    assert_int_equal(in_child(publish_beyond_limit), 74);
    assert_int_equal(count_files(), 0);
}

/* From here on the system call fails with `error` if the bits of its argument are set: file systems without O_TMPFILE
 * or renameat2. */
static void refuse_call(int call, int argument, uint32_t bits, int error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)argument)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(99);
}

enum { TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY };

static void publish_all_ways(void) {
    exit_as(in_dir("a.png"), "one", EXISTS_ERROR);
    exit_as(in_dir("a.png"), "two", EXISTS_SKIP);
    exit_as(in_dir("a.png"), "three", EXISTS_NUMBER);
    exit_as(in_dir("b.png"), "four", EXISTS_OVERWRITE);
    exit_as(in_dir("b.png"), "five", EXISTS_OVERWRITE);
    struct job job;
    if (job_enter(&job)) publish(in_dir("a.png"), "six", EXISTS_ERROR), _exit(98);
    if (job.code != 73) _exit(97);
}

static void without_tmpfile(void) {
    refuse_call(SYS_openat, 2, TMPFILE_BIT, EOPNOTSUPP);
    publish_all_ways();
}

static void without_tmpfile_and_rename(void) {
    refuse_call(SYS_openat, 2, TMPFILE_BIT, EOPNOTSUPP);
    refuse_call(SYS_renameat2, 4, 1 /* RENAME_NOREPLACE */, EINVAL);
    publish_all_ways();
}

static void full_without_tmpfile(void) {
    refuse_call(SYS_openat, 2, TMPFILE_BIT, EOPNOTSUPP);
    publish_beyond_limit();
}

static void expect_all_ways(void) {
    expect_content(in_dir("a.png"), "one");
    expect_content(in_dir("a-1.png"), "three");
    expect_content(in_dir("b.png"), "five");
    assert_int_equal(count_files(), 3);
}

static void test_fallbacks(void **state) {
    (void)state;
    assert_int_equal(in_child(publish_all_ways), 0);
    expect_all_ways();
    tear_down(NULL), must(mkdir(dir, 0700) == 0, dir);
    assert_int_equal(in_child(without_tmpfile), 0);
    expect_all_ways();
    tear_down(NULL), must(mkdir(dir, 0700) == 0, dir);
    assert_int_equal(in_child(without_tmpfile_and_rename), 0);
    expect_all_ways();
    tear_down(NULL), must(mkdir(dir, 0700) == 0, dir);
    assert_int_equal(in_child(full_without_tmpfile), 74);
    assert_int_equal(count_files(), 0);
}

static void publish_forever(void) {
    static char large[1 << 20];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0;; i++) exit_as(in_dir("%d.png", i), large, i & 1 ? EXISTS_ERROR : EXISTS_OVERWRITE);
}

/* Killed at any instant: whole files, and at most the temporary that overwriting needs for the instant between link and
 * rename. */
static void test_kill(void **state) {
    (void)state;
    int n_seen = 0;
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        if (pid == 0) publish_forever();
        usleep((useconds_t)(1000 + 977 * i));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        DIR *d = opendir(dir);
        for (struct dirent *e; (e = readdir(d));) {
            struct stat st;
            if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.')) continue;
            must(stat(in_dir("%s", e->d_name), &st) == 0, e->d_name);
            n_seen++;
            if (st.st_size != (1 << 20) - 1) fail_msg("%s: %jd bytes", e->d_name, (intmax_t)st.st_size);
        }
        closedir(d);
        remove_tree(dir), must(mkdir(dir, 0700) == 0, dir);
    }
    assert_true(n_seen > 0);
}

/* A temporary is swept when its writer is gone, and nothing else is: not one that is held, nor a link, nor a name that is not ours. */
static void test_sweep(void **state) {
    (void)state;
    static const char *const kept[] = {".diffuse-held.tmp", ".diffuse-.png", "diffuse-1.tmp", "x.png"};
    must(mkdir(in_dir("other"), 0700) == 0 && mkdir(in_dir("swept"), 0700) == 0, dir);
    publish_check(in_dir("other/a.png"), EXISTS_OVERWRITE); /* the directory looked at last is not looked at again */
    write_file(in_dir("swept/.diffuse-1-0.tmp"), "x", 1);
    for (int i = 0; i < 4; i++) write_file(in_dir("swept/%s", kept[i]), "x", 1);
    must(symlink("x.png", in_dir("swept/.diffuse-link.tmp")) == 0, "symlink");
    int held = open(in_dir("swept/%s", kept[0]), O_RDONLY);
    must(held >= 0 && flock(held, LOCK_EX) == 0, "flock");
    assert_true(publish_check(in_dir("swept/a.png"), EXISTS_OVERWRITE));
    close(held);
    assert_false(name_exists(in_dir("swept/.diffuse-1-0.tmp")));
    assert_true(name_exists(in_dir("swept/.diffuse-link.tmp")));
    for (int i = 0; i < 4; i++)
        if (!name_exists(in_dir("swept/%s", kept[i]))) fail_msg("%s was swept", kept[i]);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_read),     TEST(test_not_regular), TEST(test_exists), TEST(test_relative),  TEST(test_mode), TEST(test_links),
        TEST(test_refusals), TEST(test_streams),     TEST(test_full),   TEST(test_fallbacks), TEST(test_kill), TEST(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
