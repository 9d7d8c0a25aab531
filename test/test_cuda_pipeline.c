/* Whole pictures of the CUDA device, emulated or real, against diffusers (f32 on the CPU): rows launched one by one with --dump, and
 * captured once and replayed without. */
#include "test/scenes.h"

#include "cuda/cuda.h"

static struct request *open_scene(struct scene *s, enum dtype dtype, bool dump) {
    struct settings settings = settings_of_scene(s);
    if (!dump) settings.dump = NULL;
    return open_request(s->arena, &settings, cuda_device_open(dtype, -1));
}

/* f32 keeps the tolerances of the CPU device, row by row. */
static void run_f32(struct scene *s) {
    struct request *r = open_scene(s, DT_F32, true);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n);
    int n_rows = r->schedule->n_rows;
    double tolerance = n_rows > 10 ? 5e-3 : 1e-3;
    for (int k = 0; k < r->settings.count; k++) {
        draw(r, k, rgb);
        const char *dir = request_dump_dir(r, s->arena, k);
        for (int i = 0; i < n_rows; i++) compare_latents(s, arena_printf(s->arena, "step-%d", i), dir, i, "latents", k, tolerance);
        compare_image(s, rgb, k, n);
    }
    model_close(r->model);
}

static void run_f32_replayed(struct scene *s) {
    struct request *r = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n);
    for (int k = 0; k < r->settings.count; k++) {
        draw(r, k, rgb);
        compare_image(s, rgb, k, n);
    }
    model_close(r->model);
}

/* Half precision rounds weights and every layer's output: the picture stays within 0.6 levels on average and 50 dB of f32's. */
static void compare_half(const struct scene *s, const uint8_t *got, int k, size_t n) {
    const struct tensor *t;
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
    struct request *r = open_scene(s, DT_F16, false);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n), *again = pixels_new(s->arena, r, &n);
    for (int k = 0; k < r->settings.count; k++) {
        draw(r, k, rgb);
        compare_half(s, rgb, k, n);
    }
    if (r->settings.count > 1) { /* the same picture from the recording alone, to the last bit */
        draw(r, r->settings.count - 1, again);
        assert_memory_equal(again, rgb, n);
    }
    model_close(r->model);
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

static void draw_with(struct request *r, uint8_t *rgb, double guidance, double rescale) {
    r->settings.guidance = guidance;
    r->settings.guidance_rescale = rescale;
    draw(r, 0, rgb);
}

static void run_changed(struct scene *s) {
    static const double guidances[][2] = {{7.5, 0}, {2, 0}, {2, 0.7}, {7.5, 0}};
    struct request *r = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n), *fresh = pixels_new(s->arena, r, &n), *before = pixels_new(s->arena, r, &n);
    for (int i = 0; i < 4; i++) {
        draw_with(r, rgb, guidances[i][0], guidances[i][1]);
        struct request *other = open_scene(s, DT_F32, false);
        draw_with(other, fresh, guidances[i][0], guidances[i][1]);
        model_close(other->model);
        assert_memory_equal(rgb, fresh, n);
        if (i) assert_memory_not_equal(rgb, before, n);
        memcpy(before, rgb, n);
    }
    model_close(r->model);
}

static void test_settings_changed(void **state) {
    (void)state;
    for_each_scene("tiny-sd1", "tiny-sd1", NAMES("default-5"), run_changed);
}

/* ---- a job that dies within a step ------------------------------------------------------------------------------- */

static const struct ops *real_ops;
static int steps_left;

static void dying_step(struct device *dev, const struct latents *l, struct view out, struct guidance guidance) {
    if (steps_left-- == 0) die(FAIL_IO, "a weight that cannot be read");
    real_ops->sched_step(dev, l, out, guidance);
}

/* In the first step, launched; in the second, which is captured. */
static void run_dying(struct scene *s) {
    struct request *r = open_scene(s, DT_F32, false);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n), *fresh = pixels_new(s->arena, r, &n);
    draw(r, 0, fresh);
    model_close(r->model);
    for (int at = 0; at < 2; at++) {
        struct job job;
        r = open_scene(s, DT_F32, false);
        real_ops = r->model->device->ops;
        struct ops dying = *real_ops;
        dying.sched_step = dying_step;
        steps_left = at;
        r->model->device->ops = &dying;
        if (job_enter(&job)) {
            draw(r, 0, rgb);
            fail_msg("expected step %d to die", at);
        }
        assert_int_equal(job.code, FAIL_IO);
        r->model->device->ops = real_ops;
        memset(rgb, 0, n);
        draw(r, 0, rgb);
        assert_memory_equal(rgb, fresh, n);
        model_close(r->model);
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
