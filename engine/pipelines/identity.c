#include "engine/pipelines/identity.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/sys.h"
#include "engine/pipelines/classes.h"
#include "engine/pipelines/model.h"

enum { FILES_MAX = 4096 /* of a folder */, CONFIG_MAX = 64 << 10 /* a vocabulary is longer */ };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Its configs, vocabularies and weights, in order. */
static int list(struct arena *a, const char *dir, const char *names[FILES_MAX]) {
    DIR *d = sys.opendir(dir);
    int n = 0;
    for (struct dirent *e; d && n < FILES_MAX && (e = readdir(d));)
        if (*e->d_name != '.' && (ends_with(e->d_name, ".json") || ends_with(e->d_name, ".txt") || ends_with(e->d_name, ".safetensors")))
            names[n++] = arena_strdup(a, e->d_name);
    if (d) closedir(d);
    qsort(names, (size_t)n, sizeof *names, compare_names);
    return n;
}

/* The blob's name, or NULL. */
static const char *blob_of(struct arena *a, const char *path) {
    char link[PATH_MAX];
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n <= 0) return NULL;
    link[n] = 0;
    const char *name = strrchr(link, '/');
    bool blob = name && name - link >= 6 && !strncmp(name - 6, "/blobs", 6);
    return blob ? arena_strdup(a, name + 1) : NULL;
}

static void add_text(struct sha256 *h, const char *text) {
    sha256_add(h, text, strlen(text) + 1);
}

static void add_file(struct arena *a, struct sha256 *h, const char *path) {
    const char *blob = blob_of(a, path);
    struct stat st;
    size_t n;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return;
    if (blob) add_text(h, blob);
    else if (ends_with(path, ".json") && st.st_size <= CONFIG_MAX) add_text(h, read_file(a, path, CONFIG_MAX, &n));
    else add_text(h, arena_printf(a, "%lld", (long long)st.st_size));
}

static void add_folder(struct arena *a, struct sha256 *h, const char *dir) {
    const char **names = arena_array(a, FILES_MAX, sizeof *names);
    int n = list(a, dir, names);
    for (int i = 0; i < n; i++) {
        add_text(h, names[i]);
        add_file(a, h, arena_printf(a, "%s/%s", dir, names[i]));
    }
}

static void add_part(struct arena *a, struct sha256 *h, const char *base, const char *part) {
    const char *dir = arena_printf(a, "%s/%s", base, part);
    add_text(h, part);
    add_folder(a, h, name_exists(dir) ? dir : base); /* a lone model lies in the folder itself */
}

/* One file, which may be read by a configuration from elsewhere. */
static void add_single(struct arena *a, struct sha256 *h, const struct checkpoint *c) {
    add_file(a, h, c->dir);
    add_text(h, c->kind->name);
    add_text(h, c->config_dir ? "" : c->prediction.type);
    add_text(h, !c->config_dir && c->prediction.zero_snr ? "zero snr" : "");
}

static void add_checkpoint(struct arena *a, struct sha256 *h, const struct source *source) {
    struct checkpoint *c = checkpoint_list(a, source);
    const struct pipeline_class *class = pipeline_class_of(a, c);
    const char *base = c->file ? c->config_dir : c->dir;
    add_text(h, class->name);
    if (c->file) add_single(a, h, c);
    if (base) add_file(a, h, arena_printf(a, "%s/generation_config.json", base));
    for (const struct part_spec *part = class->parts; base && part->name; part++) add_part(a, h, base, part->name);
    if (c->vae) add_file(a, h, c->vae);
    if (c->vae) add_folder(a, h, c->vae);
    if (c->file) st_close(c->file);
    checkpoint_close(c);
}

const char *model_identity(struct arena *a, const struct settings *settings) {
    struct source source = settings_source(settings);
    char *hex = arena_alloc(a, SHA256_HEX);
    struct sha256 h;
    sha256_begin(&h);
    add_checkpoint(a, &h, &source);
    source.model = settings->refiner;
    source.config = NULL;
    if (settings->refiner) add_checkpoint(a, &h, &source);
    sha256_end(&h, hex);
    return hex;
}
