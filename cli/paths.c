#include "cli/paths.h"

#include <string.h>
#include "cli/template.h"

static struct template_fields fields_of(const struct options *o, const struct settings *s, const struct scheduler *scheduler, int k) {
    return (struct template_fields){.seed = s->seed + (uint64_t)k,
                                    .n = k + 1,
                                    .id = o->id,
                                    .prompt = s->prompt,
                                    .model = s->model,
                                    .scheduler = scheduler ? scheduler->names[0] : NULL,
                                    .steps = s->steps,
                                    .width = s->width,
                                    .height = s->height};
}

const char *path_of_image(struct arena *a, const struct request *r, const struct options *o, int k, int step) {
    if (!strcmp(o->output, "-")) return o->output;
    struct template_fields fields = fields_of(o, &r->settings, r->scheduler, k);
    fields.step = step < 0 ? request_rows(r) : step;
    return template_expand(a, step < 0 ? o->output : template_with_step(a, o->output), &fields);
}

static struct template_fields outline(struct arena *a, const struct options *o, int k) {
    const struct settings *s = &o->settings;
    const char *name = s->scheduler ? arena_printf(a, "%.*s", (int)strcspn(s->scheduler, ",:"), s->scheduler) : "";
    return fields_of(o, s, *name ? scheduler_find(name) : NULL, k);
}

const char *path_before_model(struct arena *a, const struct options *o, int k) {
    struct template_fields fields = outline(a, o, k);
    return template_needs_model(o->output, &fields) ? NULL : template_expand(a, o->output, &fields);
}

const char *path_outline(struct arena *a, const struct options *o, int k) {
    struct template_fields fields = outline(a, o, k);
    return template_expand(a, o->output, &fields);
}
