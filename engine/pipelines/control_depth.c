#include "engine/pipelines/control_depth.h"

#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/nets/nets.h"
#include "engine/pipelines/depth.h"

static const char option[] = "--control-preprocess depth:DIR";

static struct component *find(const struct checkpoint *c, const char *name) {
    struct component *component = checkpoint_find(c, name);
    if (!component) die_hint(FAIL_UNSUPPORTED, option, "%s: the checkpoint has no '%s'", c->name, name);
    return component;
}

/* A checkpoint's preprocessor, or the lone net's. */
static const struct json *open_config(struct arena *a, struct control_net *n) {
    const char *revision, *dir = checkpoint_locate(a, option, n->path, &revision);
    if (!name_exists(arena_printf(a, "%s/model_index.json", dir))) {
        n->checkpoint = checkpoint_list_net(a, option, n->path, "depth_estimator", true);
        n->component = &n->checkpoint->components[0];
        return json_load(a, arena_printf(a, "%s/preprocessor_config.json", dir));
    }
    n->checkpoint = checkpoint_list(a, &(struct source){.model = n->path, .swapped = true});
    n->component = find(n->checkpoint, "depth_estimator");
    struct component *extractor = find(n->checkpoint, "feature_extractor");
    component_open(n->checkpoint, extractor, COMPONENT_EXTRACTOR, NULL);
    return extractor->config;
}

void control_depth_open(struct arena *a, struct control_net *n) {
    static const char class[] = "DPTForDepthEstimation";
    extractor_dpt(&n->extractor, a, open_config(a, n));
    if (strcmp(n->component->class_name, class))
        die(FAIL_UNSUPPORTED, "%s: expected class %s, found '%s'", n->path, class, n->component->class_name);
    component_open(n->checkpoint, n->component, COMPONENT_NET, NULL);
    n->binder = binder_new(n->component);
    n->depth = net_find(class)->bind(n->binder);
    binder_check(n->binder);
}

void control_depth_see(struct arena *a, struct control_depth *d, const struct image *picture) {
    if (!depth_see(a, d->of->depth, &d->of->extractor, picture, &d->seen))
        die(FAIL_UNSUPPORTED, "%s: the preprocessor makes %d x %d of %d x %d: not what the depth estimator takes", d->of->path, d->seen.W,
            d->seen.H, picture->W, picture->H);
}

struct image control_depth_run(struct arena *a, struct device *dev, const struct control_depth *d, int W, int H) {
    size_t n = (size_t)W * (size_t)H;
    int size;
    const float *values = depth_estimate(a, dev, d->of->depth, &d->seen, &size);
    if (dev->planning) return (struct image){0};
    float *unit = arena_array(a, n, sizeof *unit);
    depth_unit(unit, W, H, values, size, size, d->name);
    struct image map = image_new(a, W, H, 3);
    for (size_t i = 0; i < n; i++) memset(map.pixels + 3 * i, (int)(unit[i] * 255), 3);
    return map;
}
