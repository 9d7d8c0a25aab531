/* A batch's lines, prompts or JSON objects, as a file on standard input: a line that is wrong is named; where none is, the model is, which
 * is not there. */
#include <fcntl.h>
#include "cli/jobs.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    static char *argv[] = {"diffuse", "-q", "--device", "cpu", "-m", "/nowhere", "-b", "-", NULL};
    struct job job;
    struct options o;
    folder_make((const char *const[]){NULL});
    folder_put("jobs", n ? (const char *)data : "\n", n ? n : 1);
    int fd = open(folder_path("jobs"), O_RDONLY);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) abort();
    close(fd);
    if (job_enter(&job)) {
        options_parse(&arena, &o, (int)(sizeof argv / sizeof *argv) - 1, argv);
        jobs(&arena, &o);
        assert(!"there is no model");
    }
    check_refusal(&job);
    bool of_line = !strncmp(job.message, "standard input: line ", strlen("standard input: line "));
    assert(of_line || (job.code == FAIL_INPUT && !strncmp(job.message, "/nowhere: ", strlen("/nowhere: "))));
    arena_free(&arena);
    return 0;
}
