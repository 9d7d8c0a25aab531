/* Pictures drawn with --preview's and without. */
#ifndef TEST_PREVIEWS_H
#define TEST_PREVIEWS_H

#include "test/scenes.h"

#include "engine/pipelines/preview.h"

struct seen {
    struct arena *arena;
    bool wanted;
    struct image image; /* after the last row */
    uint8_t *decoded;   /* the same latents by the VAE */
    int n;
};

static void on_step(void *data, struct picture *p, int row) {
    struct seen *s = data;
    if (!s->wanted) return;
    s->image = preview_draw(s->arena, p, row);
    s->n++;
    if (row + 1 == request_rows(p->drawing->request)) picture_snapshot(p, s->decoded);
}

/* Two pictures, one after the other, of one model, n bytes each; the first one finds the colours. */
static uint8_t *draw_two(const struct settings *settings, struct device *device, struct seen *s, size_t *n) {
    struct model *m = model_open(s->arena, settings_source(settings));
    struct request *r = request_open(s->arena, m, settings);
    model_use(m, device);
    r->snapshots = s->wanted;
    request_plan(r);
    model_load(m);
    *n = request_pixel_count(r);
    uint8_t *rgb = arena_array(s->arena, *n, 2);
    s->decoded = arena_array(s->arena, *n, 1);
    for (int k = 0; k < 2; k++) {
        struct arena a = {0};
        struct picture *p = picture_open(&a, r, k);
        p->drawing->on_step = on_step;
        p->drawing->on_step_data = s;
        picture_draw(p, rgb + (size_t)k * *n);
        arena_free(&a);
    }
    model_close(m);
    return rgb;
}

static struct settings settings_for(const char *model, int side) {
    struct settings s = {.model = model, .prompt = "a red cat", .seed = 3, .steps = 6, .guidance = 2.5, .clip_skip = -1, .count = 2};
    s.width = s.height = side;
    return s;
}

#endif
