#include "cli/archive.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/result.h"
#include "engine/base/error.h"
#include "engine/base/text.h"

enum { BLOCK = 512, NAME_BYTES = 100 };

void archive_check(const struct options *o) {
    const char *other = o->resume ? "--resume" : o->json ? "--json" : o->null_separated ? "--null" : NULL;
    if (o->json) events_enable(false);
    if (other) die(FAIL_USAGE, "--archive and %s: %s", other, o->resume ? "no picture is a file" : "both write to standard output");
    if (!o->dry_run && isatty(STDOUT_FILENO))
        die_hint(FAIL_USAGE, "'> FILE.tar' or '| program'", "--archive: standard output is a terminal");
}

void archive_check_name(const char *name) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *dot = strchr(base, '.');
    if (strlen(name) >= NAME_BYTES - strlen(".json")) die(FAIL_USAGE, "%s: expected a name of less than 95 bytes for --archive", name);
    if (*name == '/' || strstr(name, "..")) die(FAIL_USAGE, "%s: expected a name below the archive's root for --archive", name);
    if (dot && strchr(dot + 1, '.')) die(FAIL_USAGE, "%s: expected one dot for --archive, where the extension begins, found more", name);
}

/* Owner and time are nobody's, so that the same jobs make the same bytes. */
static void add_entry(struct buffer *b, const char *name, const void *data, size_t size) {
    static const char zeros[BLOCK];
    char header[BLOCK] = {0};
    unsigned sum = 0;
    snprintf(header, NAME_BYTES, "%s", name);
    snprintf(header + 100, 8, "%07o", 0644);
    snprintf(header + 108, 8, "%07o", 0);
    snprintf(header + 116, 8, "%07o", 0);
    snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(header + 136, 12, "%011o", 0);
    memset(header + 148, ' ', 8); /* the sum is of the header with blanks in its place */
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    buffer_add(b, header, BLOCK);
    buffer_add(b, data, size);
    buffer_add(b, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

void archive_add(struct arena *a, const char *name, const void *file, size_t size, const char *json) {
    struct buffer b = {.arena = a};
    const char *slash = strrchr(name, '/');
    size_t stem = (size_t)(slash ? slash - name : 0);
    stem += strcspn(name + stem, ".");
    add_entry(&b, name, file, size);
    if (json) add_entry(&b, arena_printf(a, "%.*s.json", (int)stem, name), json, strlen(json));
    result_write(b.data, b.length);
}

void archive_end(void) {
    static const char zeros[2 * BLOCK];
    result_write(zeros, sizeof zeros);
}
