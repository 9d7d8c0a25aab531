#include "cli/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/metadata.h"
#include "cli/request_hash.h"
#include "cli/template.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/images/comments.h"
#include "engine/images/read.h"

enum { HEAD_BYTES = 16 << 10, PICTURE_BYTES = 1 << 30 };

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const uint8_t png_signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
static const uint8_t png_end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};

/* Does it end as its kind does? A crash, or a copy that was cut short, leaves a file whose texts are there and whose pixels are not. head:
 * its first n bytes. Dies where it is no picture. */
static bool is_whole(int fd, const uint8_t *head, size_t n, uint64_t size, const char *path) {
    uint8_t end[sizeof png_end];
    if (n < sizeof end || read_at(fd, end, sizeof end, size - sizeof end)) return false;
    enum image_format format = image_format_in(&(struct image_file){.data = head, .n = n, .name = path});
    if (format == IMAGE_PNG) return !memcmp(end, png_end, sizeof end);
    if (format == IMAGE_JPEG) return !memcmp(end + sizeof end - 2, "\xff\xd9", 2);
    uint64_t riff = (uint64_t)head[7] << 24 | (uint64_t)head[6] << 16 | (uint64_t)head[5] << 8 | head[4];
    return riff + 8 == size;
}

/* A PNG's texts stand before its pixels, which are most of it: the first n bytes as a picture without any, or 0 where it is none or its
 * pixels begin further on. data: room for 12 bytes more. */
static size_t without_pixels(uint8_t *data, size_t n) {
    if (n < sizeof png_signature || memcmp(data, png_signature, sizeof png_signature)) return 0;
    for (size_t at = sizeof png_signature; at + 8 <= n; at += 12 + (size_t)big_endian(data + at)) {
        if (memcmp(data + at + 4, "IDAT", 4)) continue;
        memcpy(data + at, png_end, sizeof png_end);
        return at + sizeof png_end;
    }
    return 0;
}

static void close_descriptor(void *fd) {
    close(*(int *)fd);
}

/* What we put into the picture under the keyword, or NULL, as where it is torn. */
static const char *own_text(struct arena *a, const char *path, const char *keyword, bool *torn) {
    uint64_t size;
    int *fd = arena_alloc(a, sizeof *fd);
    *fd = open_regular(path, &size);
    arena_on_free(a, close_descriptor, fd);
    size_t n = size < HEAD_BYTES ? (size_t)size : HEAD_BYTES;
    uint8_t *data = arena_alloc(a, HEAD_BYTES + 12);
    if (read_at(*fd, data, n, 0)) return NULL;
    *torn = !is_whole(*fd, data, n, size, path);
    if (*torn) return NULL;
    size_t head = without_pixels(data, n);
    if (!head && size > n) data = (uint8_t *)read_file(a, path, PICTURE_BYTES, &n);
    return comment_text(image_comments_read(a, data, head ? head : n, path), keyword);
}

struct found {
    const char *request, *dtype; /* NULL: it does not say */
    uint64_t seed;
    bool torn; /* and says nothing */
};

/* What the picture says of itself. */
static struct found look_into(struct arena *a, const char *path) {
    struct found found = {0};
    const char *text = own_text(a, path, "diffuse", &found.torn);
    struct json_scan scan;
    if (!text) return found;
    json_scan_begin(&scan, text, strlen(text), arena_alloc(a, strlen(text) + 1), strlen(text));
    if (json_scan_next(&scan) != JSON_OBJECT) return found;
    while (json_scan_next(&scan) == JSON_KEY) {
        const char **taken = !strcmp(scan.string, "request") ? &found.request : !strcmp(scan.string, "dtype") ? &found.dtype : NULL;
        bool number = !strcmp(scan.string, "seed");
        enum json_token value = json_scan_next(&scan);
        if (taken && value == JSON_STRING) *taken = arena_strdup(a, scan.string);
        if (number && (value != JSON_NUMBER || !json_scan_u64(&scan, &found.seed))) return (struct found){0};
        if (json_scan_skip(&scan, value) == JSON_ERROR) return (struct found){0};
    }
    return found;
}

enum resume resume_look(struct arena *a, const struct options *o, const struct request *r, int k, const char *path, struct resumed *said) {
    struct job job;
    struct arena own = {0};
    struct found *found = arena_alloc(a, sizeof *found);
    if (!name_exists(path)) return RESUME_ABSENT;
    if (job_enter(&job)) { /* no picture, or another program's */
        *found = look_into(&own, path);
        job_leave(&job);
    }
    enum resume answer = found->torn ? RESUME_TORN : RESUME_OTHER;
    if (o->settings.seed_given) found->seed = o->settings.seed + (uint64_t)k;
    bool any_type = !strcmp(o->dtype, "auto") || o->dtype == o->dtype_recorded;
    const char *dtype = any_type ? found->dtype : o->dtype;
    if (found->request && dtype) {
        const char *wanted = request_hash(a, o, r, found->seed, dtype);
        if (wanted && !strcmp(found->request, wanted)) answer = RESUME_SAME;
        if (said) *said = (struct resumed){found->seed, wanted};
    }
    arena_free(&own);
    return answer;
}

const char *resume_words(enum resume found) {
    return found == RESUME_TORN ? "and is not whole" : found == RESUME_OTHER ? "of another request" : NULL;
}

const char *resume_differs(struct arena *a, const struct options *o, const struct request *r, int k, const char *path) {
    bool may = o->resume && o->on_exists == EXISTS_SKIP; /* else it was an error, or is replaced */
    return may ? resume_words(resume_look(a, o, r, k, path, NULL)) : NULL;
}

bool resume_is_sheet(const char *path) {
    struct job job;
    struct arena a = {0};
    volatile bool is = false;
    bool torn;
    if (name_exists(path) && job_enter(&job)) {
        is = metadata_is_sheet(own_text(&a, path, "Software", &torn));
        job_leave(&job);
    }
    arena_free(&a);
    return is;
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
