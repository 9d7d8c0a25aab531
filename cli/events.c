#include "cli/events.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "cli/json_out.h"
#include "cli/report.h"
#include "cli/result.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"

static bool enabled;    /* on stdout */
static int progress_fd; /* --progress-fd's, where it is above 0 */
static int n_images;    /* made and told of so far */
static double began;    /* the process */
static const char *job_id;

void events_enable(bool on) {
    if (!began) began = process_began();
    enabled = on;
}

bool events_to(int fd) {
    int flags = fd > STDOUT_FILENO ? fcntl(fd, F_GETFL) : -1;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return false;
    if (!began) began = process_began();
    progress_fd = fd;
    return true;
}

void events_job(const char *id) {
    job_id = id;
}

/* The line under way; freed when the next one begins, so that dying while it is written leaks nothing. */
static struct arena arena;
static struct json_out line;

static bool begin(const char *event) {
    if (!enabled && !progress_fd) return false;
    arena_free(&arena);
    line = (struct json_out){.text.arena = &arena};
    json_out_open(&line, NULL, '{');
    json_out_u64(&line, "v", 1);
    json_out_string(&line, "event", event);
    if (job_id) json_out_string(&line, "id", job_id);
    return true;
}

static void end(void) {
    json_out_close(&line, '{');
    buffer_add(&line.text, "\n", 1);
    if (enabled) result_write(line.text.data, line.text.length);
    int fd = progress_fd, error = fd ? write_all(fd, line.text.data, line.text.length) : 0;
    if (!error) return;
    progress_fd = 0; /* what is said of it goes elsewhere, and is no job's */
    job_id = NULL;
    die_whole(FAIL_IO, "--progress-fd %d: %s", fd, strerror(error));
}

/* Microseconds are enough. */
static void add_ms(double ms) {
    json_out_number(&line, "ms", (double)(int64_t)(ms * 1e3 + 0.5) / 1e3);
}

void event_start(const struct metadata *m, int count) {
    if (!begin("start")) return;
    json_out_u64(&line, "count", (uint64_t)count);
    metadata_fields(&line, m);
    end();
}

void event_load(uint64_t bytes, double ms) {
    if (!begin("load")) return;
    json_out_u64(&line, "bytes", bytes);
    add_ms(ms);
    end();
}

void event_step(int n, int row, int n_rows, double ms) {
    if (!begin("step")) return;
    json_out_u64(&line, "n", (uint64_t)n);
    json_out_u64(&line, "step", (uint64_t)row);
    json_out_u64(&line, "steps", (uint64_t)n_rows);
    add_ms(ms);
    end();
}

/* A signal finds the line told and counted, or neither. */
void event_image(int n, const char *file, uint64_t seed, enum verdict verdict, double ms) {
    sigset_t all, before;
    if (!begin("image")) return;
    json_out_u64(&line, "n", (uint64_t)n);
    json_out_string(&line, "file", file);
    json_out_u64(&line, "seed", seed);
    if (verdict) json_out_bool(&line, "nsfw", verdict == VERDICT_FLAGGED);
    add_ms(ms);
    sigfillset(&all);
    sigdelset(&all, SIGPIPE); /* a reader that went is noticed as ever */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    end();
    n_images++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void event_skipped(int n, const char *file, const uint64_t *seed) {
    if (!begin("image")) return;
    json_out_u64(&line, "n", (uint64_t)n);
    json_out_string(&line, "file", file);
    if (seed) json_out_u64(&line, "seed", *seed);
    json_out_bool(&line, "skipped", true);
    end();
}

void event_sheet(const char *file) {
    if (!begin("sheet")) return;
    json_out_string(&line, "file", file);
    end();
}

void event_error(int code, const char *message) {
    if (!begin("error")) return;
    json_out_u64(&line, "code", (uint64_t)code);
    json_out_string(&line, "message", message);
    end();
}

void event_end(int code) {
    if (!begin("end")) return;
    json_out_u64(&line, "code", (uint64_t)code);
    json_out_u64(&line, "images", (uint64_t)n_images);
    add_ms(clock_ms() - began);
    end();
}

void events_failure(int code, const char *message) {
    event_error(code, message);
    event_end(code);
}

/* Nothing that a handler may not call. */
static size_t add_number(char *at, unsigned n) {
    char digits[12];
    size_t length = 0;
    do digits[length++] = (char)('0' + n % 10);
    while (n /= 10);
    for (size_t i = 0; i < length; i++) at[i] = digits[length - 1 - i];
    return length;
}

void events_abort(int signal_number) {
    static const char head[] = "{\"v\":1,\"event\":\"end\",\"code\":", middle[] = ",\"images\":", ms[] = ",\"ms\":", tail[] = "}\n";
    char text[112];
    size_t n = sizeof head - 1;
    if (!enabled && !progress_fd) return;
    memcpy(text, head, n);
    n += add_number(text + n, 128u + (unsigned)signal_number);
    memcpy(text + n, middle, sizeof middle - 1);
    n += sizeof middle - 1;
    n += add_number(text + n, (unsigned)n_images);
    memcpy(text + n, ms, sizeof ms - 1);
    n += sizeof ms - 1;
    n += add_number(text + n, (unsigned)(clock_ms() - began));
    memcpy(text + n, tail, sizeof tail - 1);
    n += sizeof tail - 1;
    /* the signal ends us whatever becomes of them */
    if (enabled && sys.write(STDOUT_FILENO, text, n) < 0) return;
    if (progress_fd && sys.write(progress_fd, text, n) < 0) return;
}
