/* Text encoder, UNet, VAE decoder and safety checker against what diffusers recorded on the same tiny checkpoints, block by block.
 * test_cuda_models.c runs them on the CUDA device. */
#include "test/support.h"
#include "test/synthetic.h"

#include "engine/files/checkpoint.h"
#include "engine/nets/clip.h"
#include "engine/nets/controlnet.h"
#include "engine/nets/safety_checker.h"
#include "engine/cpu/cpu.h"
#include "engine/nets/unet.h"
#include "engine/nets/vae.h"

#ifndef OPEN_DEVICE
#include "test/isas.h"
#define WITH_EACH_DEVICE(group) with_each_isa(group)
#define OPEN_DEVICE(dtype) cpu_device_open(dtype, 2)
/* f32 against torch f32: values are O(1), sums of up to a few thousand products in another order, through some fifty layers. */
#define DEVICE_CASES            \
    {                           \
        { "f32", DT_F32, 1e-4 } \
    }
#endif

#ifndef WITH_EACH_DEVICE
#define WITH_EACH_DEVICE(group) group()
#endif

static const struct device_case {
    const char *name;
    enum dtype dtype;
    double tolerance; /* times the largest value of a tensor, where that is above 1 */
} device_cases[] = DEVICE_CASES, *device_case;

struct fixture {
    struct arena arena;
    struct checkpoint *checkpoint;
    struct st_file *recorded;
    struct device *device;
    const char *scene; /* the case being run: prefix of the recorded names */
    int n_compared;
    double share;  /* of the device's tolerance: what is recorded is shallower */
    char *written; /* the directory of a synthetic checkpoint, which goes with the test */
};

static void compare_tap(struct device *dev, const char *name, struct view y) {
    struct fixture *f = dev->tap_data;
    char *path = arena_printf(&f->arena, "%s/%s", f->scene, name);
    if (!st_find(f->recorded, path)) return;
    const struct tensor *t;
    float *want = fixture_f32(&f->arena, f->recorded, path, &t);
    bool one_row = strcmp(name, "time_embedding") == 0; /* recorded once for each image; ours has a row for each timestep */
    if (one_row) y.p = (char *)y.p + (size_t)(y.W - 1) * (size_t)y.ld * dtype_table[dev->dtype].size, y.W = 1;
    size_t n = view_rows(y) * (size_t)y.C, pixels = (size_t)y.H * (size_t)y.W;
    if (!one_row) assert_int_equal(n, t->bytes / dtype_table[t->dtype].size);
    float *got = arena_array(&f->arena, n, sizeof *got), *turned = arena_array(&f->arena, n, sizeof *turned);
    dev->ops->download(dev, got, y);
    bool nchw = t->rank == 4;
    for (size_t i = 0; i < n; i++) { /* [N,P,C] -> [N,C,P] */
        size_t c = i % (size_t)y.C, p = i / (size_t)y.C % pixels, image = i / ((size_t)y.C * pixels);
        turned[nchw ? (image * (size_t)y.C + c) * pixels + p : i] = got[i];
    }
    float most = 1;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(want[i]));
    assert_close(path, turned, want, one_row ? (const int64_t[]){1, y.C} : t->shape, t->rank,
                 device_case->tolerance * f->share * (double)most);
    f->n_compared++;
}

static struct fixture *fixture_open_at(const char *name, const char *dir) {
    struct fixture *f = calloc(1, sizeof *f);
    f->share = 1;
    f->checkpoint = checkpoint_list(&f->arena, &(struct source){.model = dir});
    f->recorded = st_open(&f->arena, arena_printf(&f->arena, "test/fixtures/models/%s.safetensors", name));
    f->device = OPEN_DEVICE(device_case->dtype);
    f->device->tap = compare_tap;
    f->device->tap_data = f;
    return f;
}

/* name: a checkpoint of test/fixtures, or of test/fixtures/synthetic. */
static struct fixture *fixture_open(const char *name) {
    char dir[256];
    snprintf(dir, sizeof dir, "test/fixtures/%s", name);
    if (access(dir, F_OK) == 0) return fixture_open_at(name, dir);
    cJSON *synthetic = read_fixture(name);
    char *written = strdup(temp_dir());
    write_checkpoint(written, synthetic);
    cJSON_Delete(synthetic);
    struct fixture *f = fixture_open_at(name, written);
    f->written = written;
    return f;
}

static void fixture_close(struct fixture *f) {
    f->device->close(f->device);
    st_close(f->recorded);
    checkpoint_close(f->checkpoint);
    if (f->written) remove_tree(f->written);
    free(f->written);
    arena_free(&f->arena);
    free(f);
}

static struct binder *open_part(struct fixture *f, const char *name) {
    struct component *c = checkpoint_find(f->checkpoint, name);
    component_open(f->checkpoint, c, COMPONENT_NET, NULL);
    return binder_new(c);
}

static void load(struct fixture *f, struct binder *b) {
    binder_check(b);
    f->device->arena_used = 0;
    f->device->plan_end(f->device);
    assert_true(weights_load(f->device, &b, 1) > 0);
}

/* A recorded NCHW or [B,T,C] tensor uploaded as a view; while planning only its shape counts. */
static struct view upload(struct fixture *f, const char *name) {
    const struct tensor *t;
    float *x = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/%s", f->scene, name), &t);
    int N = (int)t->shape[0], C = (int)(t->rank == 4 ? t->shape[1] : t->shape[2]);
    int H = t->rank == 4 ? (int)t->shape[2] : 1, W = (int)(t->rank == 4 ? t->shape[3] : t->shape[1]);
    struct view v = view_alloc(f->device, N, H, W, C);
    size_t pixels = (size_t)H * (size_t)W, n = (size_t)N * pixels * (size_t)C;
    float *nhwc = arena_array(&f->arena, n, sizeof *nhwc);
    for (size_t i = 0; i < n; i++) {
        size_t c = i % (size_t)C, p = i / (size_t)C % pixels, image = i / ((size_t)C * pixels);
        nhwc[i] = t->rank == 4 ? x[(image * (size_t)C + c) * pixels + p] : x[i];
    }
    f->device->ops->upload(f->device, v, nhwc);
    return v;
}

static const int32_t *recorded_ids(struct fixture *f, const char *scene, int *T) {
    const struct tensor *t;
    float *ids = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/ids", scene), &t);
    *T = (int)t->shape[t->rank - 1];
    int32_t *host = arena_array(&f->arena, (size_t)*T, sizeof *host);
    for (int i = 0; i < *T; i++) host[i] = (int32_t)ids[i];
    return host;
}

static void text_case(struct fixture *f, const struct clip_text *m, int skip, const char *name) {
    int T;
    const int32_t *host = recorded_ids(f, "text", &T);
    size_t mark = arena_mark(f->device);
    struct view y = view_alloc(f->device, 1, 1, T, m->layers.hidden_size);
    f->scene = skip ? "none" : "text"; /* the blocks are recorded for the plain case */
    clip_text_forward(f->device, m, y, host, skip, (struct clip_hidden){0});
    f->scene = "text";
    if (!f->device->planning && name) compare_tap(f->device, name, y);
    arena_release(f->device, mark);
}

static void text_matches(const char *name) {
    struct fixture *f = fixture_open(name);
    struct binder *b = open_part(f, "text_encoder");
    struct clip_text *m = clip_text_bind(b);
    text_case(f, m, 0, NULL);
    load(f, b);
    text_case(f, m, 0, NULL);
    assert_int_equal(f->n_compared, m->layers.n + 2);
    text_case(f, m, 1, "clip_skip_1");
    text_case(f, m, 2, "clip_skip_2");
    assert_int_equal(f->n_compared, m->layers.n + 4);
    fixture_close(f);
}

/* SDXL's reading: the last state but one in a part of a wider context, and what is pooled. */
static void states_case(struct fixture *f, const struct clip_text *m, const char *scene) {
    int T, C = m->layers.hidden_size;
    const int32_t *ids = recorded_ids(f, scene, &T);
    size_t mark = arena_mark(f->device);
    struct view context = view_alloc(f->device, 1, 1, T, C + 16), y = view_slice(context, 16, C);
    struct view pooled = m->text_projection ? view_alloc(f->device, 1, 1, 1, m->projection_dim) : no_view;
    f->scene = scene;
    clip_text_states(f->device, m, y, pooled, ids, 1, (struct clip_hidden){0});
    if (!f->device->planning) compare_tap(f->device, "hidden", y);
    arena_release(f->device, mark);
}

static void states_match(const char *part, const char *scene, int n_compared) {
    struct fixture *f = fixture_open("xl");
    struct binder *b = open_part(f, part);
    struct clip_text *m = clip_text_bind(b);
    states_case(f, m, scene);
    load(f, b);
    states_case(f, m, scene);
    assert_int_equal(f->n_compared, n_compared);
    fixture_close(f);
}

static void unet_case(struct fixture *f, const struct unet *m, const char *scene) {
    f->scene = scene;
    size_t mark = arena_mark(f->device);
    const struct tensor *t;
    float *timestep = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/timestep", scene), &t);
    struct view x = upload(f, "sample"), context = m->conditional ? upload(f, "context") : no_view;
    struct view y = view_alloc(f->device, x.N, x.H, x.W, m->out_channels);
    /* two rows, the second one used: the row is looked up, not assumed */
    struct conditions given = {.pictures = 1, .context = context};
    if (m->added_dim) {
        given.pooled = upload(f, "pooled");
        given.numbers = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/numbers", scene), &t);
        given.n_numbers = (int)t->shape[1];
    }
    struct unet_run *run = unet_prepare(f->device, m, &f->arena, &given, (float[]){7, timestep[0]}, 2);
    int before = f->n_compared;
    struct view temb = view_alloc(f->device, 1, 1, 1, run->temb.C);
    f->device->ops->set_schedule(f->device, (struct sched_row[2]){0}, 2, 0);
    for (int row = 0; row < 2; row++) f->device->ops->next_row(f->device, temb, run->temb);
    unet_forward(f->device, m, run, y, x, temb, NULL);
    if (!f->device->planning) {
        compare_tap(f->device, "out", y);
        assert_true(f->n_compared > before);
    }
    arena_release(f->device, mark);
}

/* n_blocks: how many blocks' outputs are recorded at least, every scene's own output aside. */
static void unet_matches(const char *name, const char *const scenes[], int n_blocks) {
    struct fixture *f = fixture_open(name);
    struct binder *b = open_part(f, "unet");
    struct unet *m = unet_bind(b);
    int n = 0;
    for (; scenes[n]; n++) unet_case(f, m, scenes[n]);
    load(f, b);
    for (int i = 0; i < n; i++) unet_case(f, m, scenes[i]);
    assert_true(f->n_compared >= n + n_blocks);
    fixture_close(f);
}

/* ---- ControlNets ------------------------------------------------------------------------------------------------- */

/* What a net adds, each part of it; to what, does not matter. Its picture is the same for all images. */
static void control_case(struct fixture *f, struct controlnet *m, const char *scene) {
    struct device *dev = f->device;
    f->scene = scene;
    size_t mark = arena_mark(dev);
    const struct tensor *t;
    float *timestep = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/timestep", scene), &t);
    struct view x = upload(f, "sample"), picture = upload(f, "picture");
    struct conditions given = {.pictures = 1, .context = upload(f, "context")};
    if (m->encoder.added_dim) {
        given.pooled = upload(f, "pooled");
        given.numbers = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%s/numbers", scene), &t);
        given.n_numbers = (int)t->shape[1];
    }
    struct control c = {.net = m, .scale = 1, .picture = view_alloc(dev, x.N, x.H, x.W, m->encoder.block_out_channels[0])};
    f->scene = "none"; /* the same for all: recorded for each */
    controlnet_embed(dev, m, c.picture, picture);
    f->scene = scene;
    if (!dev->planning) compare_tap(dev, "controlnet_cond_embedding", c.picture);
    struct unet_run *run = unet_prepare(dev, &m->encoder, &f->arena, &given, timestep, 1);
    c.run = run;
    c.temb_dim = run->temb.C;
    struct view temb = view_alloc(dev, 1, 1, 1, run->temb.C);
    dev->ops->set_schedule(dev, (struct sched_row[1]){0}, 1, 0);
    dev->ops->next_row(dev, temb, run->temb);
    struct controls controls = {.n = 1, .temb = temb, .items = {c}};
    struct unet_features features;
    unet_encode(dev, &m->encoder, run, &features, x, temb, c.picture);
    int before = f->n_compared;
    controls_forward(dev, &controls, &features, x);
    if (!dev->planning) assert_int_equal(f->n_compared - before, m->n_skips + 1);
    arena_release(dev, mark);
}

static void controls_match(const char *name, const char *folder) {
    struct fixture *f = fixture_open(name);
    struct checkpoint *c =
        checkpoint_list_net(&f->arena, "--control DIR", arena_printf(&f->arena, "%s/%s", f->written, folder), "controlnet", false);
    const char *scenes[] = {arena_printf(&f->arena, "%s_two", folder), arena_printf(&f->arena, "%s_odd", folder)};
    component_open(c, &c->components[0], COMPONENT_NET, NULL);
    struct binder *b = binder_new(&c->components[0]);
    struct controlnet *m = controlnet_bind(b);
    if (device_case->dtype == DT_F32) f->share = 0.1;
    for (int i = 0; i < 2; i++) control_case(f, m, scenes[i]);
    load(f, b);
    for (int i = 0; i < 2; i++) control_case(f, m, scenes[i]);
    checkpoint_close(c);
    fixture_close(f);
}

static const char *const conditional_scenes[] = {"unet_t1", "unet_t500", "unet_t981.5", "unet_odd", "unet_wide", NULL};
static const char *const unconditional_scenes[] = {"unet_t1", "unet_t500", "unet_t999", "unet_larger", NULL};

static void vae_case(struct fixture *f, const struct vae *m, const char *scene) {
    f->scene = scene;
    size_t mark = arena_mark(f->device);
    struct view x = upload(f, "latents");
    struct view y = view_alloc(f->device, x.N, x.H * m->factor, x.W * m->factor, 3);
    vae_decode(f->device, m, y, x);
    if (!f->device->planning) compare_tap(f->device, "out", y);
    arena_release(f->device, mark);
}

static void vae_matches(const char *name) {
    struct fixture *f = fixture_open(name);
    struct binder *b = open_part(f, "vae");
    struct vae *m = vae_bind(b);
    vae_case(f, m, "vae");
    vae_case(f, m, "vae_odd");
    load(f, b);
    vae_case(f, m, "vae");
    vae_case(f, m, "vae_odd");
    assert_true(f->n_compared > 2 + 10);
    fixture_close(f);
}

/* ---- the safety checker ------------------------------------------------------------------------------------------ */

static void tower_case(struct fixture *f, const struct safety_checker *m) {
    f->scene = "tower";
    size_t mark = arena_mark(f->device);
    struct view x = upload(f, "pixels"), y = view_alloc(f->device, 1, 1, 1, m->projection_dim);
    safety_checker_embed(f->device, m, y, x);
    arena_release(f->device, mark);
}

/* Cosines as torch has them, and for torch's cosines its very scores and decisions. */
static void decisions_match(struct fixture *f, const struct safety_checker *m) {
    const struct tensor *t;
    float *embeds = fixture_f32(&f->arena, f->recorded, "compare/embeds", &t),
          *flagged = fixture_f32(&f->arena, f->recorded, "rule/flagged", &t);
    float *cosines = fixture_f32(&f->arena, f->recorded, "compare/cosines", &t),
          *scores = fixture_f32(&f->arena, f->recorded, "rule/scores", &t);
    int n = (int)t->shape[0], n_flagged = 0;
    for (int i = 0; i < n; i++) {
        struct safety_cosines c = safety_checker_compare(m, &f->arena, embeds + i * m->projection_dim);
        assert_close("cosines", c.cosine, cosines + i * SAFETY_ALL, (const int64_t[]){SAFETY_ALL}, 1, 1e-6);
        float got[SAFETY_ALL];
        memcpy(c.cosine, cosines + i * SAFETY_ALL, sizeof c.cosine);
        bool is_flagged = safety_checker_rule(&c, got);
        assert_memory_equal(got, scores + i * SAFETY_ALL, sizeof got);
        if (is_flagged != (flagged[i] != 0)) fail_msg("embedding %d: %s", i, is_flagged ? "flagged" : "not flagged");
        n_flagged += is_flagged;
    }
    assert_true(n_flagged > n / 4 && n_flagged < n);
}

static void test_safety_checker(void **state) {
    (void)state;
    cJSON *files = read_fixture("safety-checker");
    char *dir = strdup(temp_dir());
    write_checkpoint(dir, files);
    struct fixture *f = fixture_open_at("safety-checker", dir);
    struct binder *b = open_part(f, "safety_checker");
    struct safety_checker *m = safety_checker_bind(b);
    if (device_case->dtype == DT_F32) f->share = 0.1;
    tower_case(f, m);
    load(f, b);
    tower_case(f, m);
    assert_int_equal(f->n_compared, m->vision.layers.n + 4);
    decisions_match(f, m);
    fixture_close(f);
    remove_tree(dir);
    free(dir);
    cJSON_Delete(files);
}

static void test_text_sd1(void **state) {
    (void)state, text_matches("tiny-sd1");
}
static void test_text_sd2(void **state) {
    (void)state, text_matches("tiny-sd2");
}
static void test_text_xl(void **state) {
    (void)state, states_match("text_encoder", "text", 1);
}
static void test_text_xl_2(void **state) {
    (void)state, states_match("text_encoder_2", "text_2", 2);
}
static void test_unet_xl(void **state) {
    (void)state, unet_matches("xl", (const char *const[]){"unet_two", "unet_odd", NULL}, 2 * 25);
}
static void test_unet_sd1(void **state) {
    (void)state, unet_matches("tiny-sd1", conditional_scenes, 2 * 25);
}
static void test_unet_sd2(void **state) {
    (void)state, unet_matches("tiny-sd2", conditional_scenes, 2 * 40);
}
static void test_unet_ddpm(void **state) {
    (void)state, unet_matches("tiny-ddpm", unconditional_scenes, 20);
}
static void test_unet_ddpm_new(void **state) {
    (void)state, unet_matches("tiny-ddpm-new", unconditional_scenes, 20);
}
static void test_controls(void **state) {
    (void)state;
    controls_match("control-unsaid", "one");
    controls_match("control-unsaid", "pool");
}
static void test_controls_xl(void **state) {
    (void)state;
    controls_match("control-xl-unsaid", "one");
    controls_match("control-xl-unsaid", "pool");
}
static void test_vae_sd1(void **state) {
    (void)state, vae_matches("tiny-sd1");
}
static void test_vae_sd2(void **state) {
    (void)state, vae_matches("tiny-sd2");
}

static int run_cases(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_sd1), cmocka_unit_test(test_text_sd2),    cmocka_unit_test(test_unet_sd1),
        cmocka_unit_test(test_unet_sd2), cmocka_unit_test(test_unet_ddpm),   cmocka_unit_test(test_unet_ddpm_new),
        cmocka_unit_test(test_vae_sd1),  cmocka_unit_test(test_vae_sd2),     cmocka_unit_test(test_safety_checker),
        cmocka_unit_test(test_text_xl),  cmocka_unit_test(test_text_xl_2),   cmocka_unit_test(test_unet_xl),
        cmocka_unit_test(test_controls), cmocka_unit_test(test_controls_xl),
    };
    int n_failed = 0;
    for (size_t i = 0; i < sizeof device_cases / sizeof *device_cases; i++) {
        device_case = &device_cases[i];
        n_failed += cmocka_run_group_tests_name(device_case->name, tests, NULL, NULL);
    }
    return n_failed;
}

int main(void) {
    return WITH_EACH_DEVICE(run_cases);
}
