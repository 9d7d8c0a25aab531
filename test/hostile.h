/* The machinery of test_hostile.c: a row says which file of a good checkpoint becomes what, and how the program must answer. */
#ifndef TEST_HOSTILE_H
#define TEST_HOSTILE_H

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "test/files.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer)
enum { RSS_SLACK = 1 << 20 /* KiB: shadow memory and quarantine */ };
#else
enum { RSS_SLACK = 16 << 10 };
#endif
enum {
    CPU_SECONDS = 10 /* a hundred times what any row takes: work that grows with the lie, not a slow machine */,
    WALL_SECONDS = 60 /* a hang */
};

struct row {
    const char *id;       /* of the list of bad inputs: S safetensors, I files and indexes, C configurations */
    int code;             /* expected exit status; 0: accepted */
    const char *fragment; /* in the one line on stderr */
    const char *file;     /* the file changed, below the model's directory; NULL: none */
    const char *names;    /* what the line names: the file, if NULL */
    void (*make)(const struct row *row);
    const char *a, *b; /* make's operands */
    size_t n;
    const char *model;  /* the operand of -m, "../model" if NULL; the working directory is an empty one beside it */
    const char *env[3]; /* NAME=VALUE */
    bool generate;      /* a picture is asked for, not --inspect; the file exists if and only if code is 0 */
    const char *width;  /* of that picture, "64" if NULL */
};

static char root[PATH_MAX], program[PATH_MAX], good_model[PATH_MAX];
static long base_rss; /* KiB of a run on the good checkpoint */

/* ---- files ------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static const char *path_of(const char *fmt, ...) {
    static char paths[4][2 * PATH_MAX];
    static int turn;
    char *path = paths[turn++ % 4];
    int n = snprintf(path, PATH_MAX, "%s/", root);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(path + n, PATH_MAX, fmt, ap);
    va_end(ap);
    return path;
}

static const char *model_path(const char *file) {
    return path_of("model/%s", file);
}

static void put_length(FILE *f, uint64_t length) {
    for (int i = 0; i < 8; i++) fputc((int)(length >> 8 * i & 0xff), f);
}

static int link_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)ftw;
    const char *to = path_of("model%s", path + strlen(good_model));
    return flag == FTW_D ? mkdir(to, 0755) : symlink(path, to);
}

/* A fresh checkpoint of links to the good one, and an empty working directory. */
static void model_reset(void) {
    remove_tree(path_of("model"));
    remove_tree(path_of("cwd"));
    must(mkdir(path_of("cwd"), 0755) == 0, "cwd");
    must(nftw(good_model, link_one, 16, FTW_PHYS) == 0, good_model);
}

/* ---- makers ------------------------------------------------------------------------------------------------------ */

/* file := n bytes of a */
static void put(const struct row *r) {
    write_file(model_path(r->file), r->a, r->n);
}

/* file := a safetensors file of the header a and n zero bytes of data */
static void header(const struct row *r) {
    FILE *f = replace_file(model_path(r->file));
    put_length(f, strlen(r->a));
    fputs(r->a, f);
    for (size_t i = 0; i < r->n; i++) fputc(0, f);
    must(fclose(f) == 0, r->file);
}

/* The first a in file becomes b. */
static void edit(const struct row *r) {
    size_t n, from = strlen(r->a), to = strlen(r->b);
    char *text = slurp(model_path(r->file), &n), *at = memmem(text, n, r->a, from);
    if (!at) fail_msg("%s: %s: no '%s' to replace", r->id, r->file, r->a);
    char *changed = calloc(1, n + to + 1);
    size_t before = (size_t)(at - text);
    memcpy(changed, text, before);
    memcpy(changed + before, r->b, to);
    memcpy(changed + before + to, at + from, n - before - from);
    write_file(model_path(r->file), changed, n - from + to);
    free(changed);
    free(text);
}

/* file := a, then zeros up to n bytes that take no room on the disk */
static void sparse(const struct row *r) {
    write_file(model_path(r->file), r->a, strlen(r->a));
    must(truncate(model_path(r->file), (off_t)r->n) == 0, r->file);
}

/* file := a, then b n times. Large files are streamed: the kernel counts the memory of the process that starts a program as the
 * program's own. */
static void repeat(const struct row *r) {
    FILE *f = replace_file(model_path(r->file));
    fputs(r->a, f);
    for (size_t i = 0; i < r->n; i++) fputs(r->b, f);
    must(fclose(f) == 0, r->file);
}

/* file := a safetensors file whose header is a, then b n times, without data */
static void repeat_header(const struct row *r) {
    FILE *f = replace_file(model_path(r->file));
    put_length(f, strlen(r->a) + strlen(r->b) * r->n);
    fputs(r->a, f);
    for (size_t i = 0; i < r->n; i++) fputs(r->b, f);
    must(fclose(f) == 0, r->file);
}

static void delete (const struct row *r) {
    remove_tree(model_path(r->file));
}

/* file := a link to a */
static void link_to(const struct row *r) {
    delete (r);
    must(symlink(r->a, model_path(r->file)) == 0, r->file);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct outcome {
    int status; /* exit code, or 128 + signal */
    double cpu_seconds;
    long rss; /* KiB */
    bool hung;
    char *out, *err;
};

static pid_t start(const struct row *r, char *const argv[]) {
    char home[PATH_MAX + 8], *env[8] = {home, "ASAN_OPTIONS=detect_leaks=0", "OMP_NUM_THREADS=2"};
    int n_env = 3;
    snprintf(home, sizeof home, "HOME=%s", root);
    for (int i = 0; i < 3 && r->env[i]; i++) env[n_env++] = (char *)r->env[i];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, path_of("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&actions, 2, path_of("err"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addchdir_np(&actions, path_of("cwd"));
    int error = posix_spawn(&pid, program, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    if (error) fail_msg("%s: %s", program, strerror(error));
    return pid;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct outcome run_program(const struct row *r, char *const argv[]) {
    pid_t pid = start(r, argv);
    struct outcome o = {0};
    struct rusage usage;
    int status;
    size_t n;
    double begin = now();
    while (wait4(pid, &status, WNOHANG, &usage) == 0) {
        if (!o.hung && now() - begin > WALL_SECONDS) o.hung = true, kill(pid, SIGKILL);
        usleep(500);
    }
    o.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    o.cpu_seconds =
        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    o.rss = usage.ru_maxrss;
    o.out = slurp(path_of("out"), &n);
    o.err = slurp(path_of("err"), &n);
    return o;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* "diffuse: …\n", perhaps "hint: …\n", nothing unprintable: NULL, or what is wrong. */
static const char *judge_lines(const char *err) {
    for (const char *s = err; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\n') || *s == 0x7f) return "a raw control character on stderr";
    const char *end = strchr(err, '\n');
    if (strncmp(err, "diffuse: ", 9) != 0 || !end) return "stderr does not begin with one line 'diffuse: …'";
    if (end[1] && (strncmp(end + 1, "hint: ", 6) != 0 || strchr(end + 1, '\n') != err + strlen(err) - 1))
        return "more than a hint follows the first line";
    return NULL;
}

static const char *judge_refusal(const struct row *r, const struct outcome *o) {
    char file[PATH_MAX];
    const char *wrong = judge_lines(o->err), *end = strchr(o->err, '\n');
    if (wrong) return wrong;
    strcpy(file, r->names ? r->names : r->file ? r->file : "");
    char *line = strndup(o->err, (size_t)(end - o->err));
    if (!strstr(line, r->fragment)) wrong = "the line lacks the fragment";
    else if (*file && !strstr(line, basename(file))) wrong = "the line does not name the file";
    else if (*o->out) wrong = "stdout is not empty";
    free(line);
    return wrong;
}

/* KiB the program may take: what a good checkpoint takes, twice the changed file, and the slack. */
static long rss_allowed(const struct row *r) {
    struct stat st;
    long file = r->file && stat(model_path(r->file), &st) == 0 ? (long)(st.st_blocks / 2) : 0;
    return base_rss + 2 * file + RSS_SLACK;
}

static const char *judge(const struct row *r, const struct outcome *o) {
    if (o->hung) return "it hangs";
    if (o->status != r->code) return "wrong exit status";
    if (r->code) {
        const char *wrong = judge_refusal(r, o);
        if (wrong) return wrong;
    }
    if (!r->code && *o->err && strncmp(o->err, "diffuse: warning: ", 18) != 0) return "accepted, but stderr is not empty";
    if (rmdir(path_of("cwd")) != 0) return "something was left in the working directory";
    if (r->generate) return NULL;
    if (o->cpu_seconds > CPU_SECONDS) return "too slow";
    return o->rss > rss_allowed(r) ? "too much memory" : NULL;
}

static struct outcome inspect(const struct row *r) {
    char *argv[] = {program, "--inspect", "-m", (char *)(r->model ? r->model : "../model"), NULL};
    return run_program(r, argv);
}

static struct outcome generate(const struct row *r) {
    char *width = (char *)(r->width ? r->width : "64");
    char *argv[] = {program, "--device", "cpu", "-q", "-m", "../model", "--steps",        "1", "-W",
                    width,   "-H",       "64",  "-s", "1",  "-o",       "../picture.png", "x", NULL};
    remove_tree(path_of("picture.png"));
    return run_program(r, argv);
}

/* Files and directories of the run; the good checkpoint's memory, by which the others' is judged. */
static void hostile_begin(void) {
    const char *given = getenv("DIFFUSE"), *build = getenv("BUILD");
    char built[PATH_MAX];
    snprintf(built, sizeof built, "%s/diffuse", build ? build : "build/release");
    must(realpath(given ? given : built, program) != NULL, given ? given : built);
    must(realpath("test/fixtures/tiny-sd1", good_model) != NULL, "test/fixtures/tiny-sd1");
    strcpy(root, temp_dir());
    model_reset();
    struct outcome o = run_program(&(struct row){0}, (char *[]){program, "--inspect", "-m", "../model", NULL});
    base_rss = o.rss;
    free(o.out);
    free(o.err);
}

/* Makes, runs and judges the row; prints what is wrong and returns false if anything is. */
static bool check_row(const struct row *r) {
    model_reset();
    if (r->make) r->make(r);
    struct outcome o = r->generate ? generate(r) : inspect(r);
    const char *wrong = judge(r, &o);
    if (!wrong && r->generate && (access(path_of("picture.png"), F_OK) == 0) != (r->code == 0)) wrong = "the picture";
    if (wrong)
        print_error("%s (%.60s): %s\n  expected %d '%s' %s\n  found    %d, %.2f s, %ld KiB of %ld: %.400s", r->id,
                    r->a && r->make != put ? r->a : "", wrong, r->code, r->fragment, r->file ? r->file : "", o.status, o.cpu_seconds, o.rss,
                    rss_allowed(r), *o.err ? o.err : "\n");
    free(o.out);
    free(o.err);
    return !wrong;
}

#endif
