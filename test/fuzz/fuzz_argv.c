/* The command line: standard input and then the words, NULs between. What is accepted is within its bounds. */
#include <fcntl.h>
#include "cli/options.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

enum { WORDS_MAX = 24 };

/* Might the word be an option that prints something and ends the program? */
static bool ends_program(const char *word) {
    static const char *const names[] = {"help", "version", "man", "completion", NULL};
    if (*word != '-') return false;
    if (word[1] != '-') return strpbrk(word, "hV") != NULL;
    size_t n = strcspn(word + 2, "=");
    for (int i = 0; names[i]; i++)
        if (n && !strncmp(names[i], word + 2, n)) return true;
    return false;
}

static void parse(struct arena *a, int argc, char **argv) {
    struct options o;
    options_parse(a, &o, argc, argv);
    const struct settings *s = &o.settings;
    assert(s->count >= 1 && s->seed <= UINT64_MAX - (uint64_t)(s->count - 1));
    assert(s->width % 8 == 0 && s->height % 8 == 0 && s->steps >= 0 && s->steps <= 1000000 && s->clip_skip >= 0 && s->clip_skip <= 1000);
    assert(!(s->guidance < 0) && !(s->guidance > 100) && s->eta >= 0 && s->eta <= 1 && s->guidance_rescale >= 0 &&
           s->guidance_rescale <= 1);
    assert(!s->prompt || (strlen(s->prompt) <= TEXT_MAX && utf8_valid(s->prompt, strlen(s->prompt), NULL)));
    assert(o.threads >= 0 && o.threads <= 1024 && o.quality >= 0 && o.quality <= 100 && o.save_every >= 0 && o.bench >= 0);
    assert(o.output && *o.output && (s->model || o.command == CMD_LIST_SCHEDULERS));
}

/* Standard input is a file of these. */
static void set_input(const char *text, size_t n) {
    folder_put("input", n ? text : "\n", n ? n : 1);
    int fd = open(folder_path("input"), O_RDONLY);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    static char *argv[WORDS_MAX + 2] = {"diffuse"};
    struct parts parts = parts_of(data, n);
    folder_make((const char *const[]){NULL});
    const char *input = part_next(&parts, &n);
    set_input(input, n);
    for (int i = 1; argv[i]; i++) free(argv[i]), argv[i] = NULL;
    int argc = 1;
    bool ends = false;
    while (parts.at < parts.end && argc <= WORDS_MAX) {
        argv[argc] = part_text(&parts);
        ends |= ends_program(argv[argc++]);
    }
    unsetenv("DIFFUSE_MODEL");
    unsetenv("DIFFUSE_DEVICE");
    options_ask_json(argc, argv);
    if (!ends && job_enter(&job)) {
        parse(&arena, argc, argv);
        job_leave(&job);
    } else if (!ends) check_refusal(&job);
    arena_free(&arena);
    return 0;
}
