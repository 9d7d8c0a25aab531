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
    void *net = class->bind(c);
    component_check(c);
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

/* The components whose weights run, in order of use; returns their number. */
static int model_components(const struct model *m, struct component *components[N_PARTS]) {
    int n = 0;
    for (const struct part_spec *spec = m->class->parts; spec->name; spec++)
        if (spec->classes) components[n++] = m->parts[spec->part];
    return n;
}

void model_read_ahead(const struct model *m) {
    struct component *components[N_PARTS];
    int n = model_components(m, components);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < components[i]->n_files; j++) posix_fadvise(components[i]->files[j]->fd, 0, 0, POSIX_FADV_WILLNEED);
}

void model_use(struct model *m, struct device *device) {
    m->device = device;
    m->dtype = device->dtype;
}

struct memory_plan model_memory(const struct model *m) {
    struct component *components[N_PARTS];
    int n = model_components(m, components);
    return (struct memory_plan){weights_packed_bytes(m->device, components, n), m->device->arena_peak, m->device->scratch_bytes(m->device)};
}

void model_load(struct model *m) {
    struct component *components[N_PARTS];
    int n = model_components(m, components);
    m->device->plan_end(m->device);
    if (!m->recording) m->recording = m->device->recording_new(m->device);
    m->bytes_read = weights_load(m->device, components, n);
    m->loaded = false;
    if (!m->device->async) model_finish_load(m); /* else it goes on behind the first picture */
}

void model_finish_load(struct model *m) {
    struct component *components[N_PARTS];
    if (m->loaded) return;
    m->load_ms = weights_wait(m->device, components, model_components(m, components));
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
