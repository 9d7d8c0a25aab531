/* The name of a repository, and where a cache is said to be. Four parts with NULs between: ORG/NAME[@REVISION], what refs/main holds,
 * HF_HUB_CACHE and HF_HOME; of an empty one the cache of the folder. What is found lies in the cache and nowhere else. */
#include "engine/files/checkpoint.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

#define REPO "hub/models--org--name"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void set(const char *variable, const char *value, const char *otherwise) {
    if (setenv(variable, *value ? value : otherwise, 1)) abort();
}

static void find(struct arena *a, const char *repo, bool ours) {
    const char *revision = NULL, *cache = folder_path("hub/models--"), *dir = hub_cache_find(a, "model", repo, &revision);
    if (!dir) return;
    size_t n = strlen(dir), k = strlen("/snapshots/" COMMIT);
    assert(strlen(revision) == strlen(COMMIT) && strspn(revision, "0123456789abcdef") == strlen(COMMIT));
    assert(n > k && !strncmp(dir + n - k, "/snapshots/", strlen("/snapshots/")) && !strcmp(dir + n - strlen(COMMIT), revision));
    if (ours) assert(!strncmp(dir, cache, strlen(cache)) && !strstr(dir, "/.."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    struct parts parts = parts_of(data, n);
    folder_make((const char *const[]){"hub", REPO, REPO "/refs", REPO "/snapshots", REPO "/snapshots/" COMMIT, NULL});
    static char *repo, *ref, *cache, *home;
    free(repo), free(ref), free(cache), free(home);
    repo = part_text(&parts), ref = part_text(&parts), cache = part_text(&parts), home = part_text(&parts);
    folder_put(REPO "/refs/main", ref, strlen(ref));
    set("HF_HUB_CACHE", cache, *home ? "" : folder_path("hub"));
    set("HF_HOME", home, "");
    if (job_enter(&job)) {
        find(&arena, repo, !*cache && !*home);
        job_leave(&job);
    } else check_refusal(&job);
    arena_free(&arena);
    return 0;
}
