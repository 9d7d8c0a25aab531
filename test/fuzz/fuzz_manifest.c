/* A manifest as a crash, an editor or a stranger left it: what it holds stays, a picture without a line gets one, and none the next time.
 */
#include "cli/manifest.h"
#include "engine/base/file.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

/* The manifest, once the picture has its line; how many there are of it now. */
static const char *restored(struct arena *a, size_t *n, uint64_t *lines) {
    const char *path = arena_strdup(a, folder_path("manifest")), *file = arena_strdup(a, folder_path("a.png"));
    struct manifest *m = manifest_open(a, path, NULL, true);
    manifest_restore(m, &(struct manifest_line){.id = "a", .line = 1, .file = file, .request = "00ff"});
    *lines = manifest_restored(m);
    return read_file(a, path, 1 << 30, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    size_t first_n, again_n;
    uint64_t first_lines, again_lines;
    folder_make((const char *const[]){NULL});
    folder_put("manifest", n ? (const char *)data : "\n", n ? n : 1);
    folder_put("a.png", "picture", 7);
    error_quiet = 1;
    if (job_enter(&job)) {
        const char *first = restored(&arena, &first_n, &first_lines);
        const char *again = restored(&arena, &again_n, &again_lines);
        assert(first_lines == 1 && again_lines == 0);
        assert(first_n > n && again_n == first_n && !memcmp(first, again, first_n));
        assert(!n || !memcmp(first, data, n));
        job_leave(&job);
    } else {
        check_refusal(&job);
        assert(job.code == FAIL_CREATE || job.code == FAIL_DATA);
    }
    arena_free(&arena);
    return 0;
}
