/* The one way to fail, and the memory that goes with what failed. */
#include <sys/wait.h>
#include "engine/base/arena.h"
#include "test/files.h"

/* What a child process that runs body writes to stderr; *code receives how it ends. */
static const char *stderr_of(void (*body)(void), int *code) {
    static char text[4 * ERROR_MAX];
    int ends[2], status;
    must(pipe(ends) == 0, "pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 2);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(ends[0]);
    must(waitpid(pid, &status, 0) == pid, "child");
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return text;
}

static void restore_terminal(void) {
    must(write(2, "restored\n", 9) == 9, "stderr");
}

static void report(int code, const char *message) {
    fprintf(stderr, "%d %s\n", code, message);
}

static void die_plain(void) {
    die(FAIL_DATA, "x.json: field '%s': bad\n", "\x1b[31m");
}

static void die_with_hint(void) {
    for (int i = 0; i < 10; i++) error_set_terminal(restore_terminal);
    error_set_reporter(report);
    die_hint(FAIL_INPUT, "hf download \x1b", "%s: missing", "unet");
}

static void die_long(void) {
    char name[5000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    die(FAIL_USAGE, "%s", name);
}

static void warn_twice(void) {
    warn("%d\n", 1);
    error_quiet = 1;
    warn("%d", 2);
}

static void warn_of_lines(void) {
    error_once = 1;
    warn("odd");
    error_place = "x: line 1";
    warn("odd");
    warn("odder");
    error_place = "x: line 2";
    warn("odder");
    warn("%s", "x: line 1: odder");
    error_place = NULL;
    warn("oddest");
}

static void test_process(void **state) {
    (void)state;
    int code;
    assert_string_equal(stderr_of(die_plain, &code), "diffuse: x.json: field '\\x1b[31m': bad\\x0a\n");
    assert_int_equal(code, 65);
    assert_string_equal(stderr_of(die_with_hint, &code), "restored\n66 unet: missing\ndiffuse: unet: missing\nhint: hf download \\x1b\n");
    assert_int_equal(code, 66);
    const char *cut = stderr_of(die_long, &code);
    assert_int_equal(strlen(cut), strlen("diffuse: ") + ERROR_MAX - 1 + strlen("\n"));
    assert_string_equal(cut + strlen(cut) - 4, "…\n");
    assert_int_equal(code, 2);
    assert_string_equal(stderr_of(warn_twice, &code), "diffuse: warning: 1\\x0a\n");
    assert_int_equal(code, 0);
    assert_string_equal(stderr_of(warn_of_lines, &code), "diffuse: warning: odd\n"
                                                         "diffuse: warning: x: line 1: odder\n"
                                                         "diffuse: warning: x: line 2: x: line 1: odder\n"
                                                         "diffuse: warning: oddest\n");
}

/* A failure ends the innermost job; the outer one goes on, and can fail itself. */
static void test_jobs(void **state) {
    (void)state;
    struct job outer, inner;
    volatile int reached = 0;
    if (job_enter(&outer)) {
        if (job_enter(&inner)) die(FAIL_DATA, "inner %d", 1);
        assert_int_equal(inner.code, FAIL_DATA);
        assert_string_equal(inner.message, "inner 1");
        assert_string_equal(inner.hint, "");
        if (job_enter(&inner)) job_leave(&inner);
        assert_int_equal(inner.code, 0);
        reached = 1;
        die_hint(FAIL_IO, "try \t", "outer");
    }
    assert_int_equal(reached, 1);
    assert_int_equal(outer.code, FAIL_IO);
    assert_string_equal(outer.message, "outer");
    assert_string_equal(outer.hint, "try \\x09");
}

/* ---- arenas ------------------------------------------------------------------------------------------------------ */

static void test_arena(void **state) {
    (void)state;
    struct arena a = {0};
    static const size_t sizes[] = {0, 1, 15, 63, 64, 65, 4096, 20000, 70000, 1 << 20, 3};
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *p = arena_alloc(&a, sizes[i]);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % (sizes[i] >= 64 ? 64 : 16), 0);
            for (size_t j = 0; j < sizes[i]; j++)
                if (p[j]) fail_msg("byte %zu of %zu is %d", j, sizes[i], p[j]);
            memset(p, 0xff, sizes[i]);
        }
    assert_true(a.bytes >= 50 * (1 << 20));
    arena_free(&a);
    assert_true(!a.last && !a.bytes);
    assert_string_equal(arena_printf(&a, "%s-%0200d", "é", 7) + 200, "007");
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_dies(FAIL_MEMORY, "out of memory", arena_alloc(&a, SIZE_MAX));
    assert_dies(FAIL_MEMORY, "out of memory", arena_array(&a, SIZE_MAX / 2, 3));
    arena_free(&a);
}

static char order[3];

static void leave(void *data) {
    order[strlen(order)] = *(char *)data;
}

static void test_arena_exits(void **state) {
    (void)state;
    struct arena a = {0};
    arena_on_free(&a, leave, arena_strdup(&a, "1"));
    arena_on_free(&a, leave, arena_strdup(&a, "2"));
    arena_free(&a);
    assert_string_equal(order, "21");
    arena_free(&a);
    assert_string_equal(order, "21");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
