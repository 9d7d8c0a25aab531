/* --preview's pictures: near what the VAE makes of the same latents, whatever the VAE, and without a trace in the picture that is drawn. */
#include "test/previews.h"

#include "engine/cpu/cpu.h"

static uint8_t *draw_on_cpu(const struct settings *settings, struct seen *s, size_t *n) {
    return draw_two(settings, cpu_device_open(DT_F32, 2), s, n);
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
    uint8_t *with = draw_on_cpu(&s, &seen, &n), *without = draw_on_cpu(&s, &blind, &n);
    assert_memory_equal(with, without, 2 * n);
    assert_int_equal(seen.n, 2 * (s.steps + 1)); /* PNDM has one more */
    assert_true(seen.image.W == 16 && seen.image.H == 16 && seen.image.C == 3);
    double left = open_part(&seen, 128);
    if (!(left < 0.2)) fail_msg("the preview leaves %.2f of the picture's variance open", left);
    /* noise on another scale, which a sampler begins with, is brought to the VAE's */
    s.scheduler = "euler";
    draw_on_cpu(&s, &seen, &n);
    left = open_part(&seen, 128);
    if (!(left < 0.2)) fail_msg("euler: the preview leaves %.2f of the picture's variance open", left);
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
    draw_on_cpu(&s, &seen, &n);
    assert_int_equal((size_t)seen.image.W * (size_t)seen.image.H * (size_t)seen.image.C, n);
    assert_memory_equal(seen.image.pixels, seen.decoded, n);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_near), cmocka_unit_test(test_pixels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
