/* One loaded model serves requests of all kinds, one after the other: every picture is, byte for byte, that of a model opened for it alone.
 */
#ifndef TEST_RESIDENT_H
#define TEST_RESIDENT_H

#include "test/scenes.h"

#include <errno.h>

#include "engine/base/sys.h"

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
static int offloaded;       /* requests of the resident model whose parts are in memory one after the other: every so-manieth; 0: none */

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
        m->offload = offloaded && i / at_once % offloaded == 0 ? OFFLOAD_STAGE : OFFLOAD_NONE;
        struct request *r = open_more(&a, m, &s);
        size_t n, n_fresh;
        uint8_t *rgb = pixels_new(&all, r, &n);
        draw(r, 0, rgb);
        assert_true(r->model->stages->on == (m->offload == OFFLOAD_STAGE));
        assert_true(stages_held(m) <= model_memory(m).weights + model_memory(m).activations);
        if (m->stages->on) assert_true(stages_held(m) <= stage_weights(m->stages->model, m->stages->stage) + m->device->arena_capacity);
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

/* After the first row. */
static void spoil(void *data, struct picture *p, int row) {
    const struct request *r = p->drawing->request;
    struct latents l = picture_latents(p);
    size_t n = request_latent_count(r);
    (void)data;
    if (row || p->i != 1) return;
    float *x = arena_array(p->drawing->arena, n, sizeof *x);
    r->model->device->ops->download_latents(r->model->device, x, l.x, 1, l.H, l.W, l.C);
    x[3] = NAN;
    r->model->device->ops->upload_latents(r->model->device, l.x, x, 1, l.H, l.W, l.C);
}

/* Images k to k + n - 1 of the settings drawn at once are those drawn alone, also where one of them is left out. */
static void compare_together(const struct settings *s, struct device *device, int n) {
    enum { MOST = 8 };
    struct arena a = {0};
    struct request *r = open_request(&a, s, device);
    uint8_t *alone[MOST], *rgb;
    size_t bytes;
    for (int k = 0; k < n; k++) {
        alone[k] = pixels_new(&a, r, &bytes);
        draw(r, k, alone[k]);
        if (k && !r->model->safety && !memcmp(alone[k], alone[k - 1], bytes))
            fail_msg("%s: images %d and %d are the same", s->model, k - 1, k);
    }
    rgb = pixels_new(&a, r, &bytes);
    for (int left_out = 0; left_out < 2; left_out++) {
        int ks[MOST], m = 0;
        for (int k = 0; k < n; k++)
            if (!left_out || k != n / 2) ks[m++] = k;
        request_set_pictures(r, m);
        request_plan(r);
        model_load(r->model);
        struct drawing *d = drawing_open(&a, r, ks, m);
        drawing_run(d);
        for (int i = m - 1; i >= 0; i--) { /* in any order */
            picture_finish(&d->pictures[i], rgb);
            if (memcmp(rgb, alone[ks[i]], bytes) != 0)
                fail_msg("%s, %s, %dx%d: image %d of %d at once is not what it is alone", s->model, s->scheduler ? s->scheduler : "its own",
                         s->width, s->height, ks[i], m);
        }
    }
    model_close(r->model);
    arena_free(&a);
}

/* Schedulers that draw noise, keep history and clip by quantile; sizes with odd rests, guidance of one and two copies. */
static void compare_all_together(const char *model, struct device *(*open)(void)) {
    static const char *const names[] = {
        NULL, "euler_a", "ddim", "heun", "dpm++2m,algorithm_type=sde-dpmsolver++", "unipc", "ddpm,thresholding=true,sample_max_value=2",
        "lcm"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        struct settings s = first_settings(model);
        s.scheduler = names[i];
        s.eta = i == 2 ? 1 : 0;
        s.guidance = i % 4 == 3 ? 1 : 7.5;
        s.guidance_rescale = i % 2 && s.guidance > 1 ? 0.7 : 0;
        s.width = 16 + i % 3 * 8;
        s.height = 16 + i % 2 * 16;
        s.count = 5;
        compare_together(&s, open(), 2 + i % 4);
    }
}

/* One picture of several comes to nothing: the others are what they are. */
static void compare_beside_flawed(const char *model, struct device *(*open)(void)) {
    enum { N = 3 };
    struct arena a = {0};
    struct settings s = first_settings(model);
    struct request *r = open_request(&a, &s, open());
    size_t bytes;
    uint8_t *alone = pixels_new(&a, r, &bytes), *rgb = pixels_new(&a, r, &bytes);
    draw(r, 2, alone);
    request_set_pictures(r, N);
    request_plan(r);
    model_load(r->model);
    struct drawing *d = drawing_open(&a, r, (const int[]){0, 1, 2}, N);
    d->on_step = spoil;
    drawing_run(d);
    assert_dies(FAIL_INTERNAL, "is not finite after step 2", picture_finish(&d->pictures[1], rgb));
    assert_int_equal(d->pictures[1].flaw_step, 2);
    picture_finish(&d->pictures[2], rgb);
    assert_memory_equal(rgb, alone, bytes);
    model_close(r->model);
    arena_free(&a);
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

/* A part that cannot be brought in fails the picture, and the next one, with whatever is there, is right. */
static long reads_left;
static ssize_t (*true_pread)(int fd, void *dst, size_t n, off_t offset);
static ssize_t failing_pread(int fd, void *dst, size_t n, off_t offset) {
    if (__atomic_fetch_sub(&reads_left, 1, __ATOMIC_RELAXED) > 0) return true_pread(fd, dst, n, offset);
    errno = EIO;
    return -1;
}

__attribute__((noinline)) static void fail_to_draw(struct request *r, uint8_t *rgb) {
    assert_dies(FAIL_IO, "", draw(r, 0, rgb));
}

static void compare_broken_off(const char *model, struct device *(*open)(void)) {
    struct arena a = {0};
    struct settings s = first_settings(model);
    size_t n, n_fresh;
    uint8_t *fresh = draw_fresh(&a, &s, open(), &n_fresh);
    struct model *m = model_open_both(&a, &s);
    m->offload = OFFLOAD_STAGE;
    model_use(m, open());
    struct request *r = open_more(&a, m, &s);
    uint8_t *rgb = pixels_new(&a, r, &n);
    long all = 0;
    true_pread = sys.pread;
    sys.pread = failing_pread;
    for (long reads = 0; reads < all || !all; reads += all / 5) { /* none, then at the text encoder, the denoiser … */
        model_forget(m);
        reads_left = all ? reads : 1000000;
        if (all) fail_to_draw(r, rgb);
        else draw(r, 0, rgb);
        if (!all) all = 1000000 - reads_left;
        reads_left = 1000000;
        r = open_more(&a, m, &s);
        draw(r, 0, rgb);
        assert_memory_equal(rgb, fresh, n);
    }
    sys.pread = true_pread;
    assert_true(all > 20);
    model_close(m);
    arena_free(&a);
}

/* What does not fit together is drawn part by part without being asked, and what does not fit even so in tiles: at a size where the decoder
 * is the largest part, whichever way weights are packed. */
static size_t few_bytes;
static size_t little_memory(struct device *dev) {
    (void)dev;
    return few_bytes;
}

static void compare_little_memory(const char *model, struct device *(*open)(void)) {
    struct arena a = {0};
    struct settings s = first_settings(model);
    size_t n, n_fresh;
    s.width = s.height = 192;
    struct request *r = open_request(&a, &s, open());
    struct model *m = r->model;
    uint64_t whole = memory_plan_sum(model_memory(m));
    request_plan_as(r, true, false);
    uint64_t staged = memory_plan_sum(model_memory(m));
    request_plan_as(r, true, true);
    uint64_t tiled = memory_plan_sum(model_memory(m));
    assert_true(tiled < staged && staged < whole);
    model_close(m);
    for (int i = 0; i < 5; i++) {
        s.vae_tiling = i > 3 ? TILING_ON : TILING_AUTO;
        uint8_t *fresh = i == 0 || i == 2 ? NULL : draw_fresh(&a, &s, open(), &n_fresh);
        struct settings asked = s;
        asked.vae_tiling = TILING_AUTO;
        few_bytes = i == 0 ? whole : i < 2 ? whole - 1 : i < 3 ? staged - 1 : i < 4 ? staged : tiled;
        m = model_open_both(&a, &s);
        model_use(m, open());
        m->device->memory_free = little_memory;
        asked.vae_tiling = i == 2 ? TILING_OFF : TILING_AUTO;
        r = request_open(&a, m, &asked);
        request_plan(r);
        assert_true(m->stages->on == (i > 0) && m->tiled == (i > 3));
        assert_true(r->settings.vae_tiling == (i > 3 ? TILING_ON : asked.vae_tiling));
        if (fresh) {
            uint8_t *rgb = pixels_new(&a, r, &n);
            model_load(m);
            draw(r, 0, rgb);
            assert_memory_equal(rgb, fresh, n);
        }
        model_close(m);
    }
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
