/* A resident model on the CUDA device, emulated or real. */
#include "test/previews.h"
#include "test/resident.h"

#include "cuda/cuda.h"
#include "engine/cpu/cpu.h"

static struct device *open_f16(void) {
    return cuda_device_open(DT_F16, -1);
}

static void test_requests(void **state) {
    (void)state;
    compare_with_fresh("test/fixtures/tiny-sd1", open_f16, 2);
}

/* Where a part lay, another comes to lie: nothing of the first may be left. */
static void test_offloaded(void **state) {
    (void)state;
    offloaded = 2;
    compare_with_fresh("test/fixtures/tiny-sd1", open_f16, 7);
    offloaded = 0;
    compare_broken_off("test/fixtures/tiny-sd1", open_f16);
}

static struct device *open_f32(void) {
    return cuda_device_open(DT_F32, -1);
}

/* Our own kernels sum alike whatever the batch is, as far as no product is cut up by its number of rows: in f32, without cuBLASLt. The
 * program relies on it for nothing (images_alone), but what is drawn at once has to be right. */
static void test_together(void **state) {
    (void)state;
    struct settings s = first_settings("test/fixtures/tiny-sd1");
    struct device *device = open_f32();
    assert_false(device->images_alone);
    s.scheduler = "euler_a";
    s.guidance_rescale = 0.7;
    s.height = 24;
    s.count = 3;
    compare_together(&s, device, 3);
}

static void test_remembered(void **state) {
    (void)state;
    compare_remembered("test/fixtures/tiny-sd1", open_f16);
}

static void test_failures(void **state) {
    (void)state;
    compare_after_failures("test/fixtures/tiny-sd1", open_f16);
}

/* A preview takes the latents' place for a while, between two replays of a step too, and is the CPU's to a level. */
static void test_preview(void **state) {
    (void)state;
    struct arena a = {0};
    struct seen seen = {.arena = &a, .wanted = true}, cpu = seen, blind = {.arena = &a};
    struct settings s = settings_for("test/fixtures/tiny-sd1", 32);
    size_t n;
    const uint8_t *with = draw_two(&s, open_f32(), &seen, &n), *without = draw_two(&s, open_f32(), &blind, &n);
    assert_memory_equal(with, without, 2 * n);
    draw_two(&s, cpu_device_open(DT_F32, 1), &cpu, &n);
    n = (size_t)seen.image.W * (size_t)seen.image.H * (size_t)seen.image.C;
    assert_int_equal(n, cpu.image.W * cpu.image.H * cpu.image.C);
    for (size_t i = 0; i < n; i++)
        if (abs(seen.image.pixels[i] - cpu.image.pixels[i]) > 1) fail_msg("%zu: %d, CPU %d", i, seen.image.pixels[i], cpu.image.pixels[i]);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests),   cmocka_unit_test(test_offloaded), cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_remembered), cmocka_unit_test(test_failures),  cmocka_unit_test(test_preview)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
