/* --preview's pictures: near what the VAE makes of the same latents, whatever the VAE, and without a trace in the picture that is drawn. */
#include "test/scenes.h"

#include "engine/cpu/cpu.h"
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
static uint8_t *draw_two(const struct settings *settings, struct seen *s, size_t *n) {
    struct model *m = model_open(s->arena, settings_source(settings));
    struct request *r = request_open(s->arena, m, settings);
    model_use(m, cpu_device_open(DT_F32, 2));
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

/* Means over squares of `factor` pixels, of one colour. */
static double mean_of(const uint8_t *rgb, int W, int factor, int x, int y, int c) {
    double sum = 0;
    for (int v = 0; v < factor; v++)
        for (int u = 0; u < factor; u++) sum += rgb[3 * ((y * factor + v) * W + x * factor + u) + c];
    return sum / (factor * factor);
}

/* What part of the decoded picture's variance the preview leaves open. */
static double open_part(const struct seen *s, int W) {
    int w = s->image.W, factor = W / w;
    double mean = 0, all = 0, left = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < w * w * 3; i++) {
            double want = mean_of(s->decoded, W, factor, i / 3 % w, i / 3 / w, i % 3), got = s->image.pixels[i];
            if (!pass) mean += want / (w * w * 3);
            else all += (want - mean) * (want - mean), left += (want - got) * (want - got);
        }
    return left / all;
}

static void test_near(void **state) {
    (void)state;
    struct arena a = {0};
    struct seen seen = {.arena = &a, .wanted = true}, blind = {.arena = &a};
    struct settings s = settings_for("models/doodle", 128);
    size_t n;
    uint8_t *with = draw_two(&s, &seen, &n), *without = draw_two(&s, &blind, &n);
    assert_memory_equal(with, without, 2 * n);
    assert_int_equal(seen.n, 2 * (s.steps + 1)); /* PNDM has one more */
    assert_true(seen.image.W == 16 && seen.image.H == 16 && seen.image.C == 3);
    double left = open_part(&seen, 128);
    if (!(left < 0.3)) fail_msg("the preview leaves %.2f of the picture's variance open", left);
    /* noise on another scale, which a sampler begins with, is brought to the VAE's */
    s.scheduler = "euler";
    draw_two(&s, &seen, &n);
    left = open_part(&seen, 128);
    if (!(left < 0.3)) fail_msg("euler: the preview leaves %.2f of the picture's variance open", left);
    arena_free(&a);
}

/* Without a VAE it is the picture itself. */
static void test_pixels(void **state) {
    (void)state;
    struct arena a = {0};
    struct seen seen = {.arena = &a, .wanted = true};
    struct settings s = settings_for("test/fixtures/tiny-ddpm", 0);
    size_t n;
    s.prompt = NULL;
    s.guidance = NAN;
    draw_two(&s, &seen, &n);
    assert_int_equal((size_t)seen.image.W * (size_t)seen.image.H * (size_t)seen.image.C, n);
    assert_memory_equal(seen.image.pixels, seen.decoded, n);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_near), cmocka_unit_test(test_pixels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
