/* One loaded model serves requests of all kinds, one after the other: every picture is, byte for byte, that of a model opened for it alone.
 */
#ifndef TEST_RESIDENT_H
#define TEST_RESIDENT_H

#include "test/scenes.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of them */

static struct request *open_more(struct arena *a, struct model *m, const struct settings *settings) {
    struct request *r = request_open(a, m, settings);
    request_plan(r);
    model_load(m);
    return r;
}

static uint8_t *draw_fresh(struct arena *a, const struct settings *settings, struct device *device, size_t *n) {
    struct request *r = open_request(a, settings, device);
    uint8_t *rgb = pixels_new(a, r, n);
    draw(r, 0, rgb);
    model_close(r->model);
    return rgb;
}

static const char *refiner; /* of the models to come, or NULL */

static struct settings first_settings(const char *model) {
    return (struct settings){.model = model,
                             .refiner = refiner,
                             .refine_at = 0.5,
                             .prompt = "a fox",
                             .seed = 7,
                             .steps = 3,
                             .guidance = 7.5,
                             .clip_skip = -1,
                             .count = 1,
                             .width = 16,
                             .height = 16,
                             .rng_dtype = DT_F32};
}

enum { N_CHANGES = 15 };

/* What each of a sequence of requests changes of the one before; the last is the first again. */
static void change(struct settings *s, int i) {
    switch (i) {
    case 1: s->guidance = 2; break;
    case 2: s->guidance_rescale = 0.7; break;
    case 3: s->prompt = "a boat in the rain"; break;
    case 4: s->negative = "blurry"; break;
    case 5: s->seed = 8; break;
    case 6: s->steps = 4; break;
    case 7: s->scheduler = "euler_a"; break;
    case 8: s->scheduler = "heun"; break;
    case 9: s->scheduler = "ddim", s->eta = 1; break;
    case 10: s->width = 24; break;
    case 11: s->clip_skip = 1; break;
    case 12: s->guidance = 1; break; /* one image a call */
    case 13: s->guidance = 7.5, s->width = 16, s->height = 24; break;
    case N_CHANGES - 1: *s = first_settings(s->model); break;
    }
}

/* at_once: so many changes from one request to the next. */
static void compare_with_fresh(const char *model, struct device *(*open)(void), int at_once) {
    struct arena all = {0};
    struct settings s = first_settings(model);
    struct model *m = model_open_both(&all, &s);
    model_use(m, open());
    const uint8_t *before = NULL;
    size_t n_before = 0;
    for (int i = 0; i < N_CHANGES; i += at_once) {
        struct arena a = {0};
        for (int j = i - at_once + 1; j <= i; j++) change(&s, j);
        struct request *r = open_more(&a, m, &s);
        size_t n, n_fresh;
        uint8_t *rgb = pixels_new(&all, r, &n);
        draw(r, 0, rgb);
        const uint8_t *fresh = draw_fresh(&a, &s, open(), &n_fresh);
        assert_int_equal(n, n_fresh);
        if (memcmp(rgb, fresh, n) != 0) fail_msg("%s: request %d is not what a fresh model draws", model, i);
        if (n == n_before && memcmp(rgb, before, n) == 0) fail_msg("%s: request %d is like the one before", model, i);
        before = rgb, n_before = n;
        arena_free(&a);
    }
    model_close(m);
    arena_free(&all);
}

/* A text that was encoded is not encoded again: what the model remembers of it is what the next request draws with. */
static void compare_remembered(const char *model, struct device *(*open)(void)) {
    struct arena a = {0};
    struct settings s = first_settings(model);
    size_t n;
    struct request *r = open_request(&a, &s, open());
    struct model *m = r->model;
    uint8_t *first = pixels_new(&a, r, &n), *again = pixels_new(&a, r, &n);
    draw(r, 0, first);
    assert_int_equal(m->prompts.n_encoded, 2); /* "" and "a fox" */
    draw(open_more(&a, m, &s), 0, again);
    assert_memory_equal(again, first, n);
    assert_int_equal(m->prompts.n_encoded, 2);
    m->prompts.encoded[1].values[0] += 100;
    draw(open_more(&a, m, &s), 0, again);
    assert_memory_not_equal(again, first, n);
    model_forget(m);
    draw(open_more(&a, m, &s), 0, again);
    assert_memory_equal(again, first, n);
    model_close(m);
    arena_free(&a);
}

/* More texts than are remembered. */
static void compare_pushed_out(const char *model, struct device *(*open)(void)) {
    struct arena a = {0};
    struct settings s = first_settings(model);
    size_t n;
    struct request *r = open_request(&a, &s, open());
    struct model *m = r->model;
    uint8_t *first = pixels_new(&a, r, &n), *again = pixels_new(&a, r, &n);
    draw(r, 0, first);
    s.steps = 1;
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        s.prompt = arena_printf(&a, "fox %d", i);
        draw(open_more(&a, m, &s), 0, again);
    }
    s = first_settings(model);
    draw(open_more(&a, m, &s), 0, again);
    assert_memory_equal(again, first, n);
    model_close(m);
    arena_free(&a);
}

/* A request that cannot be, and a picture that fails, leave the model as it was. */
static void compare_after_failures(const char *model, struct device *(*open)(void)) {
    struct arena a = {0};
    struct settings s = first_settings(model), bad;
    size_t n;
    struct request *r = open_request(&a, &s, open());
    struct model *m = r->model;
    uint8_t *first = pixels_new(&a, r, &n), *again = pixels_new(&a, r, &n);
    draw(r, 0, first);
    bad = s, bad.width = 17;
    assert_dies(FAIL_USAGE, "width 17", open_more(&a, m, &bad));
    bad = s, bad.prompt = NULL;
    assert_dies(FAIL_USAGE, "expected a prompt, found none", open_more(&a, m, &bad));
    double scale = m->vae->scaling_factor;
    m->vae->scaling_factor = 1e-60; /* 1 / it is not a float */
    bad = s, bad.height = 24;
    struct request *failing = open_more(&a, m, &bad);
    uint8_t *unused = pixels_new(&a, failing, &n);
    assert_dies(FAIL_INTERNAL, "decoded image", draw(failing, 0, unused));
    m->vae->scaling_factor = scale;
    draw(open_more(&a, m, &s), 0, again);
    pixels_new(&a, r, &n);
    assert_memory_equal(again, first, n);
    model_close(m);
    arena_free(&a);
}

#endif
