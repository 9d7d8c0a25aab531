/* Whole command lines against diffusers on checkpoints whose weights follow from their tensors' names (test/reference/synthetic.py):
 *     test_synthetic            every fixture of test/fixtures/synthetic
 *     test_synthetic NAME[:CASE]…   these, or of each one the cases alone whose names match the shell pattern
 *     test_synthetic --write DIR NAME   the fixture's checkpoint and pictures alone, into an empty folder
 * DIFFUSE is the program; SYNTHETIC_ARGS more arguments for each call ("--device cuda"); SYNTHETIC_DTYPE its --dtype. */
#include "test/synthetic.h"

#include <ctype.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <spawn.h>
#include <sys/wait.h>

enum { ARGS_MAX = 64, SIDE_MAX = 4096 };

/* ---- one case ---------------------------------------------------------------------------------------------------- */

/* Runs the case's command in dir; its pictures are dir/NAME-1.png …; err: a file for what it says, or NULL. Its exit code. */
static int run(const char *dir, const cJSON *c, int count, const char *err) {
    extern char **environ;
    struct arena a = {0};
    const char *program = getenv("DIFFUSE"), *argv[ARGS_MAX], *name = cJSON_GetObjectItem(c, "name")->valuestring;
    char *more = arena_strdup(&a, getenv("SYNTHETIC_ARGS") ? getenv("SYNTHETIC_ARGS") : "--device cpu");
    int n = 0, status;
    argv[n++] = program ? program : "build/release/diffuse";
    argv[n++] = "-q";
    argv[n++] = "-f";
    argv[n++] = "-m";
    argv[n++] = dir;
    argv[n++] = "--metadata";
    argv[n++] = "none";
    argv[n++] = "-o";
    argv[n++] = count > 1 ? path_in(dir, "%s-{n}.png", name) : path_in(dir, "%s-1.png", name);
    for (char *word; (word = strsep(&more, " ")) != NULL;)
        if (*word) argv[n++] = word;
    if (getenv("SYNTHETIC_DTYPE")) argv[n++] = "--dtype", argv[n++] = getenv("SYNTHETIC_DTYPE");
    const cJSON *arg;
    cJSON_ArrayForEach(arg, cJSON_GetObjectItem(c, "args")) {
        assert_true(n < ARGS_MAX - 1);
        const char *text = arg->valuestring; /* @FILE: a file of the fixture */
        argv[n++] = *text == '@' ? arena_printf(&a, "%s/%s", dir, text + 1) : text;
    }
    argv[n] = NULL;
    pid_t pid;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    if (err) posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    must(posix_spawn(&pid, argv[0], &files, NULL, (char *const *)argv, environ) == 0, argv[0]);
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    posix_spawn_file_actions_destroy(&files);
    arena_free(&a);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void draw(const char *dir, const cJSON *c, int count) {
    int status = run(dir, c, count, NULL);
    if (status) fail_msg("%s: status %d", cJSON_GetObjectItem(c, "name")->valuestring, status);
}

/* What goes against the model ends with that code and says that. */
static void refuse(const char *fixture, const char *dir, const cJSON *c) {
    struct arena a = {0};
    size_t length;
    const char *err = arena_strdup(&a, path_in(dir, "err")), *says = cJSON_GetObjectItem(c, "says")->valuestring;
    int status = run(dir, c, 1, err), wanted = cJSON_GetObjectItem(c, "code")->valueint;
    char *text = read_file(&a, err, 1 << 16, &length);
    if (status != wanted || !strstr(text, says)) fail_msg("%s: status %d, not %d, and '%s', not '%s'", fixture, status, wanted, text, says);
    arena_free(&a);
}

/* Levels a case's pictures may be off on average: in half precision, each of bf16's roundings being eight times as coarse; 0 in f32. Where
 * diffusers itself is off by much, 1.5 times that. */
static double mean_limit(const cJSON *c) {
    static const struct {
        const char *dtype;
        double levels;
    } limits[] = {{"fp16", 0.6}, {"bf16", 4.8}};
    const char *dtype = getenv("SYNTHETIC_DTYPE");
    const cJSON *own = dtype ? cJSON_GetObjectItem(cJSON_GetObjectItem(c, "half_error"), dtype) : NULL;
    for (size_t i = 0; dtype && i < sizeof limits / sizeof *limits; i++)
        if (!strcmp(dtype, limits[i].dtype)) return fmax(limits[i].levels, own ? 1.5 * own->valuedouble : 0);
    return 0;
}

/* At most one level on 99.9 % of the values, never more than two; in half precision, nothing. Levels it is off on average. */
static double compare(const char *fixture, const cJSON *c, const char *path, const uint8_t *want, int H, int W, int C) {
    const char *name = cJSON_GetObjectItem(c, "name")->valuestring;
    size_t n = (size_t)H * (size_t)W * (size_t)C, n_off = 0, worst = 0, sum = 0;
    png_image png = {.version = PNG_IMAGE_VERSION};
    must(png_image_begin_read_from_file(&png, path), path);
    if ((int)png.width != W || (int)png.height != H) fail_msg("%s %s: got %ux%u, want %dx%d", fixture, name, png.width, png.height, W, H);
    if ((png.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1) != C) fail_msg("%s %s: not of %d channels", fixture, name, C);
    png.format = C == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    uint8_t *got = malloc(n);
    must(got && png_image_finish_read(&png, NULL, got, 0, NULL), path);
    for (size_t i = 0; i < n; i++) {
        size_t error = (size_t)abs(got[i] - want[i]);
        n_off += error > 1;
        sum += error;
        if (error > worst) worst = error;
    }
    free(got);
    if (mean_limit(c) <= 0 && (worst > 2 || n_off * 1000 > n))
        fail_msg("%s %s: %zu of %zu values off by more than one level, at most by %zu", fixture, name, n_off, n, worst);
    return (double)sum / (double)n;
}

static void compare_files(const char *fixture, const char *name, const char *got, const char *want) {
    struct arena a = {0};
    size_t n_got, n_want;
    const char *x = read_file(&a, got, 1 << 24, &n_got), *y = read_file(&a, want, 1 << 24, &n_want);
    if (n_got != n_want || memcmp(x, y, n_got) != 0) fail_msg("%s %s: another picture than %s", fixture, name, want);
    arena_free(&a);
}

static void run_case(const char *fixture, const char *dir, const cJSON *c, const struct st_file *recorded) {
    struct arena a = {0};
    const char *name = cJSON_GetObjectItem(c, "name")->valuestring, *same_as = cJSON_GetStringValue(cJSON_GetObjectItem(c, "same_as"));
    const struct tensor *t = st_find(recorded, name);
    assert_non_null(t);
    assert_int_equal(t->rank, 4);
    int count = (int)t->shape[0], H = (int)t->shape[1], W = (int)t->shape[2], C = (int)t->shape[3];
    uint8_t *want = arena_alloc(&a, t->bytes);
    assert_int_equal(tensor_read(t, want), 0);
    draw(dir, c, count);
    double mean = 0, limit = mean_limit(c);
    for (int k = 0; k < count; k++)
        mean += compare(fixture, c, path_in(dir, "%s-%d.png", name, k + 1), want + t->bytes / (size_t)count * (size_t)k, H, W, C) / count;
    if (limit > 0 && mean > limit) fail_msg("%s %s: %.2f levels on average", fixture, name, mean);
    if (same_as) compare_files(fixture, name, path_in(dir, "%s-1.png", name), path_in(dir, "%s-1.png", same_as));
    arena_free(&a);
}

struct chosen {
    char *name;
    const char *cases; /* a pattern; NULL: all, and what is refused */
};

static void test_fixture(void **state) {
    const struct chosen *chosen = *state;
    const char *name = chosen->name;
    struct arena a = {0};
    int n = 0;
    cJSON *fixture = read_fixture(name);
    struct st_file *recorded = st_open(&a, arena_printf(&a, "test/fixtures/synthetic/%s.safetensors", name));
    const char *dir = arena_strdup(&a, temp_dir());
    write_checkpoint(dir, fixture);
    const cJSON *cases = cJSON_GetObjectItem(fixture, "cases"), *c;
    assert_int_equal(cJSON_GetArraySize(cases), recorded->n_tensors);
    cJSON_ArrayForEach(c, cases) {
        if (chosen->cases && fnmatch(chosen->cases, cJSON_GetObjectItem(c, "name")->valuestring, 0)) continue;
        run_case(name, dir, c, recorded);
        n++;
    }
    if (!n) fail_msg("%s: no case '%s'", name, chosen->cases);
    if (!chosen->cases) cJSON_ArrayForEach(c, cJSON_GetObjectItem(fixture, "refused")) refuse(name, dir, c);
    remove_tree(dir);
    st_close(recorded);
    cJSON_Delete(fixture);
    arena_free(&a);
}

static int write_only(const char *dir, const char *name) {
    cJSON *fixture = read_fixture(name);
    write_checkpoint(dir, fixture);
    cJSON_Delete(fixture);
    return 0;
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc == 4 && !strcmp(argv[1], "--write")) return write_only(argv[2], argv[3]);
    static const char *const all[] = {"*"};
    const char *const *names = argc > 1 ? (const char *const *)argv + 1 : all;
    int n_names = argc > 1 ? argc - 1 : 1;
    size_t n = 0;
    struct CMUnitTest *tests = NULL;
    for (int i = 0; i < n_names; i++) {
        glob_t found = {0};
        const char *colon = strchr(names[i], ':');
        int length = colon ? (int)(colon - names[i]) : (int)strlen(names[i]);
        if (glob(arena_printf(&a, "test/fixtures/synthetic/%.*s.json", length, names[i]), 0, NULL, &found)) return 2;
        tests = realloc(tests, (n + found.gl_pathc) * sizeof *tests);
        for (size_t k = 0; k < found.gl_pathc; k++) {
            const char *file = strrchr(found.gl_pathv[k], '/') + 1;
            struct chosen *c = arena_alloc(&a, sizeof *c);
            c->name = arena_printf(&a, "%.*s", (int)(strlen(file) - strlen(".json")), file);
            c->cases = colon ? colon + 1 : NULL;
            tests[n++] = (struct CMUnitTest){c->name, test_fixture, NULL, NULL, c};
        }
        globfree(&found);
    }
    int failed = _cmocka_run_group_tests("synthetic", tests, n, NULL, NULL);
    free(tests);
    arena_free(&a);
    return failed;
}
