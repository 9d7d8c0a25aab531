/* Whole pictures against diffusers: the cases of test/fixtures/pipelines, each run through model_open … picture_draw with --dump.
 */
#include "test/scenes.h"

#include "engine/cpu/cpu.h"

static void run_scene(struct scene *s) {
    struct settings settings = settings_of_scene(s);
    struct request *r = open_request(s->arena, &settings, cpu_device_open(DT_F32, 2));
    compare_schedule(s, r->schedule);
    size_t n;
    uint8_t *rgb = pixels_new(s->arena, r, &n);
    int n_rows = r->schedule->n_rows;
    /* where the reference says how far its own roundings have grown: ours are others, and of other CPUs still others */
    double tolerance = fmax(n_rows > 10 ? 5e-3 : 1e-3, 16 * number(s->json, "own_error", 0));
    for (int k = 0; k < settings.count; k++) {
        draw(r, k, rgb);
        const char *dir = request_dump_dir(r, s->arena, k);
        compare_latents(s, "noise", dir, -1, "noise", k, 2e-6);
        for (int i = 0; i < n_rows; i++) compare_latents(s, arena_printf(s->arena, "step-%d", i), dir, i, "latents", k, tolerance);
        compare_latents(s, "latents", dir, n_rows - 1, "latents", k, tolerance);
        compare_image(s, rgb, k, n);
    }
    model_close(r->model);
}

static void run_file(const char *checkpoint, const char *file) {
    for_each_scene(checkpoint, file, NULL, run_scene);
}

/* bf16 rounds to 8 bits in every layer: its pictures are near the f32 reference's, not equal. At most 10 levels off on average is what
 * diffusers' own tests allow half precision. */
static void test_bf16(void **state) {
    (void)state;
    if (!cpu_has_bf16()) skip();
    struct arena a = {0};
    struct st_file *recorded = st_open(&a, "test/fixtures/pipelines/tiny-sd2.safetensors");
    const struct tensor *t;
    float *want = fixture_f32(&a, recorded, "default-5/image", &t);
    size_t length, n = t->bytes;
    cJSON *json = cJSON_Parse(read_file(&a, "test/fixtures/pipelines/tiny-sd2.json", 1 << 24, &length));
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "cases")) {
        struct scene scene = {.checkpoint = "tiny-sd2", .json = item, .arena = &a};
        if (strcmp(string(item, "name"), "default-5") != 0) continue;
        struct settings settings = settings_of_scene(&scene);
        settings.dump = NULL;
        struct request *r = open_request(&a, &settings, cpu_device_open(DT_BF16, 2));
        uint8_t *rgb = arena_array(&a, n, 1);
        draw(r, 0, rgb);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += fabs((double)rgb[i] - (double)want[i]);
        if (!(sum / (double)n < 10)) fail_msg("mean difference %.2f levels", sum / (double)n);
        assert_true(sum > 0); /* f32 would be all but equal: this was bf16 */
        model_close(r->model);
    }
    st_close(recorded);
    cJSON_Delete(json);
    arena_free(&a);
}

/* What an f32 model with nothing else set makes of the latents. */
static void decode_f32(struct arena *a, const struct settings *asked, const float *latents, uint8_t *rgb) {
    struct settings settings = *asked;
    settings.dump = NULL;
    settings.vae_dtype_given = false;
    struct request *r = open_request(a, &settings, cpu_device_open(DT_F32, 2));
    struct picture *p = picture_open(a, r, 0);
    const struct latents *l = &p->drawing->latents;
    r->model->device->ops->upload_latents(r->model->device, l->x, latents, 1, l->H, l->W, l->C);
    picture_snapshot(p, rgb);
    model_close(r->model);
}

/* A VAE in f32 behind a UNet in bf16: the picture is what f32 makes of the latents bf16 came to, and the next one is not touched by it,
 * not even where the first one failed in the middle of decoding. */
static void test_vae_dtype(void **state) {
    (void)state;
    if (!cpu_has_bf16()) skip();
    struct arena a = {0};
    const char *dump = temp_dir();
    struct settings settings = {.model = "test/fixtures/tiny-sd2",
                                .prompt = "a fox",
                                .seed = 3,
                                .steps = 2,
                                .guidance = NAN,
                                .count = 1,
                                .width = 64,
                                .height = 64,
                                .dump = dump,
                                .vae_dtype_given = true,
                                .vae_dtype = DT_F32};
    size_t n = 3 * 64 * 64;
    uint8_t *rgb = arena_array(&a, n, 1), *again = arena_array(&a, n, 1), *want = arena_array(&a, n, 1);
    struct request *r = open_request(&a, &settings, cpu_device_open(DT_BF16, 2));
    struct model *m = r->model;
    assert_int_equal(m->device->dtype, DT_BF16);
    double scale = m->vae->scaling_factor;
    m->vae->scaling_factor = 1e-60; /* 1 / it is not a float */
    assert_dies(FAIL_INTERNAL, "decoded image", draw(r, 0, rgb));
    m->vae->scaling_factor = scale;
    draw(r, 0, rgb);
    assert_int_equal(m->device->dtype, DT_BF16);
    draw(r, 0, again);
    assert_memory_equal(again, rgb, n);

    const struct tensor *t;
    struct st_file *f = st_open(&a, arena_printf(&a, "%s/step-%04d.safetensors", dump, r->schedule->n_rows - 1));
    decode_f32(&a, &settings, fixture_f32(&a, f, "latents", &t), want);
    assert_memory_equal(rgb, want, n);
    st_close(f);
    model_close(m);

    settings.vae_dtype_given = false;
    r = open_request(&a, &settings, cpu_device_open(DT_BF16, 2));
    draw(r, 0, again);
    assert_memory_not_equal(again, rgb, n); /* bf16 all through */
    model_close(r->model);
    remove_tree(dump);
    arena_free(&a);
}

static void test_sd1(void **state) {
    (void)state, run_file("tiny-sd1", "tiny-sd1");
}
static void test_sd2(void **state) {
    (void)state, run_file("tiny-sd2", "tiny-sd2");
}
static void test_sd1_more(void **state) {
    (void)state, run_file("tiny-sd1", "tiny-sd1-more");
}
static void test_sd2_more(void **state) {
    (void)state, run_file("tiny-sd2", "tiny-sd2-more");
}
static void test_sd2_steps(void **state) {
    (void)state, run_file("tiny-sd2", "tiny-sd2-steps");
}
static void test_doodle(void **state) {
    (void)state, run_file("../../models/doodle", "doodle");
}
static void test_ddpm(void **state) {
    (void)state, run_file("tiny-ddpm", "tiny-ddpm");
}
static void test_ddpm_new(void **state) {
    (void)state, run_file("tiny-ddpm-new", "tiny-ddpm-new");
}
static void test_ddpm_learned(void **state) {
    (void)state, run_file("tiny-ddpm-learned", "tiny-ddpm-learned");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sd1),          cmocka_unit_test(test_sd2),      cmocka_unit_test(test_sd1_more),
        cmocka_unit_test(test_sd2_more),     cmocka_unit_test(test_ddpm),     cmocka_unit_test(test_ddpm_new),
        cmocka_unit_test(test_ddpm_learned), cmocka_unit_test(test_doodle),   cmocka_unit_test(test_sd2_steps),
        cmocka_unit_test(test_bf16),         cmocka_unit_test(test_vae_dtype)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
