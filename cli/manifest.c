#include "cli/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/json_out.h"
#include "cli/lines.h"
#include "cli/names.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/sha256.h"
#include "engine/base/sys.h"

enum { PICTURE_BYTES = 1 << 30 };

struct manifest {
    int fd;
    const char *path;
    struct names *made; /* "REQUEST FILE" of the pictures it has lines of, where --resume may ask */
    uint64_t n_restored;
};

static _Noreturn void fail(const struct manifest *m, int error, int otherwise) {
    die(error_code(error, otherwise), "%s: %s", m->path, strerror(error));
}

static void leave(void *manifest) {
    struct manifest *m = manifest;
    if (m->fd >= 0) close(m->fd);
}

static void put(const struct manifest *m, const char *text, size_t n) {
    int error = write_all(m->fd, text, n);
    if (!error && TEMP_FAILURE_RETRY(sys.fsync(m->fd)) != 0 && errno != EINVAL) error = errno; /* a pipe cannot */
    if (error) fail(m, error, FAIL_IO);
}

/* Another file given by mistake keeps what it holds. */
static void refuse_another(const struct manifest *m, const char *jobs) {
    struct stat st, other;
    char first = '{';
    if (fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode)) return;
    if (jobs && stat(jobs, &other) == 0 && same_file(&st, &other)) die(FAIL_USAGE, "--manifest: %s: it holds the jobs", m->path);
    if (st.st_size && sys.pread(m->fd, &first, 1, 0) == 1 && first != '{') die(FAIL_CREATE, "%s: a file that is no manifest", m->path);
}

/* The machine went down in the middle of a line, or an editor ended the last one its own way. */
static void end_torn_line(const struct manifest *m) {
    struct stat st;
    char last = '\n';
    if (fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode) || !st.st_size) return;
    if (sys.pread(m->fd, &last, 1, st.st_size - 1) != 1 || last == '\n') return;
    put(m, "\n", 1);
    if (last != '}') warn("%s: its last line is cut off: it stays as it is, and what follows has lines of its own", m->path);
}

static const char *name_of(struct arena *a, const char *request, const char *file) {
    return arena_printf(a, "%s %s", request, file);
}

/* A line that is none of ours, as a torn one, tells of no picture. */
static void read_line(struct manifest *m, const char *line, size_t n) {
    struct arena a = {0};
    struct json_scan scan;
    const char *request = NULL, *file = NULL;
    enum json_token token;
    json_scan_begin(&scan, line, n, arena_alloc(&a, n + 1), n);
    for (token = json_scan_next(&scan); token == JSON_OBJECT || token == JSON_KEY; token = json_scan_next(&scan)) {
        if (token == JSON_OBJECT) continue;
        const char **taken = !strcmp(scan.string, "request") ? &request : !strcmp(scan.string, "file") ? &file : NULL;
        token = json_scan_next(&scan);
        if (taken && token == JSON_STRING) *taken = arena_strdup(&a, scan.string);
        json_scan_skip(&scan, token);
    }
    if (request && file && token == JSON_OBJECT_END && json_scan_next(&scan) == JSON_END) names_add(m->made, name_of(&a, request, file), 1);
    arena_free(&a);
}

static void read_lines(struct manifest *m) {
    struct stat st;
    struct arena a = {0};
    struct lines lines;
    size_t n;
    if (fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode)) return;
    lines_open(&a, &lines, m->path);
    for (const char *line; (line = lines_next(&lines, &n)) != NULL;) read_line(m, line, n);
    close(lines.fd);
    arena_free(&a);
}

struct manifest *manifest_open(struct arena *a, const char *path, const char *jobs, bool resume) {
    struct manifest *m = arena_alloc(a, sizeof *m);
    *m = (struct manifest){.fd = -1, .path = path, .made = names_new(a)};
    arena_on_free(a, leave, m);
    m->fd = (int)TEMP_FAILURE_RETRY(sys.open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
    if (m->fd < 0) fail(m, errno, FAIL_CREATE);
    refuse_another(m, jobs);
    end_torn_line(m);
    if (resume) read_lines(m);
    return m;
}

void manifest_add(struct manifest *m, const struct manifest_line *l) {
    if (!m) return;
    struct arena a = {0};
    struct json_out j = {.text.arena = &a};
    char hex[SHA256_HEX];
    json_out_open(&j, NULL, '{');
    json_out_u64(&j, "v", 1);
    if (l->id) json_out_string(&j, "id", l->id);
    if (l->line) json_out_u64(&j, "line", l->line);
    if (l->file) json_out_u64(&j, "seed", l->seed);
    if (l->file) json_out_string(&j, "file", l->file);
    if (l->request) json_out_string(&j, "request", l->request);
    if (l->data) sha256(l->data, l->n, hex);
    if (l->data) json_out_string(&j, "sha256", hex);
    if (l->data && !isnan(l->ms)) json_out_number(&j, "ms", (double)(int64_t)(l->ms * 1e3 + 0.5) / 1e3);
    json_out_u64(&j, "code", (uint64_t)l->code);
    if (l->message) json_out_string(&j, "message", l->message);
    json_out_close(&j, '{');
    buffer_add(&j.text, "\n", 1);
    put(m, j.text.data, j.text.length);
    arena_free(&a);
}

void manifest_restore(struct manifest *m, const struct manifest_line *l) {
    struct arena a = {0};
    struct manifest_line line = *l;
    if (m && !names_add(m->made, name_of(&a, l->request, l->file), 1)) {
        line.data = read_file(&a, l->file, PICTURE_BYTES, &line.n);
        line.ms = NAN;
        manifest_add(m, &line);
        m->n_restored++;
    }
    arena_free(&a);
}

uint64_t manifest_restored(const struct manifest *m) {
    return m ? m->n_restored : 0;
}
