#include "engine/pipelines/stages.h"

#include "engine/pipelines/model.h"
#include "engine/weights.h"

const char *const stage_names[N_STAGES] = {"text", "image", "denoise", "decode", "check"};

/* Whether the part of that component is wanted in the stage. */
static bool has_part(const struct model *m, enum stage stage, enum part part) {
    switch (part) {
    case PART_TEXT_ENCODER:
    case PART_TEXT_ENCODER_2: return stage == STAGE_TEXT;
    case PART_DEPTH: return stage == STAGE_IMAGE;
    case PART_DENOISER: return stage == STAGE_DENOISE;
    case PART_VAE: return stage == STAGE_IMAGE || stage == STAGE_DECODE || (m->stages->joined && stage == STAGE_DENOISE);
    case PART_SAFETY_CHECKER: return stage == STAGE_CHECK || (m->stages->joined && stage == STAGE_DENOISE);
    default: return false;
    }
}

struct chosen {
    int n;
    struct binder *items[N_PARTS + CONTROL_NETS_MAX];
};

/* The binders of m that the stage wants, or those that it does not. */
static struct chosen choose(const struct model *m, enum stage stage, bool wanted) {
    struct chosen c = {0};
    for (int i = 0; i < m->n_binders; i++)
        for (enum part part = PART_TEXT_ENCODER; part < N_PARTS; part++)
            if (m->parts[part] == m->binders[i]->component && has_part(m, stage, part) == wanted) c.items[c.n++] = m->binders[i];
    for (int i = 0; m->controls && i < m->controls->n; i++)
        if ((stage == STAGE_DENOISE) == wanted) c.items[c.n++] = m->controls->items[i].binder;
    return c;
}

/* All of them. */
static struct chosen choose_all(const struct model *m) {
    struct chosen c = {0};
    for (int i = 0; i < m->n_binders; i++) c.items[c.n++] = m->binders[i];
    for (int i = 0; m->controls && i < m->controls->n; i++) c.items[c.n++] = m->controls->items[i].binder;
    return c;
}

static uint64_t *arena_of(const struct model *m, enum stage stage) {
    return &m->stages->arena[model_refines(m)][stage];
}

uint64_t stage_weights(const struct model *m, enum stage stage) {
    struct chosen c = choose(m, stage, true);
    return weights_packed_bytes(m->device, c.items, c.n);
}

uint64_t stages_held(const struct model *m) {
    uint64_t bytes = m->device->arena_capacity;
    for (; m; m = m->refiner) {
        struct chosen c = choose_all(m);
        bytes += weights_held_bytes(c.items, c.n);
    }
    return bytes;
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

void stages_plan_begin(struct model *m, bool on, bool joined) {
    *m->stages = (struct stages){.on = on, .joined = joined};
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* The stage before, if there was one, has been planned. */
static void note_peak(struct stages *s, struct device *dev) {
    if (s->model) {
        struct chosen c = choose(s->model, s->stage, true);
        uint64_t *arena = arena_of(s->model, s->stage);
        *arena = larger(*arena, larger(dev->arena_peak, weights_reading_bytes(dev, c.items, c.n)));
    }
    dev->arena_used = dev->arena_peak = 0;
}

void stages_plan_end(struct model *m) {
    struct device *dev = m->device;
    for (struct model *each = m; each && !m->stages->on; each = each->refiner) {
        struct chosen c = choose_all(each);
        dev->arena_peak = (size_t)larger(dev->arena_peak, weights_reading_bytes(dev, c.items, c.n));
    }
    if (!m->stages->on) return;
    note_peak(m->stages, dev);
    m->stages->model = NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void release_others(const struct model *m, const struct model *other, enum stage stage) {
    struct chosen c = choose(m, stage, false);
    weights_release(m->device, c.items, c.n);
    if (!other) return;
    c = choose_all(other);
    weights_release(other->device, c.items, c.n);
}

static void bring(struct model *m, enum stage stage) {
    struct model *counted = model_refines(m) ? m->partner : m;
    struct chosen c = choose(m, stage, true);
    struct device *dev = m->device;
    m->stages->model = NULL; /* should it die on the way */
    m->prepared = 0;
    if (m->partner) m->partner->prepared = 0;
    dev->recover(dev);
    dev->load_forget(dev);
    dev->load_wait(dev);
    release_others(m, m->partner, stage);
    dev->arena_fit(dev, *arena_of(m, stage));
    uint64_t bytes = weights_load(dev, c.items, c.n);
    if (bytes) counted->load_ms += weights_wait(dev, c.items, c.n);
    counted->bytes_read += bytes;
}

bool stage_begin(struct model *m, enum stage stage) {
    struct stages *s = m->stages;
    if (!s->on) return false;
    if (s->joined && stage > STAGE_DENOISE) stage = STAGE_DENOISE;
    if (s->model == m && s->stage == stage) return false;
    if (m->device->planning) note_peak(s, m->device);
    else bring(m, stage);
    s->model = m;
    s->stage = stage;
    return true;
}
