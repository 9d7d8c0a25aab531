#include "engine/files/single_open.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/files/weight_files.h"

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* The model_index.json a kind would have. */
static struct json *index_of(struct arena *a, const struct single_kind *kind, const char *path) {
    struct buffer b = {.arena = a};
    buffer_printf(&b, "{\"_class_name\": \"%s\"", kind->pipeline);
    for (const struct single_part *p = kind->parts; p->name; p++)
        buffer_printf(&b, ", \"%s\": [\"%s\", \"%s\"]", p->name, p->library, p->class_name);
    if (kind->options) buffer_printf(&b, ", %s", kind->options);
    buffer_printf(&b, "}");
    return json_parse(a, b.data, b.length, path);
}

/* A file whose name says that weights are in it, of whatever format. */
static bool is_weights(const char *path) {
    static const char *const ends[] = {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf"};
    struct stat st;
    bool named = false;
    for (size_t i = 0, n = strlen(path); i < sizeof ends / sizeof *ends; i++)
        named |= n > strlen(ends[i]) && !strcmp(path + n - strlen(ends[i]), ends[i]);
    return named && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool single_list(struct arena *a, struct checkpoint *c, const struct source *source) {
    if (!is_weights(source->model)) {
        if (source->config) die(FAIL_USAGE, "--config: %s is no .safetensors file: it has a configuration of its own", source->model);
        return false;
    }
    c->dir = c->name;
    c->file = st_open(a, source->model);
    c->kind = single_kind_of(c->file);
    if (source->config) {
        const char *revision;
        c->config_dir = checkpoint_locate(a, "--config DIR", source->config, &revision);
        checkpoint_read_index(a, c, json_load(a, arena_printf(a, "%s/model_index.json", c->config_dir)));
        c->generation = generation_load(a, c->config_dir);
    } else {
        checkpoint_read_index(a, c, index_of(a, c->kind, c->dir));
        c->prediction = single_prediction_of(c->file, c->kind);
        c->generation.guidance = NAN;
    }
    return true;
}

/* ---- configurations ---------------------------------------------------------------------------------------------- */

/* A part's config with what more there is to say, before its closing brace. */
static struct json *builtin_config(const struct checkpoint *c, const struct component *m, const char *text) {
    struct buffer b = {.arena = m->arena};
    bool schedules = !strcmp(m->name, "scheduler");
    buffer_add(&b, text, strlen(text) - 1);
    if (schedules) buffer_printf(&b, ", \"prediction_type\": \"%s\"", c->prediction.type);
    if (schedules && c->prediction.zero_snr) buffer_printf(&b, ", \"rescale_betas_zero_snr\": true");
    buffer_printf(&b, "}");
    return json_parse(m->arena, b.data, b.length, arena_printf(m->arena, "%s: built-in %s configuration", c->name, m->name));
}

/* From --config, else the built-in one of the part. */
static void read_config(const struct checkpoint *c, struct component *m, enum component_kind kind, const struct single_part *part) {
    const char *folder = c->config_dir ? arena_printf(m->arena, "%s/%s", c->config_dir, m->name) : NULL;
    bool scheduler = kind == COMPONENT_SCHEDULER;
    m->dir = c->dir;
    if (kind == COMPONENT_TOKENIZER) {
        if (folder && component_in(m->arena, folder, kind)) m->dir = folder;
        else m->builtin = part->config;
    } else if (folder) {
        m->config = json_load(m->arena, arena_printf(m->arena, "%s/%s.json", folder, scheduler ? "scheduler_config" : "config"));
    } else {
        m->config = builtin_config(c, m, part->config);
    }
    if (m->config) component_check_config(m->config);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static void take_file(struct component *m, struct st_file *f, const struct dialect *dialect) {
    m->n_files = 1;
    m->files = arena_alloc(m->arena, sizeof *m->files);
    m->files[0] = f;
    m->dialect = dialect;
}

void single_component_open(const struct checkpoint *c, struct component *m, enum component_kind kind) {
    const struct single_part *part = single_part_find(c->kind, m->name);
    if (!part) die(FAIL_UNSUPPORTED, "%s: '%s' of %s: a file of %s has none", c->name, m->name, json_path(c->index), c->kind->name);
    read_config(c, m, kind, part);
    if (kind != COMPONENT_NET) return;
    const struct dialect *dialect = single_dialect(m->arena, c->file, part);
    if (!dialect)
        die_hint(FAIL_INPUT, strcmp(m->name, "vae") ? NULL : "--vae FILE, or a directory", "%s: holds no %s: no tensor '%s…'", c->name,
                 m->name, part->prefixes[0]);
    take_file(m, c->file, dialect);
}

/* Under the prefix of a whole checkpoint, or bare; or under our own names. */
static const struct dialect *vae_dialect(struct arena *a, const struct st_file *f) {
    static const struct dialect bare = {"", vae_renames};
    const struct dialect *prefixed = single_dialect(a, f, single_part_find(&single_sd1, "vae"));
    return prefixed ? prefixed : st_find(f, "decoder.up.0.block.0.norm1.weight") ? &bare : &dialect_old_attention;
}

void vae_open(const struct checkpoint *c, struct component *m, const char *variant) {
    if (is_weights(c->vae)) {
        component_open(c, m, COMPONENT_CONFIG, variant);
        struct st_file *f = st_open(m->arena, c->vae);
        take_file(m, f, vae_dialect(m->arena, f));
        return;
    }
    const char *revision, *dir = checkpoint_locate(m->arena, "--vae DIR", c->vae, &revision),
                          *inner = arena_printf(m->arena, "%s/vae", dir);
    m->dir = component_in(m->arena, dir, COMPONENT_NET) ? dir : inner;
    m->config = json_load(m->arena, arena_printf(m->arena, "%s/config.json", m->dir));
    component_check_config(m->config);
    weight_files_open(m, variant, c);
}
