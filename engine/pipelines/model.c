#include "engine/pipelines/model.h"

#include <fcntl.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/nets/nets.h"
#include "engine/weights.h"

struct component *model_require(const struct checkpoint *c, const char *name) {
    struct component *component = checkpoint_find(c, name);
    if (!component) die(FAIL_UNSUPPORTED, "%s: the checkpoint has no '%s'", c->dir, name);
    return component;
}

static const struct net_class *net_of(const struct component *c, const struct part_spec *spec) {
    for (const char *const *class = spec->classes; *class; class ++)
        if (!strcmp(*class, c->class_name)) return net_find(*class);
    die(FAIL_UNSUPPORTED, "%s: '%s' is a %s: expected a %s", c->dir, c->name, c->class_name, spec->classes[0]);
}

static void bind(struct model *m, const struct part_spec *spec) {
    struct component *c = m->parts[spec->part];
    if (spec->part == PART_TOKENIZER) m->tokenizer = clip_bpe_open(m->arena, c->dir);
    if (!spec->classes) return;
    const struct net_class *class = net_of(c, spec);
    struct binder *binder = m->binders[m->n_binders++] = binder_new(c);
    void *net = class->bind(binder);
    binder_check(binder);
    if (spec->part == PART_TEXT_ENCODER) m->text = net;
    if (spec->part == PART_VAE) m->vae = net;
    if (class->denoiser) m->denoiser = class->denoiser(net);
}

struct model *model_open(struct arena *a, const char *model, const char *variant) {
    struct model *m = arena_alloc(a, sizeof *m);
    m->arena = a;
    m->checkpoint = checkpoint_open(a, model, variant);
    m->class = pipeline_class_of(a, m->checkpoint);
    for (const struct part_spec *spec = m->class->parts; spec->name; spec++)
        m->parts[spec->part] = model_require(m->checkpoint, spec->name);
    for (const struct part_spec *spec = m->class->parts; spec->name; spec++) bind(m, spec);
    m->class->check(m);
    m->channels = m->vae ? m->vae->latent_channels : m->denoiser.in_channels;
    m->factor = m->vae ? m->vae->factor : 1;
    m->size_multiple = m->factor * m->denoiser.size_multiple;
    if (m->text) m->n_tokens = prompt_limit(m->tokenizer, m->text->max_positions);
    return m;
}

void model_read_ahead(const struct model *m) {
    for (int i = 0; i < m->n_binders; i++) {
        const struct component *c = m->binders[i]->component;
        for (int j = 0; j < c->n_files; j++) posix_fadvise(c->files[j]->fd, 0, 0, POSIX_FADV_WILLNEED);
    }
}

void model_use(struct model *m, struct device *device) {
    m->device = device;
    m->dtype = device->dtype;
}

struct memory_plan model_memory(const struct model *m) {
    return (struct memory_plan){weights_packed_bytes(m->device, m->binders, m->n_binders), m->device->arena_peak,
                                m->device->scratch_bytes(m->device)};
}

void model_load(struct model *m) {
    m->device->plan_end(m->device);
    if (!m->recording) m->recording = m->device->recording_new(m->device);
    m->bytes_read = weights_load(m->device, m->binders, m->n_binders);
    m->loaded = false;
    if (!m->device->async) model_finish_load(m); /* else it goes on behind the first picture */
}

void model_finish_load(struct model *m) {
    if (m->loaded) return;
    m->load_ms = weights_wait(m->device, m->binders, m->n_binders);
    m->loaded = true;
}

void model_forget(struct model *m) {
    m->prepared = 0;
    prompt_cache_free(&m->prompts);
}

void model_close(struct model *m) {
    if (m->device) {
        m->device->recording_free(m->device, m->recording);
        m->device->close(m->device);
    }
    prompt_cache_free(&m->prompts);
    checkpoint_close(m->checkpoint);
}
