/* An options file: its words, quoted anew, are read as the same words, in memory of the file's size; where it is refused, a line is named
 * before which all is well. */
#include "cli/options_file.h"
#include "engine/base/buffer.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

/* What was read: the words, a NUL behind each and a newline behind those of a line, and a file of them with quotes. */
struct reading {
    struct arena arena;
    struct buffer words, quoted;
};

/* In '…' or in "…". */
static void quote(struct buffer *b, const char *word, bool single) {
    buffer_add(b, single ? "'" : "\"", 1);
    for (; *word; word++) {
        if (single && *word == '\'') buffer_add(b, "'\\'", 3);
        if (!single && (*word == '"' || *word == '\\')) buffer_add(b, "\\", 1);
        buffer_add(b, word, 1);
    }
    buffer_add(b, single ? "' " : "\" ", 2);
}

/* As options_parse does, dies where a word is wrong: it is "!". */
static void take(void *data, int argc, char **argv) {
    struct reading *r = data;
    assert(argc > 1 && argc <= OPTIONS_LINE_WORDS_MAX + 1 && !argv[argc]);
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "!")) die(FAIL_USAGE, "refused");
    for (int i = 1; i < argc; i++) {
        assert(!strchr(argv[i], '\n'));
        buffer_add(&r->words, argv[i], strlen(argv[i]) + 1);
        quote(&r->quoted, argv[i], i % 2);
    }
    buffer_add(&r->words, "\n", 1);
    buffer_add(&r->quoted, "\r\n", 2);
}

/* False: refused, as the job says. */
static bool reads(struct reading *r, struct job *job, const void *data, size_t n) {
    arena_free(&r->arena);
    r->words = r->quoted = (struct buffer){.arena = &r->arena};
    buffer_add(&r->words, "", 0);
    folder_put("options", n ? data : "\n", n ? n : 1);
    if (job_enter(job)) {
        options_file_read(&r->arena, folder_path("options"), take, r);
        job_leave(job);
        assert(r->arena.bytes < (64 << 10) + 256 * n);
        return true;
    }
    check_refusal(job);
    return false;
}

static void check_same(const struct reading *one, const struct reading *other) {
    assert(one->words.length == other->words.length && !memcmp(one->words.data, other->words.data, one->words.length));
}

/* How many bytes stand before the line that the message names; of the whole file it says another thing. */
static size_t before_fault(const struct job *job, const char *data, size_t n) {
    const char *path = folder_path("options"), *end = data + n;
    int line = 1;
    assert(!strncmp(job->message, path, strlen(path)));
    bool of_file = n > OPTIONS_FILE_MAX || memchr(data, 0, n);
    assert(of_file == (job->code == FAIL_DATA));
    if (!of_file) assert(sscanf(job->message + strlen(path), ": line %d: ", &line) == 1 && line > 0);
    for (; line > 1; line--) {
        data = memchr(data, '\n', (size_t)(end - data));
        assert(data++);
    }
    return n - (size_t)(end - data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct reading first, again; /* static: they outlive the longjmp of a refusal */
    static struct job job;
    folder_make((const char *const[]){NULL});
    if (!reads(&first, &job, data, n)) {
        if (!reads(&again, &job, data, before_fault(&job, (const char *)data, n))) assert(!"what is before the line is well");
        check_same(&first, &again);
    }
    if (first.quoted.length > OPTIONS_FILE_MAX) return 0;
    if (!reads(&again, &job, first.quoted.data, first.quoted.length)) assert(!"quotes keep words");
    check_same(&first, &again);
    return 0;
}
