/* What a checkpoint, the command line and numbers decide before anything is drawn: the type a VAE computes in, the steps left out. */
#include "test/synthetic.h"

#include "engine/count_device.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/latent.h"

/* device: the device's type; given: --vae-dtype, or DT_COUNT */
static void expect(const char *dir, enum dtype device, enum dtype given, enum dtype decode, enum dtype encode) {
    struct arena a = {0};
    struct settings s = {.prompt = "x", .guidance = 1, .count = 1, .vae_dtype_given = given != DT_COUNT, .vae_dtype = given};
    struct model *m = model_open(&a, (struct source){.model = dir});
    struct request *r = request_open(&a, m, &s);
    model_use(m, count_device_open(device));
    assert_int_equal(latent_decode_dtype(r), decode);
    assert_int_equal(latent_encode_dtype(r), encode);
    model_close(m);
    arena_free(&a);
}

/* SDXL's VAE says force_upcast: decoded in f32 where f16 would overflow, encoded so always. */
static void test_upcast(void **state) {
    (void)state;
    cJSON *fixture = read_fixture("xl"), *vae = cJSON_GetObjectItem(cJSON_GetObjectItem(fixture, "files"), "vae/config.json");
    const char *dir = temp_dir();
    write_checkpoint(dir, fixture);
    expect(dir, DT_F32, DT_COUNT, DT_F32, DT_F32);
    expect(dir, DT_F16, DT_COUNT, DT_F32, DT_F32);
    expect(dir, DT_BF16, DT_COUNT, DT_BF16, DT_F32);
    expect(dir, DT_F16, DT_F16, DT_F16, DT_F16);
    remove_tree(dir);
    cJSON_ReplaceItemInObject(vae, "force_upcast", cJSON_CreateFalse()); /* fp16-fix */
    dir = temp_dir();
    write_checkpoint(dir, fixture);
    expect(dir, DT_F16, DT_COUNT, DT_F16, DT_F16);
    remove_tree(dir);
    cJSON_Delete(fixture);
}

/* Stable Diffusion's pipelines do not read it. */
static void test_plain(void **state) {
    (void)state;
    expect("test/fixtures/tiny-sd1", DT_F16, DT_COUNT, DT_F16, DT_F16);
    expect("test/fixtures/tiny-sd1", DT_F16, DT_F32, DT_F32, DT_F32);
}

/* Python's min(int(n * strength), n), in its doubles: in floats each of these but the last two would be another one. */
static void test_skip(void **state) {
    (void)state;
    static const struct {
        int n;
        double strength;
        int kept;
    } cases[] = {{50, 0.58, 28}, {75, 0.84, 63}, {90, 0.7, 62}, {100, 0.29, 28}, {100, 0.57, 56}, {4, 0.9999, 3}, {7, 1, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request r = {.settings = {.image = "x", .strength = cases[i].strength}};
        assert_int_equal(cases[i].n - init_skip(&r, cases[i].n), cases[i].kept);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_upcast), cmocka_unit_test(test_plain), cmocka_unit_test(test_skip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
