#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/terminal.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"

enum { START_MS = 300, REDRAW_MS = 100, LINE_MS = 10000, BAR_MAX = 40, LINE_MAX = 640 /* 500 columns, colours, NUL */ };

static struct {
    enum { OFF, BAR, LINES } kind;
    bool color;
    volatile sig_atomic_t shown;
    double began_ms, image_ms, drawn_ms;
    int k, n, count, n_rows;
} progress;

void progress_begin(enum when when, enum when color, bool quiet) {
    bool smart = terminal_is_smart(STDERR_FILENO);
    progress.kind = when == WHEN_NEVER || (quiet && when == WHEN_AUTO) ? OFF : smart ? BAR : when == WHEN_ALWAYS ? LINES : OFF;
    progress.color = terminal_has_color(STDERR_FILENO, color);
    progress.began_ms = progress.drawn_ms = clock_ms();
    error_set_terminal(progress_clear);
}

/* stderr's own failures are nobody's business. */
static void put(const char *text, size_t n) {
    ssize_t ignored = sys.write(STDERR_FILENO, text, n);
    (void)ignored;
}

void progress_abort(void) {
    if (!progress.shown) return;
    progress.shown = 0;
    put("\r\033[K", 4);
}

void progress_clear(void) {
    progress_abort();
}

static void duration(char out[32], double seconds) {
    long s = (long)(seconds + 0.5);
    if (s >= 3600) snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(out, 32, "%ld:%02ld", s / 60, s % 60);
}

/* "2.31 s/step, 1:28 left", or nothing before the first row. Time left counts the rows of all images at this image's rate. */
static void speed(char out[96], int done) {
    double s_per_row = (clock_ms() - progress.image_ms) / 1e3 / (done ? done : 1);
    double rows_left = progress.n_rows - done + (double)progress.n_rows * (progress.count - progress.k - progress.n) / progress.n;
    char left[32];
    *out = 0;
    if (!done) return;
    duration(left, s_per_row * rows_left);
    if (s_per_row >= 1) snprintf(out, 96, ", %.2f s/step, %s left", s_per_row, left);
    else snprintf(out, 96, ", %.2f steps/s, %s left", 1 / (s_per_row > 1e-6 ? s_per_row : 1e-6), left);
}

/* "image 2/4, step 12/50, 2.31 s/step, 1:28 left"; "images 5-8/40, …" */
static void describe(char out[192], int done) {
    char image[64] = "", rate[96];
    int k = progress.k + 1;
    if (progress.n > 1) snprintf(image, sizeof image, "images %d-%d/%d, ", k, progress.k + progress.n, progress.count);
    else if (progress.count > 1) snprintf(image, sizeof image, "image %d/%d, ", k, progress.count);
    speed(rate, done);
    snprintf(out, 192, "%sstep %d/%d%s", image, done, progress.n_rows, rate);
}

/* The text and, where there is room, a bar; one column stays free, or some terminals wrap. */
static void draw_bar(int done) {
    char text[192], line[LINE_MAX], bar[BAR_MAX + 1];
    int columns = terminal_columns(STDERR_FILENO) - 1;
    describe(text, done);
    int width = columns - (int)strlen(text) - 3;
    if (width > BAR_MAX) width = BAR_MAX;
    if (width < 5) width = 0;
    int filled = progress.n_rows ? (int)((long long)width * done / progress.n_rows) : 0;
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '-', (size_t)(width - filled));
    const char *on = progress.color ? "\033[32m" : "", *off = progress.color ? "\033[0m" : "";
    int n = width ? snprintf(line, sizeof line, "\r[%s%.*s%s%.*s] %s\033[K", on, filled, bar, off, width - filled, bar + filled, text)
                  : snprintf(line, sizeof line, "\r%.*s\033[K", columns, text);
    progress.shown = 1;
    put(line, (size_t)n);
}

static void draw_line(int done) {
    char text[193];
    describe(text, done);
    size_t n = strlen(text);
    text[n] = '\n';
    put(text, n + 1);
}

static void draw(int done) {
    double now = clock_ms();
    bool last = done == progress.n_rows;
    if (progress.kind == LINES && (last || now - progress.drawn_ms >= LINE_MS)) {
        draw_line(done);
        progress.drawn_ms = now;
    }
    if (progress.kind != BAR || now - progress.began_ms < START_MS || terminal_in_background(STDERR_FILENO)) return;
    if (progress.shown && !last && now - progress.drawn_ms < REDRAW_MS) return;
    draw_bar(done);
    progress.drawn_ms = now;
}

void progress_image(int k, int n, int count, int n_rows) {
    progress.k = k;
    progress.n = n;
    progress.count = count;
    progress.n_rows = n_rows;
    progress.image_ms = clock_ms();
    draw(0);
}

void progress_row(int done) {
    draw(done);
}
