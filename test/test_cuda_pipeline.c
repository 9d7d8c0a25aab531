/* Whole pictures of the CUDA device, emulated or real, against diffusers (f32 on the CPU): rows launched one by one with --dump, and
 * captured once and replayed without. */
#include "test/scenes.h"

#include "cuda/cuda.h"

static struct pipeline *open_scene(struct scene *s, enum dtype dtype, bool dump) {
    struct settings settings = settings_of_scene(s);
    if (!dump) settings.dump = NULL;
    struct pipeline *p = pipeline_open(s->arena, &settings);
    pipeline_plan(p, cuda_device_open(dtype, -1));
    pipeline_load(p);
    return p;
}

static uint8_t *pixels_new(struct scene *s, const struct pipeline *p, size_t *n) {
    *n = 3 * (size_t)p->settings.width * (size_t)p->settings.height;
    return arena_array(s->arena, *n, 1);
}

/* f32 keeps the tolerances of the CPU device, row by row. */
static void run_f32(struct scene *s) {
    struct pipeline *p = open_scene(s, DT_F32, true);
    size_t n;
    uint8_t *rgb = pixels_new(s, p, &n);
    int n_rows = p->schedule->n_rows;
    double tolerance = n_rows > 10 ? 5e-3 : 1e-3;
    for (int k = 0; k < p->settings.count; k++) {
        pipeline_generate(p, k, rgb);
        const char *dir = pipeline_dump_dir(p, s->arena, k);
        for (int i = 0; i < n_rows; i++) compare_latents(s, arena_printf(s->arena, "step-%d", i), dir, i, "latents", k, tolerance);
        compare_image(s, rgb, k, n);
    }
    pipeline_close(p);
}

static void run_f32_replayed(struct scene *s) {
    struct pipeline *p = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s, p, &n);
    for (int k = 0; k < p->settings.count; k++) {
        pipeline_generate(p, k, rgb);
        compare_image(s, rgb, k, n);
    }
    pipeline_close(p);
}

/* Half precision rounds weights and every layer's output: the picture stays within 0.6 levels on average and 50 dB of f32's. */
static void compare_half(const struct scene *s, const uint8_t *got, int k, size_t n) {
    const struct st_tensor *t;
    float *want = fixture_f32(s->arena, s->recorded, arena_printf(s->arena, "%s/image", string(s->json, "name")), &t) + (size_t)k * n;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        sum += error, squares += error * error;
    }
    double mean = sum / (double)n, psnr = 10 * log10(255 * 255 / (squares / (double)n + 1e-9));
    if (!(mean < 0.6 && psnr >= 50))
        fail_msg("%s %s (image %d): mean error %.2f levels, %.1f dB", s->checkpoint, string(s->json, "name"), k, mean, psnr);
    if (getenv("VERBOSE")) printf("%-10s %-20s mean error %.3f levels, %.1f dB\n", s->checkpoint, string(s->json, "name"), mean, psnr);
}

static void run_f16(struct scene *s) {
    struct pipeline *p = open_scene(s, DT_F16, false);
    size_t n;
    uint8_t *rgb = pixels_new(s, p, &n), *again = pixels_new(s, p, &n);
    for (int k = 0; k < p->settings.count; k++) {
        pipeline_generate(p, k, rgb);
        compare_half(s, rgb, k, n);
    }
    if (p->settings.count > 1) { /* the same picture from the recording alone, to the last bit */
        pipeline_generate(p, p->settings.count - 1, again);
        assert_memory_equal(again, rgb, n);
    }
    pipeline_close(p);
}

#define NAMES(...)          \
    (const char *const[]) { \
        __VA_ARGS__, NULL   \
    }

static void test_f32(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("default-3"), run_f32);
    for_each_scene("tiny-sd1", "tiny-sd1-more", NAMES("unipc", "euler-a"), run_f32);
    for_each_scene("tiny-ddpm", "tiny-ddpm", NAMES("default-10"), run_f32);
    for_each_scene("tiny-ddpm-learned", "tiny-ddpm-learned", NAMES("range-10", "learned-5"), run_f32);
}

static void test_f32_replayed(void **state) {
    (void)state;
    for_each_scene("tiny-sd2", "tiny-sd2", NAMES("guidance-rescale", "clip-skip-1"), run_f32_replayed);
    for_each_scene("tiny-ddpm", "tiny-ddpm", NAMES("default-50", "ddim-eta-1-count-2"), run_f32_replayed);
}

static void test_f16_stable_diffusion(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("default-5", "odd", "guidance-1", "count-2"), run_f16);
    for_each_scene("tiny-sd2", "tiny-sd2", NAMES("default-3", "guidance-rescale"), run_f16);
}

static void test_f16_schedulers(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1-more",
                   NAMES("lms", "euler-a-count-2", "heun", "kdpm2-a", "dpm++-sde", "dpm++-single", "unipc", "deis", "lcm", "tcd"), run_f16);
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("pndm-prk", "ddim-eta-1"), run_f16);
}

static void test_f16_unconditional(void **state) {
    (void)state;
    for_each_scene("tiny-ddpm", "tiny-ddpm", NAMES("default-10", "ddim-eta-1-count-2"), run_f16);
    for_each_scene("tiny-ddpm-learned", "tiny-ddpm-learned", NAMES("range-10", "learned-5"), run_f16);
}

/* ---- one model, several settings: a recording holds what it was made with --------------------------------------- */

static void draw(struct pipeline *p, uint8_t *rgb, double guidance, double rescale) {
    p->settings.guidance = guidance;
    p->settings.guidance_rescale = rescale;
    pipeline_generate(p, 0, rgb);
}

static void run_changed(struct scene *s) {
    static const double guidances[][2] = {{7.5, 0}, {2, 0}, {2, 0.7}, {7.5, 0}};
    struct pipeline *p = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s, p, &n), *fresh = pixels_new(s, p, &n), *before = pixels_new(s, p, &n);
    for (int i = 0; i < 4; i++) {
        draw(p, rgb, guidances[i][0], guidances[i][1]);
        struct pipeline *other = open_scene(s, DT_F32, false);
        draw(other, fresh, guidances[i][0], guidances[i][1]);
        pipeline_close(other);
        assert_memory_equal(rgb, fresh, n);
        if (i) assert_memory_not_equal(rgb, before, n);
        memcpy(before, rgb, n);
    }
    pipeline_close(p);
}

static void test_settings_changed(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("default-5"), run_changed);
}

/* ---- a job that dies within a step ------------------------------------------------------------------------------- */

static const struct ops *real_ops;
static int steps_left;

static void dying_step(struct device *dev, const struct latents *l, struct view out, float guidance, float rescale) {
    if (steps_left-- == 0) die(FAIL_IO, "a weight that cannot be read");
    real_ops->sched_step(dev, l, out, guidance, rescale);
}

/* In the first step, launched; in the second, which is captured. */
static void run_dying(struct scene *s) {
    struct pipeline *p = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s, p, &n), *fresh = pixels_new(s, p, &n);
    pipeline_generate(p, 0, fresh);
    pipeline_close(p);
    for (int at = 0; at < 2; at++) {
        struct job job;
        p = open_scene(s, DT_F32, false);
        real_ops = p->device->ops;
        struct ops dying = *real_ops;
        dying.sched_step = dying_step;
        steps_left = at;
        p->device->ops = &dying;
        if (job_enter(&job)) {
            pipeline_generate(p, 0, rgb);
            fail_msg("expected step %d to die", at);
        }
        assert_int_equal(job.code, FAIL_IO);
        p->device->ops = real_ops;
        memset(rgb, 0, n);
        pipeline_generate(p, 0, rgb);
        assert_memory_equal(rgb, fresh, n);
        pipeline_close(p);
    }
}

static void test_dying(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("default-5"), run_dying);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_f32_replayed),
        cmocka_unit_test(test_f16_stable_diffusion),
        cmocka_unit_test(test_f16_schedulers),
        cmocka_unit_test(test_f16_unconditional),
        cmocka_unit_test(test_settings_changed),
        cmocka_unit_test(test_dying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
