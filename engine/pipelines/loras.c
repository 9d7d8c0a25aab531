#include "engine/pipelines/loras.h"

#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/files/dialect.h"
#include "engine/pipelines/request.h"

/* ---- the model's weights by name --------------------------------------------------------------------------------- */

enum { FILES_MAX = 256 };

struct target {
    struct weight *weight;
    int part;
    const struct tensor *base;
    bool is_text;
    uint64_t applied; /* says which modules at which weights are in it; 0: none */
};

struct key {
    const char *text; /* as lora_key makes it */
    int target;
};

struct loras {
    int n_targets, n_keys;
    struct target *targets;
    struct key *keys; /* in order: every target under its own name, the UNet's under the original layout's too */
    int n_files;
    struct opened {
        const char *path;
        const struct lora *lora;
        int *targets, n_unknown;
    } files[FILES_MAX];
    struct arena sums, next; /* of the tensors in the weights' parts; of those that will be */
};

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const struct key *)a)->text, ((const struct key *)b)->text);
}

/* Matrices and filters; a table of embeddings is none. */
static bool can_change(const struct weight *w, const char *name) {
    size_t n = strlen(name), m = strlen(".weight");
    return (w->kind == WEIGHT_MATRIX || w->kind == WEIGHT_CONV) && n > m && !strcmp(name + n - m, ".weight");
}

static void add_key(struct arena *a, struct loras *l, const char *component, const char *name, int target) {
    int n = (int)(strlen(name) - strlen(".weight"));
    l->keys[l->n_keys++] = (struct key){lora_key(a, component, arena_printf(a, "%.*s", n, name)), target};
}

/* The UNet's names in the original layout. */
static void add_original(struct arena *a, struct loras *l, const struct binder *b, const char *name, int target) {
    enum take take;
    bool plain_top = !component_find(b->component, "up_blocks.0.attentions.0.norm.weight");
    const char *theirs = dialect_name(a, &(struct dialect){"", plain_top ? unet_plain_top_renames : unet_renames}, name, &take);
    if (theirs) add_key(a, l, b->component->name, theirs, target);
}

static void list_targets(struct arena *a, struct loras *l, const struct binder *b) {
    bool is_unet = !strcmp(b->component->name, "unet");
    for (struct weight *w = b->first; w; w = w->next)
        for (int i = 0; i < w->n_parts; i++) {
            if (!can_change(w, w->names[i])) continue;
            l->targets[l->n_targets] = (struct target){w, i, w->parts[i], !is_unet, 0};
            add_key(a, l, b->component->name, w->names[i], l->n_targets);
            if (is_unet) add_original(a, l, b, w->names[i], l->n_targets);
            l->n_targets++;
        }
}

static struct loras *loras_of(struct model *m) {
    if (m->loras) return m->loras;
    struct loras *l = arena_alloc(m->arena, sizeof *l);
    size_t most = 1;
    for (int i = 0; i < m->n_binders; i++)
        for (const struct weight *w = m->binders[i]->first; w; w = w->next) most += (size_t)w->n_parts;
    l->targets = arena_array(m->arena, most, sizeof *l->targets);
    l->keys = arena_array(m->arena, 2 * most, sizeof *l->keys);
    for (int i = 0; i < m->n_binders; i++)
        if (strcmp(m->binders[i]->component->name, "vae")) list_targets(m->arena, l, m->binders[i]);
    qsort(l->keys, (size_t)l->n_keys, sizeof *l->keys, compare_keys);
    return m->loras = l;
}

void loras_close(struct loras *l) {
    if (!l) return;
    arena_free(&l->sums);
    arena_free(&l->next);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int find_target(const struct loras *l, const char *key) {
    const struct key wanted = {key, 0}, *found = bsearch(&wanted, l->keys, (size_t)l->n_keys, sizeof wanted, compare_keys);
    return found ? found->target : -1;
}

/* Whose modules they are, and that their shapes fit. */
static void resolve(struct arena *a, const struct loras *l, struct opened *f) {
    f->targets = arena_array(a, (size_t)f->lora->n, sizeof *f->targets);
    for (int i = 0; i < f->lora->n; i++) {
        const struct lora_module *m = &f->lora->modules[i];
        f->targets[i] = m->delta.a ? find_target(l, m->key) : -1;
        if (f->targets[i] < 0) f->n_unknown++;
        else tensor_check_delta(l->targets[f->targets[i]].base, &m->delta);
    }
}

static const struct opened *open_file(struct model *m, struct loras *l, const char *path) {
    for (int i = 0; i < l->n_files; i++)
        if (!strcmp(l->files[i].path, path)) return &l->files[i];
    if (l->n_files == FILES_MAX) die(FAIL_USAGE, "--lora: more than %d files", l->n_files);
    struct opened f = {.path = arena_strdup(m->arena, path), .lora = lora_open(m->arena, path)};
    resolve(m->arena, l, &f);
    l->files[l->n_files] = f;
    return &l->files[l->n_files++];
}

/* "a, b, c, …" of the modules that are none of the model's. */
static const char *unknown_list(struct arena *a, const struct opened *f) {
    enum { NAMED = 5 };
    const char *list = "";
    for (int i = 0, n = 0; i < f->lora->n; i++) {
        if (f->targets[i] >= 0) continue;
        if (n++ == NAMED) return arena_printf(a, "%s, …", list);
        list = arena_printf(a, "%s%s%s", list, n > 1 ? ", " : "", f->lora->modules[i].name);
    }
    return list;
}

static void check_known(struct arena *a, const struct opened *f, const struct settings *s) {
    const struct lora *l = f->lora;
    if (f->n_unknown == l->n)
        die(FAIL_UNSUPPORTED, "%s: made for another model: none of its %d modules is this one's: %s", l->path, l->n, unknown_list(a, f));
    if (!f->n_unknown) return;
    const char *list = unknown_list(a, f);
    if (!s->lora_lenient)
        die_hint(FAIL_UNSUPPORTED, "--lora-lenient leaves them out, as diffusers does", "%s: %d of %d modules are none of this model's: %s",
                 l->path, f->n_unknown, l->n, list);
    warn("%s: %d of %d modules are none of this model's and left out: %s", l->path, f->n_unknown, l->n, list);
}

void loras_open(struct request *r) {
    const struct settings *s = &r->settings;
    if (!s->loras.n) return;
    struct loras *l = loras_of(r->model);
    r->loras = arena_array(r->arena, (size_t)s->loras.n, sizeof *r->loras);
    for (int i = 0; i < s->loras.n; i++) {
        const struct opened *f = open_file(r->model, l, s->loras.items[i].path);
        check_known(r->arena, f, s);
        r->loras[r->n_loras++] = (struct lora_use){f->lora, f->targets, s->loras.items[i].weight};
    }
}

/* ---- in place of the weights ------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *data, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3; /* FNV-1a */
    return h;
}

/* The deltas of each target one behind the other; begins[t]: where those of target t do. What they are is mixed into marks[t]. */
static struct delta *gather(const struct request *r, const struct loras *l, int *begins, uint64_t *marks) {
    int n = 0;
    for (int i = 0; i < r->n_loras; i++)
        for (int k = 0; k < r->loras[i].lora->n; k++)
            if (r->loras[i].targets[k] >= 0 && r->loras[i].weight != 0) begins[r->loras[i].targets[k] + 1]++, n++;
    for (int t = 0; t < l->n_targets; t++) begins[t + 1] += begins[t];
    struct delta *deltas = arena_array(r->arena, (size_t)n, sizeof *deltas);
    int *at = arena_array(r->arena, (size_t)l->n_targets, sizeof *at);
    for (int i = 0; i < r->n_loras; i++) {
        const struct lora_use *u = &r->loras[i];
        for (int k = 0; k < u->lora->n && u->weight != 0; k++) {
            int t = u->targets[k];
            if (t < 0) continue;
            struct delta *d = &deltas[begins[t] + at[t]++];
            *d = u->lora->modules[k].delta;
            d->scale *= u->weight;
            const struct lora_module *module = &u->lora->modules[k];
            if (!marks[t]) marks[t] = 0xcbf29ce484222325;
            marks[t] = mix(marks[t], &module, sizeof module);
            marks[t] = mix(marks[t], &u->weight, sizeof u->weight);
        }
    }
    return deltas;
}

static bool any_change(const struct loras *l, const uint64_t *marks) {
    bool any = false;
    for (int t = 0; t < l->n_targets; t++) any |= l->targets[t].applied != marks[t];
    return any;
}

/* From here on nothing fails. */
static void put_sums(struct model *m, struct loras *l, const struct tensor *const *sums, const uint64_t *marks) {
    m->prepared = 0;
    for (int t = 0; t < l->n_targets; t++) {
        struct target *target = &l->targets[t];
        target->weight->parts[target->part] = sums[t];
        if (target->applied == marks[t]) continue;
        target->applied = marks[t];
        if (target->weight->packed) target->weight->stale = true;
        if (target->is_text) prompt_cache_free(&m->prompts);
    }
    arena_free(&l->sums);
    l->sums = l->next;
    l->next = (struct arena){0};
}

void loras_apply(struct request *r) {
    struct model *m = r->model;
    struct loras *l = m->loras;
    if (!l) return;
    int *begins = arena_array(r->arena, (size_t)l->n_targets + 1, sizeof *begins);
    uint64_t *marks = arena_array(r->arena, (size_t)l->n_targets, sizeof *marks);
    const struct delta *deltas = gather(r, l, begins, marks);
    if (!any_change(l, marks)) return;
    if (m->bytes_read) model_finish_load(m); /* it may still be reading what goes below */
    arena_free(&l->next);
    const struct tensor **sums = arena_array(r->arena, (size_t)l->n_targets, sizeof *sums);
    for (int t = 0; t < l->n_targets; t++) {
        int n = begins[t + 1] - begins[t];
        sums[t] = n ? tensor_sum(&l->next, l->targets[t].base, deltas + begins[t], n) : l->targets[t].base;
    }
    put_sums(m, l, sums, marks);
}

void loras_add(struct arena *a, struct lora_list *list, const char *path, double weight) {
    if (list->n == LORAS_MAX) die(FAIL_USAGE, "--lora: more than %d", LORAS_MAX);
    struct lora_item *items = arena_array(a, (size_t)list->n + 1, sizeof *items);
    for (int i = 0; i < list->n; i++) items[i] = list->items[i];
    items[list->n] = (struct lora_item){path, weight};
    *list = (struct lora_list){list->n + 1, items};
}

/* ---- A1111's tags ------------------------------------------------------------------------------------------------ */

/* <lora:NAME> or <lora:NAME:WEIGHT>, the n bytes at tag. */
static void take_tag(struct arena *a, struct settings *s, const char *tag, size_t n) {
    static const char begin[] = "<lora:";
    char *inner = arena_printf(a, "%.*s", (int)(n - strlen(begin) - 1), tag + strlen(begin)), *colon = strchr(inner, ':');
    double weight = 1;
    if (colon) *colon++ = 0;
    if (colon && !parse_double(colon, &weight)) die(FAIL_USAGE, "prompt: '%.*s': expected <lora:NAME:WEIGHT>", (int)n, tag);
    if (!*inner || *inner == '.' || strchr(inner, '/'))
        die(FAIL_USAGE, "prompt: '%.*s': expected the name of a file in --lora-dir", (int)n, tag);
    loras_add(a, &s->loras, arena_printf(a, "%s/%s.safetensors", s->lora_dir, inner), weight);
}

void loras_from_prompt(struct arena *a, struct settings *s) {
    if (!s->lora_dir || !s->prompt) return;
    char *text = arena_strdup(a, s->prompt);
    for (char *tag; (tag = strstr(text, "<lora:"));) {
        char *end = strchr(tag, '>');
        if (!end) break;
        take_tag(a, s, tag, (size_t)(end + 1 - tag));
        memmove(tag, end + 1, strlen(end + 1) + 1);
    }
    s->prompt = text;
}
