/* What reaches the terminal, the pipe and the parent process: results, events, progress, signals. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/progress.h"
#include "cli/result.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

static char output[1 << 16];

/* Runs f in a child whose descriptor `fd` is a pipe, or a terminal; returns wait's status, with what f wrote in `output`. */
static int run_child(void (*f)(void), int fd, bool terminal) {
    int ends[2];
    if (terminal) assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, &(struct winsize){24, 60, 0, 0}), 0);
    else assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], fd);
        close(ends[0]);
        close(ends[1]);
        f();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t k; (k = read(ends[0], output + n, sizeof output - 1 - n)) > 0;) n += (size_t)k;
    output[n] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_exit(int status, int code) {
    if (!WIFEXITED(status)) fail_msg("died of signal %d, want exit code %d; output: %s", WTERMSIG(status), code, output);
    if (WEXITSTATUS(status) != code) fail_msg("exit code %d, want %d; output: %s", WEXITSTATUS(status), code, output);
}

static void expect_death(int status, int signal_number) {
    if (!WIFSIGNALED(status)) fail_msg("exit code %d, want death by signal %d", WEXITSTATUS(status), signal_number);
    assert_int_equal(WTERMSIG(status), signal_number);
}

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void write_paths(void) {
    struct arena a = {0};
    result_path(&a, "one two.png", false);
    result_path(&a, "three.png", true);
    result_close();
    arena_free(&a);
}

static void test_paths(void **state) {
    (void)state;
    expect_exit(run_child(write_paths, STDOUT_FILENO, false), 0);
    assert_memory_equal(output, "one two.png\nthree.png\0", 23);
}

static void write_to_full_disk(void) {
    dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
    result_write("x", 1);
}

static void write_to_closed(void) {
    close(STDOUT_FILENO);
    stdio_guard();
    result_write("x", 1);
}

static void write_to_broken_pipe(void) {
    int ends[2];
    if (pipe(ends)) _exit(99);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN); /* as some parents leave it */
    signals_init();
    result_write("x", 1);
}

static void test_lost_results(void **state) {
    (void)state;
    expect_exit(run_child(write_to_full_disk, STDERR_FILENO, false), FAIL_IO);
    assert_string_equal(output, "diffuse: standard output: No space left on device\n");
    expect_exit(run_child(write_to_closed, STDERR_FILENO, false), FAIL_IO);
    assert_string_equal(output, "diffuse: standard output: Bad file descriptor\n");
    expect_death(run_child(write_to_broken_pipe, STDERR_FILENO, false), SIGPIPE);
    assert_string_equal(output, "");
}

static void close_all_and_open(void) {
    for (int fd = 0; fd <= 2; fd++) close(fd);
    stdio_guard();
    int fd = open("/dev/null", O_RDONLY);
    char byte;
    _exit(fd <= 2 || read(0, &byte, 1) != -1 || write(1, "x", 1) != -1 || write(2, "x", 1) != -1);
}

static void test_closed_descriptors(void **state) {
    (void)state;
    expect_exit(run_child(close_all_and_open, 9, false), 0);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static const struct settings settings = {
    .prompt = "a \"b\"\n", .model = "m", .steps = 2, .width = 8, .height = 16, .guidance = 7.5, .seed = 5};
static const struct metadata about = {
    .settings = &settings, .scheduler_class = "DDIMScheduler", .seed = 5, .dtype = "fp32", .device = "cpu"};

static void all_events(void) {
    event_start(&about, 3); /* not enabled yet: silent */
    events_enable(true);
    event_start(&about, 3);
    event_load(1000, 1.23456);
    event_step(1, 2, 4, 0.5);
    event_image(1, "a\nb.png", 5, VERDICT_NONE, 10);
    event_skipped(2, "c.png", NULL);
    event_error(74, "c.png: No space left on device");
    event_end(1);
}

static void test_events(void **state) {
    (void)state;
    static const char *const want[] = {
        NULL,
        "{\"v\":1,\"event\":\"load\",\"bytes\":1000,\"ms\":1.235}",
        "{\"v\":1,\"event\":\"step\",\"n\":1,\"step\":2,\"steps\":4,\"ms\":0.5}",
        "{\"v\":1,\"event\":\"image\",\"n\":1,\"file\":\"a\\nb.png\",\"seed\":5,\"ms\":10}",
        "{\"v\":1,\"event\":\"image\",\"n\":2,\"file\":\"c.png\",\"skipped\":true}",
        "{\"v\":1,\"event\":\"error\",\"code\":74,\"message\":\"c.png: No space left on device\"}",
        "{\"v\":1,\"event\":\"end\",\"code\":1,\"images\":1,\"ms\":",
    };
    expect_exit(run_child(all_events, STDOUT_FILENO, false), 0);
    char *line = output;
    for (int i = 0; i < 7; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        cJSON *o = cJSON_ParseWithOpts(line, NULL, 1);
        if (!o) fail_msg("not JSON: %s", line);
        if (i == 0) assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "prompt")), settings.prompt);
        else if (i < 6) assert_string_equal(line, want[i]);
        else assert_true(!strncmp(line, want[i], strlen(want[i])) && cJSON_GetNumberValue(cJSON_GetObjectItem(o, "ms")) > 0);
        cJSON_Delete(o);
        line = end + 1;
    }
    assert_int_equal(*line, 0);
}

/* ---- terminal and progress --------------------------------------------------------------------------------------- */

static void test_columns(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int columns;
    } cases[] = {
        {"100", 100}, {"-1", 80}, {"0", 80}, {"1000000000", 500}, {"7", 20}, {"x", 80}, {"99999999999999999999999", 80}, {"", 80},
    };
    int fd = open("/dev/null", O_RDWR);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("COLUMNS", cases[i].text, 1);
        assert_int_equal(terminal_columns(fd), cases[i].columns);
    }
    unsetenv("COLUMNS");
    assert_int_equal(terminal_columns(fd), 80);
    assert_false(terminal_is_smart(fd));
    close(fd);
}

static enum when progress_when;
static bool progress_quiet;

/* Two images of three rows; the first takes longer than the 300 ms before anything is drawn. */
static void draw_progress(void) {
    progress_begin(progress_when, WHEN_AUTO, progress_quiet);
    for (int k = 0; k < 2; k++) {
        progress_image(k, 1, 2, 3);
        for (int row = 1; row <= 3; row++) sleep_ms(k == 0 ? 120 : 1), progress_row(row);
    }
    progress_clear();
}

static const char *progress_output(enum when when, bool quiet, const char *term, bool terminal) {
    progress_when = when;
    progress_quiet = quiet;
    setenv("TERM", term, 1);
    expect_exit(run_child(draw_progress, STDERR_FILENO, terminal), 0);
    return output;
}

static void test_progress_bar(void **state) {
    (void)state;
    const char *text = progress_output(WHEN_AUTO, false, "xterm", true);
    assert_null(strstr(text, "image 1/2, step 1/3")); /* too early */
    assert_non_null(strstr(text, "image 1/2, step 3/3"));
    assert_non_null(strstr(text, "image 2/2, step 3/3"));
    assert_non_null(strstr(text, " steps/s, 0:0"));
    assert_null(strchr(text, '\n'));
    assert_string_equal(text + strlen(text) - 4, "\r\033[K");
    setenv("NO_COLOR", "1", 1);
    text = progress_output(WHEN_AUTO, false, "xterm", true);
    unsetenv("NO_COLOR");
    assert_null(strstr(text, "\033[32m"));
    for (const char *s = strchr(text, '\r'); s && s[1]; s = strchr(s + 1, '\r'))
        assert_true(strcspn(s + 1, "\033") <= 59); /* one less than the terminal has */
}

static void test_no_progress(void **state) {
    (void)state;
    assert_string_equal(progress_output(WHEN_AUTO, false, "xterm", false), "");
    assert_string_equal(progress_output(WHEN_AUTO, false, "dumb", true), "");
    assert_string_equal(progress_output(WHEN_AUTO, false, "", true), "");
    assert_string_equal(progress_output(WHEN_AUTO, true, "xterm", true), "");
    assert_string_equal(progress_output(WHEN_NEVER, false, "xterm", true), "");
}

static void test_progress_lines(void **state) {
    (void)state;
    const char *text = progress_output(WHEN_ALWAYS, false, "xterm", false);
    assert_int_equal(strncmp(text, "image 1/2, step 3/3, ", 21), 0);
    assert_non_null(strstr(text, "\nimage 2/2, step 3/3, "));
    assert_null(strpbrk(text, "\r\033"));
}

static void die_in_progress(void) {
    draw_progress();
    progress_image(0, 1, 1, 2);
    progress_row(1);
    die(FAIL_IO, "disk: gone");
}

static void test_message_is_not_in_the_bar(void **state) {
    (void)state;
    progress_when = WHEN_AUTO;
    progress_quiet = false;
    setenv("TERM", "xterm", 1);
    expect_exit(run_child(die_in_progress, STDERR_FILENO, true), FAIL_IO);
    assert_non_null(strstr(output, "\r\033[Kdiffuse: disk: gone"));
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static int killing_signal;

static void die_of_signal(void) {
    signal(SIGINT, SIG_DFL);
    signals_init();
    raise(killing_signal);
}

static void die_of_signal_in_bar(void) {
    draw_progress();
    progress_image(0, 1, 1, 2);
    progress_row(1);
    die_of_signal();
}

static void test_signals(void **state) {
    (void)state;
    static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        killing_signal = deadly[i];
        expect_death(run_child(die_of_signal, STDERR_FILENO, false), deadly[i]);
        assert_string_equal(output, "");
    }
    killing_signal = SIGXFSZ;
    expect_exit(run_child(die_of_signal, STDERR_FILENO, false), 0);
    killing_signal = SIGINT;
    expect_death(run_child(die_of_signal_in_bar, STDERR_FILENO, true), SIGINT);
    assert_string_equal(output + strlen(output) - 4, "\r\033[K");
}

static void ignored_signal(void) {
    signal(SIGHUP, SIG_IGN); /* nohup */
    signals_init();
    raise(SIGHUP);
}

static void test_ignored_signals_stay_ignored(void **state) {
    (void)state;
    expect_exit(run_child(ignored_signal, STDERR_FILENO, false), 0);
}

static void file_too_big(void) {
    struct arena a = {0};
    static char data[100000];
    signals_init();
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, 20000});
    publish_file(&a, "/tmp/diffuse-test-too-big", data, sizeof data, EXISTS_ERROR);
}

static void test_file_size_limit(void **state) {
    (void)state;
    expect_exit(run_child(file_too_big, STDERR_FILENO, false), FAIL_IO);
    assert_string_equal(output, "diffuse: /tmp/diffuse-test-too-big: File too large\n");
    assert_int_equal(access("/tmp/diffuse-test-too-big", F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_lost_results),
        cmocka_unit_test(test_closed_descriptors),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_progress_bar),
        cmocka_unit_test(test_no_progress),
        cmocka_unit_test(test_progress_lines),
        cmocka_unit_test(test_message_is_not_in_the_bar),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_ignored_signals_stay_ignored),
        cmocka_unit_test(test_file_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
