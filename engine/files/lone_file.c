#include "engine/files/lone_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"
#include "engine/files/checkpoint.h"

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool is_pickle(const char *path) {
    return ends_with(path, ".pt") || ends_with(path, ".bin") || ends_with(path, ".pth") || ends_with(path, ".ckpt");
}

static _Noreturn void die_pickle(const char *path) {
    die_hint(FAIL_UNSUPPORTED,
             "python3 -c 'import sys, torch; from safetensors.torch import save_file; d = torch.load(sys.argv[1], weights_only=True); "
             "d = {\"emb_params\": d[\"string_to_param\"][\"*\"]} if \"string_to_param\" in d else d; "
             "save_file({k: v.detach().contiguous() for k, v in d.items()}, sys.argv[2])' FILE NEW.safetensors",
             "%s: a pickle, which can run code: expected a .safetensors file", path);
}

static const char *file_in(struct arena *a, const char *dir, const char *usual) {
    const char *own = arena_printf(a, "%s/%s", dir, usual), *found = NULL, *pickle = NULL;
    int n = 0;
    if (name_exists(own)) return own;
    DIR *d = sys.opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (ends_with(e->d_name, ".safetensors")) n++, found = arena_printf(a, "%s/%s", dir, e->d_name);
        if (is_pickle(e->d_name)) pickle = arena_printf(a, "%s/%s", dir, e->d_name);
    }
    if (d) closedir(d);
    if (n == 1) return found;
    if (n == 0 && pickle) die_pickle(pickle);
    die(FAIL_INPUT, "%s: expected %s or one .safetensors file, found %d", dir, usual, n);
}

const char *lone_file(struct arena *a, const char *option, const char *path, const char *usual) {
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (is_pickle(path) && !there) die(FAIL_INPUT, "%s: %s", path, strerror(errno));
    if (is_pickle(path) && !S_ISDIR(st.st_mode)) die_pickle(path);
    if (ends_with(path, ".safetensors") || (there && !S_ISDIR(st.st_mode))) return arena_strdup(a, path);
    return file_in(a, checkpoint_locate_lone(a, option, path), usual);
}
