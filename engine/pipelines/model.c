#include "engine/pipelines/model.h"

#include <string.h>
#include "engine/base/error.h"
#include "engine/nets/nets.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/loras.h"
#include "engine/pipelines/safety.h"
#include "engine/weights.h"

/* Whose classes a part is of; NULL: a pipeline's own. */
static const char *library_of(enum part part) {
    if (part == PART_SAFETY_CHECKER) return NULL;
    return part == PART_SCHEDULER || part == PART_DENOISER || part == PART_VAE ? "diffusers" : "transformers";
}

struct component *model_part(const struct checkpoint *c, const struct part_spec *spec) {
    struct component *component = checkpoint_find(c, spec->name);
    if (!component && spec->optional) return NULL;
    if (!component) die(FAIL_UNSUPPORTED, "%s: the checkpoint has no '%s'", c->dir, spec->name);
    const char *path = json_path(c->index ? c->index : component->config);
    bool known = !spec->classes;
    if (!spec->classes) scheduler_of_class(component->class_name, path, c->swapped);
    for (const char *const *class = spec->classes; !known && *class; class ++) known = !strcmp(*class, component->class_name);
    if (!known)
        die(FAIL_UNSUPPORTED, "%s: '%s': expected class %s, found '%s'", path, component->name, spec->classes[0], component->class_name);
    const char *library = library_of(spec->part);
    if (library && !component_from(component, library))
        die(FAIL_UNSUPPORTED, "%s: '%s': %s is a class of '%s', not of '%s'", path, component->name, component->class_name, library,
            component->library);
    return component;
}

static enum component_kind kind_of(enum part part) {
    return part == PART_SCHEDULER                                           ? COMPONENT_SCHEDULER
           : part == PART_FEATURE_EXTRACTOR || part == PART_DEPTH_EXTRACTOR ? COMPONENT_EXTRACTOR
           : part < PART_TEXT_ENCODER                                       ? COMPONENT_TOKENIZER
                                                                            : COMPONENT_NET;
}

static struct clip_bpe *open_tokenizer(struct arena *a, const struct component *c) {
    return c->builtin ? clip_bpe_builtin(a, c->builtin) : clip_bpe_open(a, c->dir);
}

static void bind_text(struct model *m, const struct component *c, const struct component *tokenizer, struct clip_text *net) {
    const char *dir = m->checkpoint->dir;
    if (!tokenizer) die(FAIL_UNSUPPORTED, "%s: '%s' has no tokenizer", dir, c->name);
    struct text_part *t = &m->texts[m->n_texts++];
    *t = (struct text_part){c, open_tokenizer(m->arena, tokenizer), net};
    int n_words = clip_bpe_vocab_size(t->tokenizer), n_tokens = prompt_limit(t->tokenizer, net->max_positions);
    if (n_words > net->vocab_size)
        die(FAIL_UNSUPPORTED, "%s: %s has %d tokens, but %s/config.json: 'vocab_size' %d", dir, tokenizer->name, n_words, c->name,
            net->vocab_size);
    if (m->n_tokens && n_tokens != m->n_tokens)
        die(FAIL_UNSUPPORTED, "%s: prompts of %d tokens for one text encoder and of %d for the other", dir, m->n_tokens, n_tokens);
    m->n_tokens = n_tokens;
    m->context_dim += net->layers.hidden_size;
    if (m->class->penultimate) m->pooled_dim = net->projection_dim;
}

static void bind(struct model *m, const struct part_spec *spec) {
    struct component *c = m->parts[spec->part];
    if (spec->part == PART_FEATURE_EXTRACTOR) safety_open(m);
    if (c && spec->part == PART_DEPTH_EXTRACTOR) extractor_dpt(&m->depth_extractor, m->arena, c->config);
    if (!c || !part_is_net(spec->part)) return;
    const struct net_class *class = net_find(c->class_name);
    struct binder *binder = m->binders[m->n_binders++] = binder_new(c);
    void *net = class->bind(binder);
    binder_check(binder);
    if (spec->part == PART_TEXT_ENCODER) bind_text(m, c, m->parts[PART_TOKENIZER], net);
    if (spec->part == PART_TEXT_ENCODER_2) bind_text(m, c, m->parts[PART_TOKENIZER_2], net);
    if (spec->part == PART_VAE) m->vae = net;
    if (spec->part == PART_SAFETY_CHECKER) m->safety = net;
    if (spec->part == PART_DEPTH && m->parts[PART_DEPTH_EXTRACTOR]) m->depth = net;
    if (class->denoiser) m->denoiser = class->denoiser(net);
}

/* For each part of the class that `which` names. */
static void for_parts(struct model *m, bool (*which)(enum part part), void (*act)(struct model *m, const struct part_spec *spec)) {
    for (const struct part_spec *spec = m->class->parts; spec->name; spec++)
        if (which(spec->part)) act(m, spec);
}

static bool draws(enum part part) {
    return part != PART_FEATURE_EXTRACTOR && part != PART_SAFETY_CHECKER;
}

static bool checks(enum part part) {
    return !draws(part);
}

static void find(struct model *m, const struct part_spec *spec) {
    m->parts[spec->part] = model_part(m->checkpoint, spec);
}

static void open_part_of(struct model *m, const struct part_spec *spec) {
    struct component *c = m->parts[spec->part];
    if (c) component_open(m->checkpoint, c, kind_of(spec->part), m->variant);
}

/* Where the checkpoint has a checker, it comes with its feature extractor. Whatever is wrong with them, pictures can be drawn without. */
static void for_checker(struct model *m, void (*act)(struct model *m, const struct part_spec *spec)) {
    struct job job;
    if (job_enter(&job)) {
        for_parts(m, checks, act);
        job_leave(&job);
        return;
    }
    die_hint(job.code, *job.hint ? arena_printf(m->arena, "%s; or --no-safety-checker", job.hint) : "--no-safety-checker", "%s",
             job.message);
}

struct model *model_open(struct arena *a, struct source source) {
    struct model *m = arena_alloc(a, sizeof *m);
    m->arena = a;
    m->variant = source.variant;
    m->checkpoint = checkpoint_list(a, &source);
    m->class = pipeline_class_of(a, m->checkpoint);
    checkpoint_check_modules(m->checkpoint);
    bool checked = !source.no_safety_checker && !m->checkpoint->file && checkpoint_find(m->checkpoint, "safety_checker");
    for_parts(m, draws, find);
    if (checked) for_checker(m, find);
    for_parts(m, draws, open_part_of);
    for_parts(m, draws, bind);
    if (checked) for_checker(m, open_part_of);
    if (checked) for_checker(m, bind);
    if (!m->checkpoint->file) checkpoint_check_variant(m->checkpoint, source.variant);
    m->class->check(m);
    m->channels = m->vae ? m->vae->latent_channels : m->denoiser.in_channels;
    m->picture_channels = m->vae ? m->vae->out_channels : m->channels;
    m->factor = m->vae ? m->vae->factor : 1;
    m->size_multiple = m->factor * m->denoiser.size_multiple;
    m->size_least = m->factor * m->denoiser.size_least;
    return m;
}

/* NULL: the class has no such part, or the checkpoint. */
static struct component *open_part(const struct checkpoint *c, const struct pipeline_class *class, enum part part,
                                   enum component_kind kind) {
    const struct part_spec *spec = class->parts;
    while (spec->name && spec->part != part) spec++;
    struct component *component = spec->name ? model_part(c, spec) : NULL;
    if (component) component_open(c, component, kind, NULL);
    return component;
}

struct clip_bpe *model_tokenizer(struct arena *a, struct source source, int *n_tokens) {
    const struct checkpoint *c = checkpoint_list(a, &source);
    const struct pipeline_class *class = pipeline_class_of(a, c);
    if (!class->takes_prompt) die(FAIL_UNSUPPORTED, "%s: a %s draws without a prompt: it has no tokenizer", c->name, class->name);
    struct component *files = open_part(c, class, PART_TOKENIZER, COMPONENT_TOKENIZER),
                     *text = open_part(c, class, PART_TEXT_ENCODER, COMPONENT_CONFIG);
    if (!files) files = open_part(c, class, PART_TOKENIZER_2, COMPONENT_TOKENIZER);
    if (!text) text = open_part(c, class, PART_TEXT_ENCODER_2, COMPONENT_CONFIG);
    struct clip_bpe *tokenizer = open_tokenizer(a, files);
    *n_tokens = prompt_limit(tokenizer, clip_text_max_positions(a, text->config));
    return tokenizer;
}

void model_check_refiner(const struct pipeline_class *base, const struct pipeline_class *refiner) {
    if (!base->penultimate || !refiner->penultimate)
        die(FAIL_UNSUPPORTED, "--refiner: a %s is not refined by a %s: only SDXL is, by its kin", base->name, refiner->name);
}

static void check_refiner(const struct model *m, const struct model *refiner) {
    const char *dir = refiner->checkpoint->dir;
    model_check_refiner(m->class, refiner->class);
    if (m->channels != refiner->channels || m->factor != refiner->factor || refiner->denoiser.in_channels != refiner->channels)
        die(FAIL_UNSUPPORTED, "%s: --refiner: its latents are not those of %s", dir, m->checkpoint->dir);
}

struct model *model_open_both(struct arena *a, const struct settings *settings) {
    struct model *m = model_open(a, settings_source(settings));
    if (settings->no_safety_checker && !checkpoint_find(m->checkpoint, "safety_checker"))
        warn("--no-safety-checker has no effect: %s has none", m->checkpoint->name);
    if (!settings->refiner) return m;
    struct source source = settings_source(settings);
    source.model = settings->refiner;
    source.option = "--refiner DIR";
    source.config = NULL;
    m->refiner = m->partner = model_open(a, source);
    m->refiner->partner = m;
    check_refiner(m, m->refiner);
    return m;
}

void model_use(struct model *m, struct device *device) {
    struct stages *stages = arena_alloc(m->arena, sizeof *stages);
    for (; m; m = m->refiner) {
        m->device = device;
        m->dtype = device->dtype;
        m->stages = stages;
    }
}

/* Of the model, its ControlNets and its refiner, in order of use. */
struct binders {
    int n;
    struct binder *items[2 * N_PARTS + CONTROL_NETS_MAX];
};

static struct binders all_binders(const struct model *m) {
    struct binders all = {0};
    for (int i = 0; m->controls && i < m->controls->n; i++) all.items[all.n++] = m->controls->items[i].binder;
    for (const struct model *each = m; each; each = each->refiner)
        for (int i = 0; i < each->n_binders; i++) all.items[all.n++] = each->binders[i];
    return all;
}

bool model_find_flaw(const struct model *m, struct weight_flaw *flaw) {
    struct binders all = all_binders(m);
    return weights_find_flaw(all.items, all.n, flaw);
}

void model_read_ahead(const struct model *m) {
    struct binders all = all_binders(m);
    for (int i = 0; i < all.n; i++) {
        const struct component *c = all.items[i]->component;
        for (int j = 0; j < c->n_files; j++) st_read_ahead(c->files[j]);
    }
}

struct memory_plan model_memory(const struct model *m) {
    struct binders all = all_binders(m);
    struct memory_plan most = {0};
    if (!m->stages->on)
        return (struct memory_plan){weights_packed_bytes(m->device, all.items, all.n), m->device->arena_peak,
                                    m->device->scratch_bytes(m->device)};
    for (const struct model *each = m; each; each = each->refiner)
        for (enum stage i = 0; i < N_STAGES; i++) {
            struct memory_plan plan = model_stage_memory(each, i);
            if (memory_plan_sum(plan) > memory_plan_sum(most)) most = plan;
        }
    return most;
}

struct memory_plan model_stage_memory(const struct model *m, enum stage stage) {
    uint64_t arena = m->stages->arena[model_refines(m)][stage];
    if (!arena) return (struct memory_plan){0};
    return (struct memory_plan){stage_weights(m, stage), arena, m->device->scratch_bytes(m->device)};
}

/* Measured beside the device's memory, 64x64 to 512x512: of small pictures some 1.2 MB for what formats and libm touch of themselves and
 * a request keeps; of large ones their bytes, 3 a pixel, the file's, which grows by doubling, and latents with their noise and copies. */
uint64_t model_program_bytes(const struct model *m) {
    enum { TABLES = 1200000, PIXEL = 8, LATENT = 8 };
    if (m->device->own_memory) return 0;
    uint64_t program = m->program_bytes ? m->program_bytes : m->device->program_bytes(m->device);
    uint64_t latents = (uint64_t)m->planned.width * (uint64_t)m->planned.height, pixels = latents * (uint64_t)(m->factor * m->factor);
    return program + TABLES + pixels * PIXEL + latents * (uint64_t)m->channels * LATENT;
}

uint64_t model_memory_room(const struct model *m) {
    uint64_t free_bytes = m->free_bytes ? m->free_bytes : m->device->memory_free(m->device);
    return free_bytes ? free_bytes + stages_held(m) : 0;
}

void model_load(struct model *m) {
    struct binders all = all_binders(m);
    m->device->load_forget(m->device);
    if (!m->device->own_memory && !m->program_bytes) m->program_bytes = m->device->program_bytes(m->device);
    if (m->stages->on && m->device->planning) {
        m->device->load_wait(m->device); /* nothing is on its way to what goes */
        weights_release(m->device, all.items, all.n);
    }
    if (m->device->planning) m->device->plan_end(m->device);
    for (struct model *each = m; each; each = each->refiner)
        if (!each->recording) each->recording = m->device->recording_new(m->device);
    uint64_t bytes = m->stages->on ? 0 : weights_load(m->device, all.items, all.n);
    m->bytes_read += bytes;
    for (struct model *each = m; each && bytes; each = each->refiner) each->prepared = 0; /* weights may have been read through the arena */
    if (bytes || (m->stages->on && !m->bytes_read)) m->loaded = false;
    if (m->refiner) m->refiner->loaded = true;                     /* what is waited for is the model's affair */
    if (!m->device->async && !m->stages->on) model_finish_load(m); /* else it goes on behind the first picture */
}

void model_finish_load(struct model *m) {
    struct binders all = all_binders(m);
    if (m->loaded) return;
    if (!m->stages->on) m->load_ms = weights_wait(m->device, all.items, all.n);
    m->loaded = true;
}

void model_forget(struct model *m) {
    for (; m; m = m->refiner) {
        m->prepared = 0;
        prompt_cache_free(&m->prompts);
    }
}

void model_hash_weights(struct model *m) {
    for (int i = 0; m->controls && i < m->controls->n; i++) {
        struct control_net *n = &m->controls->items[i];
        if (!n->hashes) n->hashes = weight_hashes_open(m->arena, n->checkpoint);
    }
    for (; m; m = m->refiner)
        if (!m->hashes) m->hashes = weight_hashes_open(m->arena, m->checkpoint);
}

void model_close(struct model *m) {
    for (struct model *each = m; each; each = each->refiner) weight_hashes_close(each->hashes);
    for (struct model *each = m; each; each = each->refiner) {
        if (each->recording) each->device->recording_free(each->device, each->recording);
        prompt_cache_free(&each->prompts);
        loras_close(each->loras);
        controls_close(each->controls);
        embeddings_close(each->embeddings);
        checkpoint_close(each->checkpoint);
    }
    if (m->device) m->device->close(m->device);
}
