#include "engine/pipelines/identity.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/sys.h"

enum { FILES_MAX = 4096 /* of a folder */, TEXT_MAX = 64 << 20 /* vocabularies among them */ };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Its configs and vocabularies, in order. */
static int list(struct arena *a, const char *dir, const char *names[FILES_MAX]) {
    DIR *d = sys.opendir(dir);
    int n = 0;
    for (struct dirent *e; d && n < FILES_MAX && (e = readdir(d));)
        if (*e->d_name != '.' && (ends_with(e->d_name, ".json") || ends_with(e->d_name, ".txt"))) names[n++] = arena_strdup(a, e->d_name);
    if (d) closedir(d);
    qsort(names, (size_t)n, sizeof *names, compare_names);
    return n;
}

static void add_text(struct sha256 *h, const char *text) {
    sha256_add(h, text, strlen(text) + 1);
}

static void add_file(struct arena *a, struct sha256 *h, const char *dir, const char *name) {
    const char *path = arena_printf(a, "%s/%s", dir, name);
    size_t size;
    if (!name_exists(path)) return;
    const char *text = read_file(a, path, TEXT_MAX, &size);
    add_text(h, name);
    sha256_add(h, text, size);
}

/* Whatever lies in the folder, since what is read of it is the part's affair. */
static void add_folder(struct sha256 *h, const char *dir) {
    struct arena a = {0};
    const char **names = arena_array(&a, FILES_MAX, sizeof *names);
    int n = list(&a, dir, names);
    for (int i = 0; i < n; i++) add_file(&a, h, dir, names[i]);
    arena_free(&a);
}

static void add_part(struct sha256 *h, struct arena *a, struct weight_hashes *hashes, const struct component *c) {
    const char *hash = weight_hash(a, hashes, c);
    add_text(h, c->name);
    add_text(h, c->class_name ? c->class_name : "");
    if (!c->builtin) add_folder(h, c->dir); /* which is no folder where all is one file */
    if (hash) add_text(h, hash);
}

static void add_model(struct sha256 *h, struct model *m) {
    const struct checkpoint *c = m->checkpoint;
    const char *base = c->file ? c->config_dir : c->dir;
    add_text(h, m->class->name);
    if (c->file && !c->config_dir) { /* read by the configuration of its kind */
        add_text(h, c->kind->name);
        add_text(h, c->prediction.type ? c->prediction.type : "");
        add_text(h, c->prediction.zero_snr ? "zero snr" : "");
    }
    if (base) add_file(m->arena, h, base, "model_index.json");
    if (base) add_file(m->arena, h, base, "generation_config.json");
    for (int i = 0; i < N_PARTS; i++)
        if (m->parts[i]) add_part(h, m->arena, m->hashes, m->parts[i]);
}

uint64_t model_identity_unknown(struct model *m) {
    uint64_t bytes = 0;
    model_hash_weights(m);
    for (const struct model *each = m; each; each = each->refiner) bytes += weight_hashes_unknown(each->hashes);
    for (int i = 0; m->controls && i < m->controls->n; i++) bytes += weight_hashes_unknown(m->controls->items[i].hashes);
    return bytes;
}

const char *control_identity(struct model *m, const struct control_net *n) {
    struct sha256 h;
    char *hex = arena_alloc(m->arena, SHA256_HEX);
    model_hash_weights(m);
    if (weight_hashes_unknown(n->hashes)) weight_hashes_finish(n->hashes);
    sha256_begin(&h);
    add_part(&h, m->arena, n->hashes, n->component);
    sha256_end(&h, hex);
    return hex;
}

const char *model_identity(struct model *m) {
    struct sha256 h;
    if (m->identity) return m->identity;
    char *hex = arena_alloc(m->arena, SHA256_HEX);
    model_hash_weights(m);
    sha256_begin(&h);
    for (struct model *each = m; each; each = each->refiner) {
        if (weight_hashes_unknown(each->hashes)) weight_hashes_finish(each->hashes);
        add_model(&h, each);
    }
    sha256_end(&h, hex);
    return m->identity = hex;
}
