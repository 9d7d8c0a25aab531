#include "engine/files/lora.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/sha256.h"
#include "engine/files/lone_file.h"

/* ---- names of tensors -------------------------------------------------------------------------------------------- */

enum slot {
    UP,
    DOWN,
    ALPHA,
    HADA_1A,
    HADA_1B,
    HADA_2A,
    HADA_2B,
    LOKR_1,
    LOKR_1A,
    LOKR_1B,
    LOKR_2,
    LOKR_2A,
    LOKR_2B,
    MAGNITUDE,
    N_SLOTS,
    REFUSED,
    NONE
};

/* What a tensor's name ends in; what it says is refused by, for slots that are. */
static const struct leaf {
    const char *end;
    enum slot slot;
    const char *what; /* the format, or what is refused */
} leaves[] = {
    {".lora_up.weight", UP, "kohya"},
    {".lora_down.weight", DOWN, "kohya"},
    {".lora_B.weight", UP, "PEFT"},
    {".lora_A.weight", DOWN, "PEFT"},
    {".lora_B.default.weight", UP, "PEFT"},
    {".lora_A.default.weight", DOWN, "PEFT"},
    {".lora_linear_layer.up.weight", UP, "diffusers"},
    {".lora_linear_layer.down.weight", DOWN, "diffusers"},
    {".lora.up.weight", UP, "diffusers"},
    {".lora.down.weight", DOWN, "diffusers"},
    {"_lora.up.weight", UP, "diffusers"},
    {"_lora.down.weight", DOWN, "diffusers"},
    {".alpha", ALPHA, NULL},
    {".hada_w1_a", HADA_1A, "LoHa"},
    {".hada_w1_b", HADA_1B, "LoHa"},
    {".hada_w2_a", HADA_2A, "LoHa"},
    {".hada_w2_b", HADA_2B, "LoHa"},
    {".lokr_w1", LOKR_1, "LoKr"},
    {".lokr_w1_a", LOKR_1A, "LoKr"},
    {".lokr_w1_b", LOKR_1B, "LoKr"},
    {".lokr_w2", LOKR_2, "LoKr"},
    {".lokr_w2_a", LOKR_2A, "LoKr"},
    {".lokr_w2_b", LOKR_2B, "LoKr"},
    {".lora_mid.weight", REFUSED, "a Tucker decomposition"},
    {".hada_t1", REFUSED, "a Tucker decomposition"},
    {".hada_t2", REFUSED, "a Tucker decomposition"},
    {".lokr_t1", REFUSED, "a Tucker decomposition"},
    {".lokr_t2", REFUSED, "a Tucker decomposition"},
    {".dora_scale", MAGNITUDE, NULL},
    {".lora_magnitude_vector", MAGNITUDE, NULL},
    {".lora_magnitude_vector.weight", MAGNITUDE, NULL},
    {".lora_magnitude_vector.default.weight", MAGNITUDE, NULL},
    {".diff", REFUSED, "a whole difference"},
    {".diff_b", REFUSED, "the difference of a bias"},
    {".w_norm", REFUSED, "a norm"},
    {".b_norm", REFUSED, "a norm"},
    {".on_input", REFUSED, "IA3"},
};

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

static const struct leaf *leaf_of(const char *name) {
    static const struct leaf none = {"", NONE, NULL};
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        if (ends_with(name, leaves[i].end)) return &leaves[i];
    return &none;
}

/* ---- names of modules -------------------------------------------------------------------------------------------- */

const char *lora_key(struct arena *a, const char *component, const char *name) {
    static const char inner[] = "text_model";
    size_t n = strlen(inner);
    bool text = !strncmp(component, "text", 4);
    if (text && !strncmp(name, inner, n) && (name[n] == '.' || name[n] == '_')) name += n + 1;
    char *key = arena_printf(a, "%s/%s", component, name);
    for (char *c = key; (c = strchr(c, '.'));) *c = '_';
    return key;
}

/* What a module's name begins with, and whose it is; the first counts. */
static const struct {
    const char *begin, *component;
} owners[] = {
    {"lora_unet_", "unet"}, {"lora_te1_", "text_encoder"},         {"lora_te2_", "text_encoder_2"},   {"lora_te_", "text_encoder"},
    {"unet.", "unet"},      {"text_encoder_2.", "text_encoder_2"}, {"text_encoder.", "text_encoder"}, {"base_model.model.", "unet"},
    {"", "unet"},
};

/* The module's name behind that. */
static const char *owner_of(const char *name, const char **component) {
    size_t i = 0;
    while (strncmp(name, owners[i].begin, strlen(owners[i].begin))) i++;
    *component = owners[i].component;
    return name + strlen(owners[i].begin);
}

/* "….attn1.processor.to_q" and "….self_attn.to_q" of 2023 as the modules are called: to_q, q_proj. */
static const char *modern(struct arena *a, const char *component, const char *name) {
    static const char processor[] = ".processor.";
    static const char *const text[][2] = {{".to_q", ".q_proj"}, {".to_k", ".k_proj"}, {".to_v", ".v_proj"}, {".to_out", ".out_proj"}};
    const char *at = strstr(name, processor);
    if (at) name = arena_printf(a, "%.*s.%s", (int)(at - name), name, at + strlen(processor));
    for (int i = 0; i < 4 && strcmp(component, "unet"); i++)
        if (ends_with(name, text[i][0])) return arena_printf(a, "%.*s%s", (int)(strlen(name) - strlen(text[i][0])), name, text[i][1]);
    return ends_with(name, ".to_out") ? arena_printf(a, "%s.0", name) : name;
}

static const char *key_of(struct arena *a, const char *name) {
    const char *component, *rest = owner_of(name, &component);
    return lora_key(a, component, modern(a, component, rest));
}

/* ---- PEFT's metadata --------------------------------------------------------------------------------------------- */

/* "unet.lora_alpha", "unet.r", "unet.alpha_pattern" …: NULL where the file has none. */
static struct json *adapter_metadata(struct arena *a, const struct st_file *f) {
    const char *text = st_metadata(a, f, "lora_adapter_metadata");
    return text ? json_parse(a, text, strlen(text), arena_printf(a, "%s: lora_adapter_metadata", f->path)) : NULL;
}

/* The pattern's number for the module: its key is the name, or its end behind a dot. */
static double pattern_number(const struct json *pattern, const char *name, double otherwise) {
    for (int i = 0; pattern && i < json_n_keys(pattern); i++) {
        const char *key = json_key(pattern, i);
        if (!strcmp(key, name) || (ends_with(name, key) && name[strlen(name) - strlen(key) - 1] == '.'))
            return json_number(pattern, key, otherwise, -1e9, 1e9);
    }
    return otherwise;
}

/* The alpha of a module whose file says it for all, NAN where it does not; *root: it is divided by the rank's root; *dora: it has a
 * magnitude. */
static double adapter_alpha(struct arena *a, const struct json *metadata, const char *name, bool *root, bool *dora) {
    const char *component, *rest = owner_of(name, &component);
    *root = *dora = false;
    if (!metadata) return NAN;
    *dora = json_bool(metadata, arena_printf(a, "%s.use_dora", component), false);
    *root = json_bool(metadata, arena_printf(a, "%s.use_rslora", component), false);
    double alpha = json_number(metadata, arena_printf(a, "%s.lora_alpha", component), NAN, -1e9, 1e9);
    return pattern_number(json_object(a, metadata, arena_printf(a, "%s.alpha_pattern", component)), rest, alpha);
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

struct item {
    const char *module;
    const struct leaf *leaf;
    const struct tensor *tensor;
};

static int compare_items(const void *a, const void *b) {
    return strcmp(((const struct item *)a)->module, ((const struct item *)b)->module);
}

static double read_alpha(const struct tensor *t) {
    float alpha = NAN;
    if (tensor_count(t) != 1 || !tensor_is_float(t)) die(FAIL_DATA, "%s: tensor '%s': expected one floating value", t->file->path, t->name);
    int error = tensor_read_f32(t, &alpha, 0, 1);
    if (error) die(FAIL_IO, "%s: tensor '%s': %s", t->file->path, t->name, strerror(error));
    if (!isfinite(alpha)) die(FAIL_DATA, "%s: tensor '%s': not finite", t->file->path, t->name);
    return (double)alpha;
}

static _Noreturn void fail_part(const struct lora *l, const char *module, const char *missing) {
    die(FAIL_DATA, "%s: module '%s': no %s", l->path, module, missing);
}

static int rank_of(const struct lora *l, const char *module, const struct tensor *down) {
    int64_t rank = down->rank ? down->shape[0] : 0;
    if (rank < 1 || rank > 1 << 20) die(FAIL_DATA, "%s: module '%s': rank %jd", l->path, module, (intmax_t)rank);
    return (int)rank;
}

/* What the tensors make; the module's rank, 0 where it has none. */
static struct delta delta_of(const struct lora *l, const char *module, const struct tensor *const t[N_SLOTS], int *rank) {
    *rank = 0;
    if (t[DOWN] || t[UP]) {
        if (!t[DOWN] || !t[UP]) fail_part(l, module, t[UP] ? "lora_down" : "lora_up");
        *rank = rank_of(l, module, t[DOWN]);
        return (struct delta){.kind = DELTA_LOW_RANK, .a = t[UP], .b = t[DOWN]};
    }
    if (t[HADA_1A] || t[HADA_1B] || t[HADA_2A] || t[HADA_2B]) {
        if (!t[HADA_1A] || !t[HADA_1B] || !t[HADA_2A] || !t[HADA_2B]) fail_part(l, module, "complete set of hada_w1_a … hada_w2_b");
        *rank = rank_of(l, module, t[HADA_1B]);
        return (struct delta){.kind = DELTA_HADAMARD, .a = t[HADA_1A], .b = t[HADA_1B], .c = t[HADA_2A], .d = t[HADA_2B]};
    }
    bool one = t[LOKR_1] || (t[LOKR_1A] && t[LOKR_1B]), other = t[LOKR_2] || (t[LOKR_2A] && t[LOKR_2B]);
    if (!one || !other) fail_part(l, module, one ? "lokr_w2" : t[LOKR_2] || t[LOKR_2A] ? "lokr_w1" : "lora_down and lora_up");
    if (!t[LOKR_1]) *rank = rank_of(l, module, t[LOKR_1B]);
    if (!t[LOKR_2]) *rank = rank_of(l, module, t[LOKR_2B]);
    return (struct delta){.kind = DELTA_KRONECKER,
                          .a = t[LOKR_1] ? t[LOKR_1] : t[LOKR_1A],
                          .b = t[LOKR_1] ? NULL : t[LOKR_1B],
                          .c = t[LOKR_2] ? t[LOKR_2] : t[LOKR_2A],
                          .d = t[LOKR_2] ? NULL : t[LOKR_2B]};
}

/* One value a row of the weight: [O], [O,1,1,1], of PEFT's convolutions [1,O,1,1]. LyCORIS has them of columns, too: "dora_scale" [1,I]. */
static const struct tensor *magnitude_of(const struct lora *l, const struct tensor *t) {
    if (t && ends_with(t->name, ".dora_scale") && t->rank > 1 && t->shape[0] == 1 && tensor_count(t) > 1)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': DoRA over the columns: not supported", l->path, t->name);
    return t;
}

/* The module of the items, which are its own. */
static struct lora_module read_module(struct arena *a, struct lora *l, const struct item *items, int n, const struct json *metadata) {
    const struct tensor *t[N_SLOTS] = {NULL};
    const char *format = NULL;
    bool root, dora;
    struct lora_module m = {.name = items->module, .key = key_of(a, items->module), .alpha = NAN};
    if (items->leaf->slot == NONE) return m;
    for (int i = 0; i < n; i++) {
        enum slot slot = items[i].leaf->slot;
        if (slot == REFUSED)
            die(FAIL_UNSUPPORTED, "%s: tensor '%s': %s: not supported", l->path, items[i].tensor->name, items[i].leaf->what);
        if (t[slot]) die(FAIL_DATA, "%s: tensors '%s' and '%s' are the same", l->path, t[slot]->name, items[i].tensor->name);
        t[slot] = items[i].tensor;
        if (items[i].leaf->what) format = items[i].leaf->what;
    }
    m.delta = delta_of(l, m.name, t, &m.rank);
    m.alpha = adapter_alpha(a, metadata, m.name, &root, &dora);
    if (dora && !t[MAGNITUDE]) fail_part(l, m.name, "lora_magnitude_vector");
    m.delta.magnitude = magnitude_of(l, t[MAGNITUDE]);
    l->has_dora |= m.delta.magnitude != NULL;
    if (t[ALPHA]) m.alpha = read_alpha(t[ALPHA]);
    m.delta.scale = isnan(m.alpha) || !m.rank ? 1 : m.alpha / (root && !t[ALPHA] ? sqrt(m.rank) : m.rank);
    if (!l->format) l->format = format;
    return m;
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const struct lora_module *)a)->key, ((const struct lora_module *)b)->key);
}

static void read_modules(struct arena *a, struct lora *l) {
    int n = l->file->n_tensors;
    struct item *items = arena_array(a, (size_t)n + 1, sizeof *items);
    for (int i = 0; i < n; i++) {
        const struct tensor *t = l->file->by_name[i];
        const struct leaf *leaf = leaf_of(t->name);
        items[i] = (struct item){arena_printf(a, "%.*s", (int)(strlen(t->name) - strlen(leaf->end)), t->name), leaf, t};
    }
    qsort(items, (size_t)n, sizeof *items, compare_items);
    const struct json *metadata = adapter_metadata(a, l->file);
    l->modules = arena_array(a, (size_t)n + 1, sizeof *l->modules);
    for (int i = 0, next; i < n; i = next) {
        next = i + 1;
        while (next < n && !strcmp(items[i].module, items[next].module)) next++;
        l->modules[l->n++] = read_module(a, l, items + i, next - i, metadata);
    }
    qsort(l->modules, (size_t)l->n, sizeof *l->modules, compare_keys);
    for (int i = 1; i < l->n; i++)
        if (!strcmp(l->modules[i - 1].key, l->modules[i].key))
            die(FAIL_DATA, "%s: modules '%s' and '%s' are the same", l->path, l->modules[i - 1].name, l->modules[i].name);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static const char *lora_file(struct arena *a, const char *path) {
    return lone_file(a, "--lora FILE", path, "pytorch_lora_weights.safetensors");
}

struct lora *lora_open(struct arena *a, const char *path) {
    struct lora *l = arena_alloc(a, sizeof *l);
    l->path = lora_file(a, path);
    l->file = st_open(a, l->path);
    read_modules(a, l);
    if (!l->format) die(FAIL_UNSUPPORTED, "%s: not a LoRA: none of its %d tensors is one's", l->path, l->file->n_tensors);
    return l;
}

/* A LoRA is as large as many pictures, and many jobs have the same: what was hashed is kept for as long as the file is that one. */
const char *lora_hash(struct arena *a, const char *path) {
    enum { KEPT = 32 };
    static struct kept {
        struct stat st;
        char hex[SHA256_HEX];
    } kept[KEPT];
    static int next;
    struct stat st;
    const char *file = lora_file(a, path);
    if (stat(file, &st) != 0) return sha256_file(a, file);
    for (struct kept *k = kept; k < kept + KEPT; k++)
        if (same_file(&k->st, &st) && k->st.st_size == st.st_size && same_time(k->st.st_mtim, st.st_mtim) &&
            same_time(k->st.st_ctim, st.st_ctim))
            return k->hex;
    struct kept *k = &kept[next++ % KEPT];
    memcpy(k->hex, sha256_file(a, file), SHA256_HEX);
    k->st = st;
    return k->hex;
}
