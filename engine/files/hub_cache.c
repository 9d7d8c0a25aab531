/* Where huggingface_hub keeps its downloads:
 *
 *     CACHE/models--ORG--NAME/refs/REVISION            the commit, 40 hex digits
 *                             snapshots/COMMIT/unet/…  links into ../blobs, or copies
 *
 * CACHE is $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE (old), $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or
 * ~/.cache/huggingface/hub. */
#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/files/checkpoint.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"

enum { COMMIT_LENGTH = 40, REPO_MAX = 96, REVISION_MAX = 255, REF_BYTES_MAX = 4096 };

/* An empty variable is as good as none. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* ~ and ~user at the beginning, as os.path.expanduser. */
static const char *expand_user(struct arena *a, const char *path) {
    if (*path != '~') return path;
    size_t n = strcspn(path, "/");
    const char *home = n == 1 ? variable("HOME") : NULL;
    if (!home) {
        char *user = arena_strdup(a, path + 1);
        user[n - 1] = 0;
        const struct passwd *entry = n == 1 ? getpwuid(getuid()) : getpwnam(user);
        if (!entry) return path;
        home = entry->pw_dir;
    }
    return arena_printf(a, "%s%s", home, path + n);
}

/* $NAME and ${NAME} as os.path.expandvars: what is not set stays as it is. */
static const char *expand_variables(struct arena *a, const char *path) {
    const char *done = "";
    for (const char *dollar; (dollar = strchr(path, '$'));) {
        bool braced = dollar[1] == '{';
        const char *name = dollar + 1 + braced, *end = name;
        while (isalnum((unsigned char)*end) || *end == '_') end++;
        const char *rest = end + (braced && *end == '}');
        char *key = arena_strdup(a, name);
        key[end - name] = 0;
        const char *value = end > name && (!braced || *end == '}') ? getenv(key) : NULL;
        done = value ? arena_printf(a, "%s%.*s%s", done, (int)(dollar - path), path, value)
                     : arena_printf(a, "%s%.*s", done, (int)(rest - path), path);
        path = rest;
    }
    return arena_printf(a, "%s%s", done, path);
}

static const char *cache_dir(struct arena *a) {
    const char *path = variable("HF_HUB_CACHE");
    if (!path) path = variable("HUGGINGFACE_HUB_CACHE");
    if (!path && variable("HF_HOME")) path = arena_printf(a, "%s/hub", variable("HF_HOME"));
    if (!path && variable("XDG_CACHE_HOME")) path = arena_printf(a, "%s/huggingface/hub", variable("XDG_CACHE_HOME"));
    if (!path) path = "~/.cache/huggingface/hub";
    return expand_variables(a, expand_user(a, path));
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* [ORG/]NAME: letters, digits, - _ . as huggingface_hub's validate_repo_id. */
static bool is_repo_id(const char *repo) {
    size_t n = strlen(repo), slashes = 0;
    for (const char *s = repo; *s; s++) {
        if (*s == '/') slashes++;
        else if (!is_name_char(*s)) return false;
        bool edge = s == repo || s[-1] == '/' || !s[1] || s[1] == '/';
        if (edge && (*s == '-' || *s == '.' || *s == '/')) return false;
    }
    return n > 0 && n <= REPO_MAX && slashes <= 1 && !strstr(repo, "--") && !strstr(repo, "..");
}

/* A branch, tag, refs/pr/N or commit: it becomes part of a path. */
static bool is_revision(const char *revision) {
    size_t n = strlen(revision);
    for (const char *s = revision; *s; s++)
        if (!is_name_char(*s) && *s != '/' && *s != '+') return false;
    return n > 0 && n <= REVISION_MAX && *revision != '/' && *revision != '.' && !strstr(revision, "..");
}

static bool is_commit(const char *s) {
    return strlen(s) == COMMIT_LENGTH && strspn(s, "0123456789abcdef") == COMMIT_LENGTH;
}

/* ---- look-up ----------------------------------------------------------------------------------------------------- */

static const char *read_ref(struct arena *a, const char *path) {
    size_t n;
    char *commit = read_file(a, path, REF_BYTES_MAX, &n);
    while (n && isspace((unsigned char)commit[n - 1])) commit[--n] = 0;
    if (n != COMMIT_LENGTH || !is_commit(commit)) die(FAIL_DATA, "%s: expected a commit of 40 hex digits", path);
    return commit;
}

static char *repo_folder(struct arena *a, const char *repo) {
    const char *slash = strchr(repo, '/');
    if (!slash) return arena_printf(a, "%s/models--%s", cache_dir(a), repo);
    return arena_printf(a, "%s/models--%.*s--%s", cache_dir(a), (int)(slash - repo), repo, slash + 1);
}

const char *hub_cache_find(struct arena *a, const char *what, const char *repo, const char **revision) {
    char *name = arena_strdup(a, repo), *at = strchr(name, '@');
    const char *wanted = "main";
    if (at) *at = 0, wanted = at + 1;
    if (!is_repo_id(name)) die(FAIL_USAGE, "%s '%s': no such directory, and not the name of a repository (ORG/NAME)", what, repo);
    if (!is_revision(wanted)) die(FAIL_USAGE, "%s '%s': not a revision: '%s'", what, repo, wanted);
    const char *folder = repo_folder(a, name);
    if (!is_commit(wanted)) {
        const char *ref = arena_printf(a, "%s/refs/%s", folder, wanted);
        if (!file_exists(ref)) return NULL;
        wanted = read_ref(a, ref);
    }
    const char *dir = arena_printf(a, "%s/snapshots/%s", folder, wanted);
    struct stat st;
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) return NULL;
    *revision = wanted;
    return dir;
}

/* "ORG/NAME" of a folder "models--ORG--NAME"; NULL for others. */
static const char *repo_of_folder(struct arena *a, const char *folder) {
    static const char prefix[] = "models--";
    if (strncmp(folder, prefix, sizeof prefix - 1)) return NULL;
    char *repo = arena_strdup(a, folder + sizeof prefix - 1), *dashes = strstr(repo, "--");
    if (dashes) *dashes = '/', memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    return is_repo_id(repo) ? repo : NULL;
}

/* Its main revision is here, and a pipeline. */
static bool is_pipeline(struct arena *a, const char *repo) {
    size_t n;
    const char *folder = repo_folder(a, repo), *ref = arena_printf(a, "%s/refs/main", folder);
    if (!file_exists(ref)) return false;
    const char *commit = arena_printf(a, "%.*s", COMMIT_LENGTH, read_file(a, ref, REF_BYTES_MAX, &n));
    return is_commit(commit) && file_exists(arena_printf(a, "%s/snapshots/%s/model_index.json", folder, commit));
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int hub_cache_list(struct arena *a, const char **folder, const char *repos[], int max) {
    *folder = cache_dir(a);
    DIR *d = sys.opendir(*folder);
    int n = 0;
    for (struct dirent *e; d && n < max && (e = readdir(d));) {
        const char *repo = repo_of_folder(a, e->d_name);
        if (repo && is_pipeline(a, repo)) repos[n++] = repo;
    }
    if (d) closedir(d);
    qsort(repos, (size_t)n, sizeof *repos, compare_names);
    return n;
}
