#include "engine/pipelines/safety.h"

#include "engine/base/error.h"
#include "engine/pipelines/request.h"

void safety_open(struct model *m) {
    extractor_clip(&m->extractor, m->arena, m->parts[PART_FEATURE_EXTRACTOR]->config);
}

void safety_check(const struct request *r) {
    const struct model *m = r->model;
    int W, H, S = m->safety->vision.image_size;
    extractor_size(&m->extractor, r->settings.width, r->settings.height, &W, &H);
    if (W != S || H != S)
        die_hint(FAIL_UNSUPPORTED, "--no-safety-checker", "%s: makes %dx%d of a picture, but safety_checker/config.json: 'image_size' %d",
                 json_path(m->parts[PART_FEATURE_EXTRACTOR]->config), W, H, S);
}

/* embeds [P] of pixels [S,S,3], both in host memory and not touched while planning. */
static void embed(struct model *m, float *embeds, const float *pixels) {
    struct device *dev = m->device;
    stage_begin(m, STAGE_CHECK);
    size_t mark = arena_mark(dev);
    int S = m->safety->vision.image_size;
    struct view x = view_alloc(dev, 1, S, S, 3), y = view_alloc(dev, 1, 1, 1, m->safety->projection_dim);
    dev->ops->upload(dev, x, pixels);
    safety_checker_embed(dev, m->safety, y, x);
    dev->ops->download(dev, embeds, y);
    arena_release(dev, mark);
}

void safety_plan(const struct request *r) {
    embed(r->model, NULL, NULL);
}

bool safety_flags(const struct request *r, struct arena *a, uint8_t *rgb) {
    const struct model *m = r->model;
    size_t S = (size_t)m->safety->vision.image_size;
    struct image image = {r->settings.width, r->settings.height, 3, rgb};
    float *pixels = arena_array(a, S * S, 3 * sizeof *pixels);
    float *embeds = arena_array(a, (size_t)m->safety->projection_dim, sizeof *embeds), scores[SAFETY_ALL];
    extractor_run(&m->extractor, a, pixels, &image);
    embed(r->model, embeds, pixels);
    struct safety_cosines c = safety_checker_compare(m->safety, a, embeds);
    return safety_checker_rule(&c, scores);
}
