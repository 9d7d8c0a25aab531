#include "cli/request_hash.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/json_out.h"
#include "cli/progress.h"
#include "cli/settings_table.h"
#include "cli/terminal.h"
#include "engine/base/sha256.h"
#include "engine/files/lora.h"
#include "engine/images/write.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/identity.h"
#include "engine/pipelines/loras.h"

/* The field's value as text, in place of what the buffer held. */
static const char *alone(struct json_out *j, const struct field *f, const struct settings *s) {
    j->text.length = 0;
    j->comma = false;
    buffer_add(&j->text, "", 0);
    f->kind->write(j, f->name, f, s);
    return j->text.data;
}

/* The defaults as texts: they are the same for all requests. */
static const char *const *presets(void) {
    static struct arena arena;
    static const char **texts;
    if (texts) return texts;
    struct json_out j = {.text.arena = &arena};
    struct settings usual = settings_defaults(&arena);
    texts = arena_array(&arena, (size_t)n_settings_fields, sizeof *texts);
    for (int i = 0; i < n_settings_fields; i++)
        if (settings_fields[i].recorded) texts[i] = arena_strdup(&arena, alone(&j, &settings_fields[i], &usual));
    return texts;
}

/* Those that are not the default, so that a new one changes no older hash. */
static void write_settings(struct json_out *j, const struct settings *s) {
    struct json_out given = {.text.arena = j->text.arena};
    for (int i = 0; i < n_settings_fields; i++) {
        const struct field *f = &settings_fields[i];
        if (!f->recorded || (f->only_with_image && !s->image)) continue;
        if (strcmp(alone(&given, f, s), presets()[i])) f->kind->write(j, f->name, f, s);
    }
}

/* Contents in place of paths. */
static void hash_loras(struct arena *a, struct lora_list *list) {
    struct lora_list hashed = {0};
    for (int i = 0; i < list->n; i++) loras_add(a, &hashed, lora_hash(a, list->items[i].path), list->items[i].weight);
    *list = hashed;
}

static void hash_embeddings(struct arena *a, const struct request *r, struct embedding_list *list) {
    struct embedding_list hashed = {0};
    for (int i = 0; i < list->n; i++) {
        const char *word = list->items[i].token;
        embeddings_add(a, &hashed, r->embeddings[i]->sha256, word ? word : r->embeddings[i]->token);
    }
    *list = hashed;
}

/* Said where somebody looks on: it may take a minute, and is waited for. */
static void note_wait(const struct options *o, struct model *m) {
    uint64_t bytes = m->identity ? 0 : model_identity_unknown(m);
    if (!bytes || o->quiet || (!o->verbose && !terminal_is_smart(STDERR_FILENO))) return;
    progress_clear();
    fprintf(stderr, "hashing %.3f GB of weights, once: the hashes are kept\n", (double)bytes / 1e9);
}

static void hash_controls(struct arena *a, const struct request *r, struct settings *s) {
    const char **nets = arena_array(a, (size_t)r->n_controls, sizeof *nets);
    for (int i = 0; i < r->n_controls; i++) nets[i] = control_identity(r->model, r->controls[i].of);
    s->controls = (struct text_list){r->n_controls, nets};
    s->control_images.items = r->inputs.controls;
    const struct text_list *how = &s->control_preprocess;
    const char **items = arena_array(a, (size_t)how->n, sizeof *items);
    for (int i = 0; i < how->n; i++) {
        const struct control_net *estimator = r->controls[i].depth.of;
        items[i] = estimator ? arena_printf(a, "depth:%s", control_identity(r->model, estimator)) : how->items[i];
    }
    s->control_preprocess.items = items;
}

/* False where one of them was read from standard input. */
static bool hash_inputs(const struct request *r, struct settings *s) {
    const struct input_hashes *h = &r->inputs;
    if ((s->image && !h->image) || (s->mask && !h->mask) || (s->depth && !h->depth) || (s->latents && !h->latents)) return false;
    s->image = h->image;
    s->mask = h->mask;
    s->depth = h->depth;
    s->latents = h->latents;
    return true;
}

const char *request_hash(struct arena *a, const struct options *o, const struct request *r, uint64_t seed, const char *dtype) {
    struct settings s = r->settings;
    enum image_format format = image_format_of(o->output);
    if (!hash_inputs(r, &s)) return NULL;
    struct arena own = {0};
    struct json_out j = {.text.arena = &own};
    s.seed = seed;
    hash_loras(&own, &s.loras);
    hash_embeddings(&own, r, &s.embeddings);
    hash_controls(&own, r, &s);
    if (s.negative && !*s.negative) s.negative = NULL;
    s.refiner = s.config = s.vae = NULL; /* these paths are the model's */
    json_out_open(&j, NULL, '{');
    write_settings(&j, &s);
    if (!seed) json_out_u64(&j, "seed", seed);
    json_out_string(&j, "dtype", dtype);
    if (format) json_out_u64(&j, "format", (uint64_t)format);
    if (format) json_out_u64(&j, "quality", (uint64_t)(o->quality ? o->quality : QUALITY_DEFAULT));
    note_wait(o, r->model);
    json_out_string(&j, "model", model_identity(r->model));
    json_out_close(&j, '{');
    char *hex = arena_alloc(a, SHA256_HEX);
    sha256(j.text.data, j.text.length, hex);
    arena_free(&own);
    return hex;
}
