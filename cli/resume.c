#include "cli/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/paths.h"
#include "cli/request_hash.h"
#include "cli/template.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/images/comments.h"

enum { HEAD_BYTES = 16 << 10, PICTURE_BYTES = 1 << 30 };

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A PNG's texts stand before its pixels, which are most of it: the first n bytes as a picture without any, or 0 where it is none or its
 * pixels begin further on. data: room for 12 bytes more. */
static size_t without_pixels(uint8_t *data, size_t n) {
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    if (n < sizeof signature || memcmp(data, signature, sizeof signature)) return 0;
    for (size_t at = sizeof signature; at + 8 <= n; at += 12 + (size_t)big_endian(data + at)) {
        if (memcmp(data + at + 4, "IDAT", 4)) continue;
        memcpy(data + at, end, sizeof end);
        return at + sizeof end;
    }
    return 0;
}

static void close_descriptor(void *fd) {
    close(*(int *)fd);
}

/* The JSON that we put into the picture, or NULL. */
static const char *own_text(struct arena *a, const char *path) {
    uint64_t size;
    int *fd = arena_alloc(a, sizeof *fd);
    *fd = open_regular(path, &size);
    arena_on_free(a, close_descriptor, fd);
    size_t n = size < HEAD_BYTES ? (size_t)size : HEAD_BYTES;
    uint8_t *data = arena_alloc(a, HEAD_BYTES + 12);
    if (read_at(*fd, data, n, 0)) return NULL;
    size_t head = without_pixels(data, n);
    if (!head && size > n) data = (uint8_t *)read_file(a, path, PICTURE_BYTES, &n);
    return comment_text(image_comments_read(a, data, head ? head : n, path), "diffuse");
}

/* The picture's hash of its request, or NULL, and its seed. */
static const char *recorded_request(struct arena *a, const char *path, uint64_t *seed) {
    const char *text = own_text(a, path), *found = NULL;
    struct json_scan scan;
    if (!text) return NULL;
    json_scan_begin(&scan, text, strlen(text), arena_alloc(a, strlen(text) + 1), strlen(text));
    if (json_scan_next(&scan) != JSON_OBJECT) return NULL;
    while (json_scan_next(&scan) == JSON_KEY) {
        bool request = !strcmp(scan.string, "request"), number = !strcmp(scan.string, "seed");
        enum json_token value = json_scan_next(&scan);
        if (request && value == JSON_STRING) found = arena_strdup(a, scan.string);
        if (number && (value != JSON_NUMBER || !json_scan_u64(&scan, seed))) return NULL;
        if (json_scan_skip(&scan, value) == JSON_ERROR) return NULL;
    }
    return found;
}

enum resume resume_look(struct arena *a, const struct options *o, int k, const char *path, const char *model) {
    struct job job;
    struct arena own = {0};
    uint64_t seed = 0;
    if (!name_exists(path)) return RESUME_ABSENT;
    const char *volatile found = NULL;
    if (job_enter(&job)) { /* no picture, or another program's */
        found = recorded_request(&own, path, &seed);
        found = found ? arena_strdup(a, found) : NULL;
        job_leave(&job);
    }
    arena_free(&own);
    if (o->settings.seed_given) seed = o->settings.seed + (uint64_t)k;
    const char *wanted = found ? request_hash(a, o, seed, model) : NULL;
    return wanted && !strcmp(found, wanted) ? RESUME_SAME : RESUME_OTHER;
}

bool resume_done(const struct options *o, const char *model) {
    bool done = true;
    for (int k = 0; done && k < o->settings.count; k++) {
        struct arena a = {0};
        const char *path = path_before_model(&a, o, k);
        done = path && resume_look(&a, o, k, path, model) == RESUME_SAME;
        arena_free(&a);
    }
    return done;
}

void resume_check(const struct options *o) {
    const struct settings *s = &o->settings;
    if (!o->resume) return;
    if (strcmp(o->metadata, "full")) die(FAIL_USAGE, "--resume and --metadata %s: a picture is known by what it says", o->metadata);
    if (o->on_exists == EXISTS_NUMBER) die(FAIL_USAGE, "--resume and --on-exists number: a picture is known by its name");
    if (s->image && !strcmp(s->image, "-")) die(FAIL_USAGE, "--resume and --image -: expected a file");
    if (!strcmp(o->output, "-")) die(FAIL_USAGE, "--resume and --output -: expected a file");
    if (!s->seed_given && template_has_seed(o->output))
        die_hint(FAIL_USAGE, "-s N", "--resume: a name with {seed}, which is a random one: expected a seed, found none");
}
