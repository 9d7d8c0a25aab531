#include "engine/nets/safety_checker.h"
#include "engine/base/error.h"
#include "engine/files/tensor.h"

#include <math.h>
#include <string.h>

/* transformers before 5.6 saved the tower's tensors below "vision_model." twice. */
static const char *tower_prefix(const struct component *c) {
    bool twice = component_find(c, "vision_model.vision_model.embeddings.class_embedding") != NULL;
    return twice ? "vision_model.vision_model." : "vision_model.";
}

struct safety_checker *safety_checker_bind(struct binder *binder) {
    struct safety_checker *m = arena_alloc(binder->arena, sizeof *m);
    struct json *config = binder->component->config, *vision = json_object(binder->arena, config, "vision_config");
    if (!vision) die(FAIL_DATA, "%s: field 'vision_config' is missing", json_path(config));
    clip_vision_bind(&m->vision, binder, vision, tower_prefix(binder->component));
    int P = m->projection_dim = (int)json_int(config, "projection_dim", 512, 1, 65536);
    m->visual_projection = weight_get(binder, WEIGHT_MATRIX, SHAPE(P, m->vision.layers.hidden_size), "visual_projection.weight");
    m->special_care_embeds = weight_get(binder, WEIGHT_TABLE, SHAPE(SAFETY_SPECIAL, P), "special_care_embeds");
    m->special_care_embeds_weights = weight_get(binder, WEIGHT_VECTOR, SHAPE(SAFETY_SPECIAL), "special_care_embeds_weights");
    m->concept_embeds = weight_get(binder, WEIGHT_TABLE, SHAPE(SAFETY_CONCEPTS, P), "concept_embeds");
    m->concept_embeds_weights = weight_get(binder, WEIGHT_VECTOR, SHAPE(SAFETY_CONCEPTS), "concept_embeds_weights");
    return m;
}

void safety_checker_embed(struct device *dev, const struct safety_checker *m, struct view y, struct view x) {
    size_t mark = arena_mark(dev);
    struct view pooled = view_alloc(dev, 1, 1, 1, m->vision.layers.hidden_size);
    clip_vision_forward(dev, &m->vision, pooled, x);
    dev->ops->linear(dev, y, pooled, m->visual_projection, NULL, ACT_NONE, no_view);
    tap_view(dev, y, "visual_projection");
    arena_release(dev, mark);
}

/* ---- on the host ------------------------------------------------------------------------------------------------- */

static float *read_values(struct arena *a, const struct weight *w) {
    const struct tensor *t = w->parts[0];
    float *values = arena_array(a, tensor_count(t), sizeof *values);
    int error = tensor_read_f32(t, values, 0, tensor_count(t));
    if (error) die(FAIL_IO, "%s: tensor '%s': %s", t->file->path, t->name, strerror(error));
    return values;
}

/* torch's cosine: neither length counts as less than 1e-12. */
static float cosine(const float *x, const float *y, int n) {
    double dot = 0, xx = 0, yy = 0;
    for (int i = 0; i < n; i++) {
        dot += (double)x[i] * y[i];
        xx += (double)x[i] * x[i];
        yy += (double)y[i] * y[i];
    }
    return (float)(dot / fmax(sqrt(xx), 1e-12) / fmax(sqrt(yy), 1e-12));
}

static void compare(const struct safety_checker *m, struct arena *a, const float *embeds, const struct weight *with,
                    const struct weight *allowed, struct safety_cosines *c, int first, int n) {
    const float *rows = read_values(a, with);
    memcpy(c->allowed + first, read_values(a, allowed), (size_t)n * sizeof *c->allowed);
    for (int i = 0; i < n; i++) c->cosine[first + i] = cosine(embeds, rows + (size_t)i * (size_t)m->projection_dim, m->projection_dim);
}

struct safety_cosines safety_checker_compare(const struct safety_checker *m, struct arena *a, const float *embeds) {
    struct safety_cosines c;
    compare(m, a, embeds, m->special_care_embeds, m->special_care_embeds_weights, &c, 0, SAFETY_SPECIAL);
    compare(m, a, embeds, m->concept_embeds, m->concept_embeds_weights, &c, SAFETY_SPECIAL, SAFETY_CONCEPTS);
    return c;
}

bool safety_checker_rule(const struct safety_cosines *c, float scores[SAFETY_ALL]) {
    float adjustment = 0;
    bool flagged = false;
    for (int i = 0; i < SAFETY_ALL; i++) {
        scores[i] = rintf((c->cosine[i] - c->allowed[i] + adjustment) * 1000) / 1000;
        if (!(scores[i] > 0)) continue;
        if (i < SAFETY_SPECIAL) adjustment = 0.01f; /* for the special ones behind it, too */
        else flagged = true;
    }
    return flagged;
}
