/* Depth estimators against what transformers recorded on tiny ones, stage by stage (test/reference/make_dpt.py). test_cuda_dpt.c runs them
 * on the CUDA device. */
#include "test/support.h"
#include "test/synthetic.h"

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/cpu/cpu.h"
#include "engine/files/checkpoint.h"
#include "engine/nets/dpt.h"

#ifndef OPEN_DEVICE
#define OPEN_DEVICE(dtype) cpu_device_open(dtype, 2)
#define DTYPES \
    { DT_F32, DT_BF16 }
#endif

/* In f32 on every device: values are O(1) to O(10), sums of up to a few hundred products in another order, through some thirty layers. */
static const double TOLERANCE = 2e-5;

struct fixture {
    struct arena arena;
    const char *dir;
    cJSON *json;
    struct st_file *recorded;
    struct checkpoint *checkpoint;
    struct device *device;
    const char *name;
    int side, n_compared;
};

static void compare_tap(struct device *dev, const char *name, struct view y) {
    struct fixture *f = dev->tap_data;
    const struct tensor *t;
    char *path = arena_printf(&f->arena, "%d/%s", f->side, name);
    if (!st_find(f->recorded, path)) return;
    float *want = fixture_f32(&f->arena, f->recorded, path, &t), most = 1;
    size_t n = view_rows(y) * (size_t)y.C;
    if (n != tensor_count(t)) fail_msg("%s %s: %dx%dx%d", f->name, path, y.H, y.W, y.C);
    float *got = arena_array(&f->arena, n, sizeof *got), *turned = arena_array(&f->arena, n, sizeof *turned);
    dev->ops->download(dev, got, y);
    if (t->rank == 4) latents_to_nchw(turned, got, y.N, (size_t)y.H * (size_t)y.W, y.C);
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(want[i]));
    assert_close(arena_printf(&f->arena, "%s %s", f->name, path), t->rank == 4 ? turned : got, want, t->shape, t->rank,
                 TOLERANCE * (double)most);
    f->n_compared++;
}

static void open_fixture(struct fixture *f, const char *name) {
    size_t length;
    *f = (struct fixture){.name = name};
    f->json = cJSON_Parse(read_file(&f->arena, arena_printf(&f->arena, "test/fixtures/dpt/%s.json", name), 1 << 24, &length));
    f->recorded = st_open(&f->arena, arena_printf(&f->arena, "test/fixtures/dpt/%s.safetensors", name));
    f->dir = arena_strdup(&f->arena, temp_dir());
    write_checkpoint(f->dir, f->json);
    f->checkpoint = checkpoint_list(&f->arena, &(struct source){.model = f->dir});
}

static void close_fixture(struct fixture *f) {
    checkpoint_close(f->checkpoint);
    st_close(f->recorded);
    remove_tree(f->dir);
    cJSON_Delete(f->json);
    arena_free(&f->arena);
}

static struct binder *bind(struct fixture *f) {
    struct component *c = checkpoint_find(f->checkpoint, "depth_estimator");
    component_open(f->checkpoint, c, COMPONENT_NET, NULL);
    return binder_new(c);
}

static void estimate(struct fixture *f, const struct dpt *m, int side) {
    struct device *dev = f->device;
    const struct tensor *t;
    f->side = side;
    float *x = fixture_f32(&f->arena, f->recorded, arena_printf(&f->arena, "%d/x", side), &t);
    float *nhwc = arena_array(&f->arena, tensor_count(t), sizeof *nhwc);
    int size = dpt_output_size(m, side);
    latents_to_nhwc(nhwc, x, 1, (size_t)side * (size_t)side, 3);
    size_t mark = arena_mark(dev);
    struct view in = view_alloc_as(dev, DT_F32, 1, side, side, 3), out = view_alloc_as(dev, DT_F32, 1, size, size, 1);
    assert_true(dpt_takes(m, side, side) && !dpt_takes(m, side, side + 8));
    dev->ops->upload(dev, in, nhwc);
    dpt_forward(dev, m, out, in);
    if (!dev->planning) compare_tap(dev, "out", out);
    arena_release(dev, mark);
}

/* Every tensor recorded is compared, but the pictures. */
static void matches(const char *name) {
    static const enum dtype dtypes[] = DTYPES;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        struct fixture f;
        if (dtypes[i] == DT_BF16 && !cpu_has_bf16()) continue;
        open_fixture(&f, name);
        f.device = OPEN_DEVICE(dtypes[i]);
        f.device->tap = compare_tap;
        f.device->tap_data = &f;
        struct binder *b = bind(&f);
        struct dpt *m = dpt_bind(b);
        binder_check(b);
        const cJSON *sides = cJSON_GetObjectItem(f.json, "sides"), *side;
        for (int pass = 0; pass < 2; pass++) {
            cJSON_ArrayForEach(side, sides) estimate(&f, m, side->valueint);
            if (!pass) f.device->plan_end(f.device);
            if (!pass) assert_true(weights_load(f.device, &b, 1) > 0);
        }
        assert_int_equal(f.n_compared, f.recorded->n_tensors - cJSON_GetArraySize(sides));
        f.device->close(f.device);
        close_fixture(&f);
    }
}

static void test_hybrid(void **state) {
    (void)state, matches("hybrid");
}
static void test_vit(void **state) {
    (void)state, matches("vit");
}
static void test_variants(void **state) {
    (void)state;
    matches("vit-sizes");
    matches("vit-ignore");
    matches("vit-norm-bias");
    matches("vit-projection");
}

#ifndef TEST_CUDA
/* The header of a file whose tensors are a hole, from a list of names and shapes; their number. */
static int write_hole(const char *path, const char *list) {
    struct arena a = {0};
    struct buffer b = {.arena = &a};
    size_t length, at = 0;
    int n = 0;
    char *text = read_file(&a, list, 1 << 20, &length), *name;
    buffer_printf(&b, "{");
    while ((name = strsep(&text, " ")) != NULL && *name) {
        char *shape = strsep(&text, "\n");
        size_t bytes = 4;
        for (char *s = arena_strdup(&a, shape), *side; (side = strsep(&s, ",")) != NULL;) bytes *= strtoul(side, NULL, 10);
        buffer_printf(&b, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", n++ ? "," : "", name, shape, at,
                      at + bytes);
        at += bytes;
    }
    buffer_printf(&b, "}");
    uint64_t header = b.length;
    FILE *f = fopen(path, "w");
    must(f && fwrite(&header, sizeof header, 1, f) == 1 && fwrite(b.data, 1, b.length, f) == b.length && fflush(f) == 0, path);
    must(ftruncate(fileno(f), (off_t)(sizeof header + b.length + at)) == 0, path);
    fclose(f);
    arena_free(&a);
    return n;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The depth estimator of stable-diffusion-2-depth, by names and shapes: each of its 414 tensors is used but six, of which transformers
 * makes no use either. */
static void test_published_tensors(void **state) {
    (void)state;
    static const char config[] =
        "{\"is_hybrid\": true, \"neck_hidden_sizes\": [256, 512, 768, 768], \"reassemble_factors\": [1, 1, 1, 0.5]}";
    static const char index[] = "{\"_class_name\": \"Depth\", \"depth_estimator\": [\"transformers\", \"DPTForDepthEstimation\"]}";
    struct fixture f = {.dir = arena_strdup(&f.arena, temp_dir())};
    write_file(path_in(f.dir, "model_index.json"), index, strlen(index));
    must(mkdir(path_in(f.dir, "depth_estimator"), 0777) == 0, "depth_estimator");
    write_file(path_in(f.dir, "depth_estimator/config.json"), config, strlen(config));
    int n = write_hole(path_in(f.dir, "depth_estimator/model.safetensors"), "test/fixtures/expected_tensors/dpt-hybrid-midas.txt");
    f.checkpoint = checkpoint_list(&f.arena, &(struct source){.model = f.dir});
    struct binder *b = bind(&f);
    struct dpt *m = dpt_bind(b);
    binder_check(b);
    assert_int_equal(dpt_output_size(m, 384), 384);
    assert_true(m->layers.eps == 1e-12f);
    const char *names[1024];
    size_t n_names = 0, n_used = 0;
    for (const struct weight *w = b->first; w; w = w->next)
        for (int i = 0; i < w->n_parts; i++) names[n_names++] = w->parts[i]->name;
    qsort(names, n_names, sizeof *names, compare_names);
    for (size_t i = 0; i < n_names; i++) n_used += i == 0 || strcmp(names[i], names[i - 1]) != 0;
    assert_int_equal(n, 414);
    assert_int_equal(n_used, n - 6);
    checkpoint_close(f.checkpoint);
    remove_tree(f.dir);
    arena_free(&f.arena);
}

/* A field of the config changed: what is said. */
static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *fixture, *from, *to, *message;
    } cases[] = {
        {"hybrid", "\"readout_type\":\"project\"", "\"readout_type\":\"add\"", "'readout_type': only project is supported"},
        {"hybrid", "\"layer_type\":\"bottleneck\"", "\"layer_type\":\"preactivation\"", "'layer_type': only 'bottleneck' is supported"},
        {"hybrid", "\"global_padding\":\"SAME\"", "\"global_padding\":\"VALID\"", "'global_padding'"},
        {"hybrid", "\"image_size\":48", "\"image_size\":56", "the backbone sees a 16th of it"},
        {"hybrid", "\"neck_hidden_sizes\":[16,", "\"neck_hidden_sizes\":[17,", "'neck_hidden_sizes': 17 for a stage of 16 channels"},
        {"hybrid", "\"neck_ignore_stages\":[0,1]", "\"neck_ignore_stages\":[]", "'neck_ignore_stages': only [0, 1] is supported"},
        {"vit", "\"backbone_config\":null", "\"backbone_config\":{\"model_type\":\"dinov2\"}", "'backbone_config'"},
        {"vit", "\"backbone_out_indices\":[0,1,2,3]", "\"backbone_out_indices\":[0,1,2,2]", "3 layers of 4 for 4 'neck_hidden_sizes'"},
        {"vit", "\"hidden_act\":\"gelu\"", "\"hidden_act\":\"relu\"", "'hidden_act': only 'gelu' is supported"},
        {"vit", "\"image_size\":24", "\"image_size\":[24,32]", "'image_size': 24 x 32: only squares are supported"},
        {"vit", "\"image_size\":24", "\"image_size\":4", "'patch_size' 8 of an 'image_size' 4"},
        {"vit", "\"image_size\":24", "\"image_size\":32",
         "tensor 'dpt.embeddings.position_embeddings': expected [1,17,16], found [1,10,16]"},
        {"vit", "\"reassemble_factors\":[4,", "\"reassemble_factors\":[2.5,", "'reassemble_factors': 2.5 is not supported"},
        {"vit", "\"add_projection\":false", "\"add_projection\":true", "'add_projection' with a 'fusion_hidden_size' of 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        open_fixture(&f, cases[i].fixture);
        const char *path = path_in(f.dir, "depth_estimator/config.json");
        char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(cJSON_GetObjectItem(f.json, "files"), "depth_estimator/config.json"));
        char *at = strstr(text, cases[i].from);
        if (!at) fail_msg("%s: no %s", cases[i].fixture, cases[i].from);
        char *changed = arena_printf(&f.arena, "%.*s%s%s", (int)(at - text), text, cases[i].to, at + strlen(cases[i].from));
        write_file(path, changed, strlen(changed));
        free(text);
        assert_dies(FAIL_UNSUPPORTED, cases[i].message, dpt_bind(bind(&f)));
        close_fixture(&f);
    }
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_vit),
        cmocka_unit_test(test_variants),
#ifndef TEST_CUDA
        cmocka_unit_test(test_published_tensors),
        cmocka_unit_test(test_refused),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
