#include "engine/files/checkpoint.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/files/safetensors.h"
#include "engine/files/single_open.h"
#include "engine/files/weight_files.h"

enum { COMPONENTS_MAX = 64 };

/* ---- where it is ------------------------------------------------------------------------------------------------- */

/* /…, ./… and ../ can only be meant as directories. */
static bool is_path(const char *model) {
    return *model == '/' || strncmp(model, "./", 2) == 0;
}

static const char *without_revision(struct arena *a, const char *model) {
    return arena_printf(a, "%.*s", (int)strcspn(model, "@"), model);
}

/* files: hf's arguments for those that are wanted of a repository. */
static const char *locate(struct arena *a, const char *option, const char *model, const char **revision, const char *files) {
    struct stat st;
    *revision = NULL;
    int error = *model == 0 ? ENOENT : stat(model, &st) == 0 ? 0 : errno;
    if (!error && S_ISDIR(st.st_mode)) return arena_strdup(a, model);
    const char *kind = error ? NULL : st_kind(model);
    if (!error)
        die(kind ? FAIL_DATA : FAIL_INPUT, "%s: expected the directory of a checkpoint or a .safetensors file, found %s", model,
            kind ? kind : "a file");
    if (is_path(model) || error != ENOENT) die(FAIL_INPUT, "%s: %s", strlen(model) > 512 ? "model" : model, strerror(error));
    const char *what = arena_printf(a, "%.*s", (int)strcspn(option, " "), option);
    const char *dir = hub_cache_find(a, strcmp(what, "-m") ? what : "model", model, revision);
    if (dir) return dir;
    const char *repo = without_revision(a, model), *wanted = model + strlen(repo);
    const char *hint = arena_printf(a, "%s, or ORG/NAME as Hugging Face has it", option);
    if (strchr(repo, '/'))
        hint = arena_printf(a, "hf download %s%s%s %s", repo, *wanted ? " --revision " : "", *wanted ? wanted + 1 : "", files);
    die_hint(FAIL_INPUT, hint, "%s: no such directory, and not in the Hugging Face cache", model);
}

const char *checkpoint_locate(struct arena *a, const char *option, const char *model, const char **revision) {
    return locate(a, option, model, revision,
                  "--include '*.json' --include '*.txt' --include '*diffusion_pytorch_model.safetensors' --include '*/model.safetensors'");
}

const char *checkpoint_locate_lone(struct arena *a, const char *option, const char *model) {
    const char *revision;
    return locate(a, option, model, &revision, "--include '*.safetensors'");
}

static _Noreturn void fail_no_index(struct arena *a, const char *dir) {
    const char *pickle = pickle_in(a, dir);
    if (pickle)
        die_hint(FAIL_UNSUPPORTED, "convert it: diffusers' StableDiffusionPipeline.from_single_file(FILE).save_pretrained(DIR)",
                 "%s: no model_index.json, only pickle weights (%s), which are never loaded", dir, pickle);
    die_hint(FAIL_INPUT, "expected a directory as diffusers' save_pretrained writes it", "%s: no model_index.json", dir);
}

/* ---- components -------------------------------------------------------------------------------------------------- */

/* A component's name becomes a folder's. */
static bool is_component_name(const char *name) {
    for (const char *s = name; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-') return false;
    return *name && strlen(name) <= 64;
}

void component_check_config(const struct json *config) {
    if (!json_is_null(config, "auto_map")) die(FAIL_UNSUPPORTED, "%s: 'auto_map' names custom code, which is never run", json_path(config));
    if (!json_is_null(config, "quantization_config"))
        die(FAIL_UNSUPPORTED, "%s: 'quantization_config': quantized weights are not supported", json_path(config));
}

static void check_variant_name(const char *variant) {
    for (const char *s = variant; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_-.", *s)) die(FAIL_USAGE, "--variant '%s': expected a name like fp16", variant);
}

bool component_in(struct arena *a, const char *dir, enum component_kind kind) {
    static const char *const files[][2] = {[COMPONENT_NET] = {"config.json", "config.json"},
                                           [COMPONENT_SCHEDULER] = {"scheduler_config.json", "scheduler_config.json"},
                                           [COMPONENT_TOKENIZER] = {"tokenizer.json", "vocab.json"},
                                           [COMPONENT_EXTRACTOR] = {"preprocessor_config.json", "preprocessor_config.json"},
                                           [COMPONENT_CONFIG] = {"config.json", "config.json"}};
    for (int i = 0; i < 2; i++)
        if (name_exists(arena_printf(a, "%s/%s", dir, files[kind][i]))) return true;
    return false;
}

/* Its folder, or the checkpoint's own: old repositories keep their only model at the top. */
static const char *find_dir(const struct checkpoint *c, const struct component *m, enum component_kind kind) {
    const char *folder = arena_printf(m->arena, "%s/%s", c->dir, m->name);
    if (!c->index) return c->dir;
    struct stat st;
    int error = stat(folder, &st) == 0 ? 0 : errno;
    if (!error && S_ISDIR(st.st_mode)) return folder;
    if (!error) die(FAIL_INPUT, "%s: expected a directory, found a file", folder);
    if (error != ENOENT) die(FAIL_INPUT, "%s: %s", folder, strerror(error));
    if (component_in(m->arena, c->dir, kind)) return c->dir;
    die_hint(FAIL_INPUT, download_hint(m->arena, c), "%s: %s names it, and it is not there%s", folder,
             strrchr(json_path(c->index), '/') + 1, download_interrupted(m->arena, c) ? ": the download was interrupted" : "");
}

static struct json *load_config(const struct checkpoint *c, const struct component *m, const char *name) {
    const char *path = arena_printf(m->arena, "%s/%s", m->dir, name);
    bool interrupted = !name_exists(path) && download_interrupted(m->arena, c);
    if (interrupted) die_hint(FAIL_INPUT, download_hint(m->arena, c), "%s: missing: the download was interrupted", path);
    return json_load(m->arena, path);
}

void component_open(const struct checkpoint *c, struct component *m, enum component_kind kind, const char *variant) {
    if (kind == COMPONENT_NET && c->vae && !strcmp(m->name, "vae")) return vae_open(c, m, variant);
    if (c->file) return single_component_open(c, m, kind);
    m->dir = find_dir(c, m, kind);
    if (kind == COMPONENT_SCHEDULER && !m->config) m->config = load_config(c, m, "scheduler_config.json");
    if (kind == COMPONENT_SCHEDULER && !json_n_keys(m->config))
        warn("%s: no scheduler beside the model: %s as it is by default; -x NAME for another", c->dir, m->class_name);
    if (kind == COMPONENT_EXTRACTOR) m->config = load_config(c, m, "preprocessor_config.json");
    if (kind != COMPONENT_NET && kind != COMPONENT_CONFIG) return;
    if (!m->config) m->config = load_config(c, m, "config.json");
    component_check_config(m->config);
    if (kind == COMPONENT_CONFIG) return;
    if (variant) check_variant_name(variant);
    weight_files_open(m, variant, c);
}

/* "unet": ["diffusers", "UNet2DConditionModel"]; [null, null] is an absent one, anything but a list an option of the
 * pipeline. */
static void read_component(struct arena *a, struct checkpoint *c, const char *key) {
    const char *pair[2] = {NULL, NULL};
    if (*key == '_' || !json_is_array(c->index, key)) return;
    if (json_string_array(c->index, key, pair, 2) != 2 || !pair[0] != !pair[1])
        die(FAIL_DATA, "%s: field '%s': expected [LIBRARY, CLASS]", json_path(c->index), key);
    if (!pair[0]) return;
    if (!is_component_name(key)) die(FAIL_DATA, "%s: '%.64s' is not the name of a component", json_path(c->index), key);
    if (c->n_components == COMPONENTS_MAX) die(FAIL_DATA, "%s: more than %d components", json_path(c->index), COMPONENTS_MAX);
    c->components[c->n_components++] = (struct component){.name = key, .library = pair[0], .class_name = pair[1], .arena = a};
}

void checkpoint_read_index(struct arena *a, struct checkpoint *c, struct json *index) {
    const char *path = json_path(index);
    c->index = index;
    if (json_is_array(c->index, "_class_name"))
        die(FAIL_UNSUPPORTED, "%s: '_class_name' is a list: a custom pipeline, whose code is never run", path);
    c->pipeline_class = json_string(c->index, "_class_name", NULL);
    if (!c->pipeline_class) die(FAIL_UNSUPPORTED, "%s: no '_class_name'", path);
    c->diffusers_version = json_string(c->index, "_diffusers_version", NULL);
    for (int i = 0, n = json_n_keys(c->index); i < n; i++) read_component(a, c, json_key(c->index, i));
}

/* ---- the checkpoint ---------------------------------------------------------------------------------------------- */

/* Beside a lone model lies none as a rule: then it is the one everybody builds, DDPMScheduler(). */
static void list_lone_scheduler(struct arena *a, struct checkpoint *c) {
    const char *path = arena_printf(a, "%s/scheduler_config.json", c->dir);
    struct component *m = &c->components[c->n_components++];
    *m = (struct component){.name = "scheduler", .library = "diffusers", .arena = a};
    m->config = name_exists(path) ? json_load(a, path) : json_parse(a, "{}", 2, path);
    m->class_name = json_string(m->config, "_class_name", "DDPMScheduler");
}

/* A lone model names its class itself: diffusers' in one way, … */
static void list_lone(struct arena *a, struct checkpoint *c, const char *path) {
    struct component *m = &c->components[c->n_components++];
    *m = (struct component){.name = "unet", .library = "diffusers", .arena = a, .config = json_load(a, path)};
    m->class_name = json_string(m->config, "_class_name", NULL);
    if (!m->class_name) die(FAIL_UNSUPPORTED, "%s: no '_class_name': not a model of diffusers", path);
}

/* … transformers' in another. */
static void list_lone_transformer(struct arena *a, struct checkpoint *c, const char *path) {
    const char *classes[1] = {NULL};
    struct json *config = json_load(a, path);
    if (json_is_array(config, "architectures")) json_string_array(config, "architectures", classes, 1);
    if (!classes[0]) die(FAIL_UNSUPPORTED, "%s: no 'architectures': not a model of transformers", path);
    c->components[c->n_components++] = (struct component){NULL, "transformers", classes[0], .config = config, .arena = a};
}

struct checkpoint *checkpoint_list_net(struct arena *a, const char *option, const char *path, const char *name, bool transformer) {
    struct checkpoint *c = arena_alloc(a, sizeof *c);
    c->name = arena_strdup(a, path);
    c->components = arena_alloc(a, sizeof *c->components);
    c->dir = checkpoint_locate(a, option, path, &c->revision);
    (transformer ? list_lone_transformer : list_lone)(a, c, arena_printf(a, "%s/config.json", c->dir));
    c->components[0].name = name;
    return c;
}

struct checkpoint *checkpoint_list(struct arena *a, const struct source *source) {
    struct checkpoint *c = arena_alloc(a, sizeof *c);
    c->name = arena_strdup(a, source->model);
    c->vae = source->vae;
    c->swapped = source->swapped;
    c->components = arena_array(a, COMPONENTS_MAX, sizeof *c->components);
    if (single_list(a, c, source)) return c;
    c->dir = checkpoint_locate(a, source->option ? source->option : "-m DIR", source->model, &c->revision);
    const char *index = arena_printf(a, "%s/model_index.json", c->dir), *config = arena_printf(a, "%s/config.json", c->dir);
    if (name_exists(index)) checkpoint_read_index(a, c, json_load(a, index));
    else if (name_exists(config)) list_lone(a, c, config), list_lone_scheduler(a, c);
    else fail_no_index(a, c->dir);
    c->generation = generation_load(a, c->dir);
    return c;
}

bool component_from(const struct component *c, const char *library) {
    size_t n = strlen(library);
    return strncmp(c->library, library, n) == 0 && (!c->library[n] || c->library[n] == '.');
}

void checkpoint_check_modules(const struct checkpoint *c) {
    static const char *const known[] = {"diffusers", "transformers", "stable_diffusion"};
    for (int i = 0; i < c->n_components; i++) {
        bool good = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) good |= component_from(&c->components[i], known[k]);
        if (!good)
            die(FAIL_UNSUPPORTED, "%s: '%s' comes from module '%s': custom code is never run", json_path(c->index), c->components[i].name,
                c->components[i].library);
    }
}

void checkpoint_check_variant(const struct checkpoint *c, const char *variant) {
    bool any = !variant;
    for (int i = 0; i < c->n_components; i++) any |= c->components[i].variant != NULL;
    if (!any) die(FAIL_INPUT, "%s: no component has files of variant '%s'", c->dir, variant);
}

void checkpoint_close(struct checkpoint *c) {
    for (int i = 0; i < c->n_components; i++)
        for (int j = 0; j < c->components[i].n_files; j++) st_close(c->components[i].files[j]);
}

struct component *checkpoint_find(const struct checkpoint *c, const char *name) {
    for (int i = 0; i < c->n_components; i++)
        if (strcmp(c->components[i].name, name) == 0) return &c->components[i];
    return NULL;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static const struct tensor *find_in_files(const struct component *c, const char *name) {
    for (int i = 0; i < c->n_files; i++) {
        const struct tensor *t = st_find(c->files[i], name);
        if (t) return t;
    }
    return NULL;
}

/* The tensor of that name beside t, "X.scale_weight" for "X.weight"; NULL: there is none. */
static const struct tensor *scale_of(struct arena *a, const struct tensor *t) {
    static const char *const names[] = {"scale_weight", "weight_scale"};
    size_t n = strlen(t->name), tail = strlen("weight");
    for (int i = 0; i < 2 && n > tail; i++) {
        const struct tensor *scale = st_find(t->file, arena_printf(a, "%.*s%s", (int)(n - tail), t->name, names[i]));
        if (scale) return scale;
    }
    return NULL;
}

const struct tensor *component_find(const struct component *c, const char *name) {
    const struct tensor *t = find_in_files(c, name);
    enum take take = TAKE_ALL;
    const char *theirs = t || !c->dialect ? NULL : dialect_name(c->arena, c->dialect, name, &take);
    if (theirs) t = find_in_files(c, theirs);
    if (t && (t->dtype == DT_F8_E4M3 || t->dtype == DT_F8_E5M2)) t = tensor_scaled(c->arena, t, scale_of(c->arena, t), DT_F32);
    return t && theirs ? dialect_take(c->arena, t, take) : t;
}
