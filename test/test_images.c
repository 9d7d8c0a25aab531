/* What is done to pictures before and behind the networks, equal to the libraries it stands for: bytes equal, floats to the last bit or
 * two. Cases: test/reference/make_images.py. */
#include "test/support.h"

#include <stdbool.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/images/extract.h"
#include "engine/images/image.h"
#include "engine/images/preprocess.h"
#include "engine/images/process.h"
#include "engine/images/read.h"
#include "engine/images/resize.h"
#include "engine/images/write.h"

static const char FIXTURE[] = "test/fixtures/images/images.safetensors";

/* A u8 tensor [H,W] or [H,W,3] as a picture. */
static struct image picture(struct arena *a, const struct tensor *t) {
    int C = t->rank == 3 ? (int)t->shape[2] : 1;
    struct image out = image_new(a, (int)t->shape[1], (int)t->shape[0], C);
    assert_int_equal(t->dtype, DT_U8);
    if (tensor_read(t, out.pixels) != 0) fail_msg("cannot read %s", t->name);
    return out;
}

static void expect_within(const char *name, const struct image *got, const struct image *want, int levels) {
    if (got->W != want->W || got->H != want->H || got->C != want->C)
        fail_msg("%s: got %dx%dx%d, want %dx%dx%d", name, got->W, got->H, got->C, want->W, want->H, want->C);
    size_t n = (size_t)want->W * (size_t)want->H * (size_t)want->C, row = (size_t)want->W * (size_t)want->C;
    for (size_t i = 0; i < n; i++)
        if (abs(got->pixels[i] - want->pixels[i]) > levels)
            fail_msg("%s: [%zu,%zu,%zu]: got %d, want %d", name, i / row, i % row / (size_t)want->C, i % (size_t)want->C, got->pixels[i],
                     want->pixels[i]);
}

static void expect_equal(const char *name, const struct image *got, const struct image *want) {
    expect_within(name, got, want, 0);
}

/* Runs run(arena, case, input) for each case whose name begins so; what it returns must be the case's output. */
typedef struct image run_case(struct arena *a, const char *name, const struct image *in);

static int for_each(const char *kind, run_case *run) {
    struct arena a = {0};
    struct st_file *f = st_open(&a, FIXTURE);
    int n = 0;
    for (int i = 0; i < f->n_tensors; i++) {
        const char *name = f->tensors[i].tensor.name, *dot = strrchr(name, '.');
        if (strncmp(name, kind, strlen(kind)) != 0 || strcmp(dot, ".in") != 0) continue;
        struct image in = picture(&a, &f->tensors[i].tensor);
        const struct tensor *out = st_find(f, arena_printf(&a, "%.*s.out", (int)(dot - name), name));
        assert_non_null(out);
        struct image got = run(&a, name, &in), want = picture(&a, out);
        expect_within(name, &got, &want, !strncmp(name, "jpeg:", 5)); /* the library's version is another one */
        n++;
    }
    arena_free(&a);
    return n;
}

static struct image resize_case(struct arena *a, const char *name, const struct image *in) {
    int W, H, filter;
    bool torch = name[0] == 't';
    assert_int_equal(sscanf(name, torch ? "torchvision:%dx%d:%d" : "pillow:%dx%d:%d", &W, &H, &filter), 3);
    return torch ? resize_torchvision(a, in, W, H, (enum resize_filter)filter) : resize_pillow(a, in, W, H, (enum resize_filter)filter);
}

static void test_resize(void **state) {
    (void)state;
    assert_int_equal(for_each("pillow:", resize_case), 60);
    assert_int_equal(for_each("torchvision:", resize_case), 20);
}

static struct image mode_case(struct arena *a, const char *name, const struct image *in) {
    int W, H, mode;
    assert_int_equal(sscanf(name, "mode:%dx%d:%d", &W, &H, &mode), 3);
    return image_resize(a, in, W, H, (enum resize_mode)mode, RESIZE_LANCZOS);
}

static struct image blur_case(struct arena *a, const char *name, const struct image *in) {
    float radius;
    assert_int_equal(sscanf(name, "blur:%f", &radius), 1);
    return image_blur(a, in, radius);
}

static void test_modes(void **state) {
    (void)state;
    assert_int_equal(for_each("mode:", mode_case), 18);
    assert_int_equal(for_each("blur:", blur_case), 5);
}

/* ---- masks and numbers ------------------------------------------------------------------------------------------- */

static struct image overlay_case(struct arena *a, const char *name, const struct image *in) {
    struct image_box box;
    struct st_file *f = st_open(a, FIXTURE);
    int given = sscanf(name, "overlay:%d,%d,%d,%d", &box.x1, &box.y1, &box.x2, &box.y2), length = (int)(strrchr(name, '.') - name);
    struct image mask = picture(a, st_find(f, arena_printf(a, "%.*s.mask", length, name)));
    struct image made = picture(a, st_find(f, arena_printf(a, "%.*s.made", length, name)));
    st_close(f);
    return image_overlay(a, in, &mask, &made, given == 4 ? &box : NULL, RESIZE_LANCZOS);
}

static void test_overlay(void **state) {
    (void)state;
    assert_int_equal(for_each("overlay:", overlay_case), 3);
}

static void test_crop_region(void **state) {
    (void)state;
    struct arena a = {0};
    struct st_file *f = st_open(&a, FIXTURE);
    const struct tensor *t;
    float *rows = fixture_f32(&a, f, "regions", &t);
    struct image black = image_new(&a, 5, 4, 1);
    struct image_box box;
    assert_false(mask_crop_region(&black, 64, 64, 8, &box));
    for (int64_t i = 0; i < t->shape[0]; i++) {
        int v[13];
        for (int k = 0; k < 13; k++) v[k] = (int)rows[13 * i + k];
        struct image mask = image_new(&a, v[0], v[1], 1);
        for (int y = v[3]; y < v[5]; y++) memset(mask.pixels + y * mask.W + v[2], 1, (size_t)(v[4] - v[2]));
        assert_true(mask_crop_region(&mask, v[6], v[7], v[8], &box));
        if (box.x1 != v[9] || box.y1 != v[10] || box.x2 != v[11] || box.y2 != v[12])
            fail_msg("region %d: got %d,%d,%d,%d, want %d,%d,%d,%d", (int)i, box.x1, box.y1, box.x2, box.y2, v[9], v[10], v[11], v[12]);
    }
    arena_free(&a);
}

static void test_numbers(void **state) {
    (void)state;
    struct arena a = {0};
    struct st_file *f = st_open(&a, FIXTURE);
    static const char *const names[] = {"unit", "signed", "binary"};
    void (*const run[])(float *, const struct image *) = {image_unit, image_signed, mask_binarize};
    for (int i = 0; i < 3; i++) {
        const struct tensor *t;
        struct image in = picture(&a, st_find(f, arena_printf(&a, "numbers:%s.in", names[i])));
        float got[256], *want = fixture_f32(&a, f, arena_printf(&a, "numbers:%s.out", names[i]), &t);
        run[i](got, &in);
        assert_close(names[i], got, want, t->shape, t->rank, 0);
    }
    arena_free(&a);
}

/* Pillow's convert("L"), which rounds. */
static void test_grey(void **state) {
    (void)state;
    struct arena a = {0};
    static const uint8_t rgb[] = {0, 1, 0, 1, 0, 0, 0, 0, 5, 200, 100, 50, 255, 127, 3, 2, 2, 1}, want[] = {1, 0, 1, 124, 151, 2};
    struct image in = image_new(&a, 6, 1, 3);
    memcpy(in.pixels, rgb, sizeof rgb);
    struct image grey = image_grey(&a, &in);
    assert_memory_equal(grey.pixels, want, sizeof want);
    arena_free(&a);
}

/* OpenCV's edges (test/reference/check_canny.py). */
static void test_canny(void **state) {
    (void)state;
    struct arena a = {0};
    size_t n, at = 0;
    const uint8_t *data = (const uint8_t *)read_file(&a, "test/fixtures/images/canny.bin", 1 << 20, &n);
    int n_cases = 0;
    for (; at < n; n_cases++) {
        double v[4]; /* width, height, low, high */
        memcpy(v, data + at, sizeof v);
        struct image in = image_new(&a, (int)v[0], (int)v[1], 3);
        size_t pixels = (size_t)in.W * (size_t)in.H;
        assert_true(at + sizeof v + 4 * pixels <= n);
        memcpy(in.pixels, data + at + sizeof v, 3 * pixels);
        struct image got = image_canny(&a, &in, v[2], v[3]);
        const uint8_t *want = data + at + sizeof v + 3 * pixels;
        for (size_t i = 0; i < 3 * pixels; i++)
            if (got.pixels[i] != want[i / 3]) fail_msg("canny %d: pixel %zu: got %d, want %d", n_cases, i / 3, got.pixels[i], want[i / 3]);
        at += sizeof v + 4 * pixels;
    }
    assert_int_equal(n_cases, 14);
    arena_free(&a);
}

static void test_preprocess_names(void **state) {
    (void)state;
    struct preprocess p;
    static const char *const wrong[] = {"",          "Canny",      "canny:",      "canny:1",     "canny:1,",    "canny:,1",
                                        "canny:2,1", "canny:-1,2", "canny:1,nan", "canny:1,2,3", "canny:1,1e5", "cannyx",
                                        "none:1",    "canny,1,2",  "depth:",      "depths"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (preprocess_parse(wrong[i], &p)) fail_msg("'%s' was taken", wrong[i]);
    assert_true(preprocess_parse("none", &p) && !p.canny);
    assert_true(preprocess_parse("depth", &p) && p.depth && !p.canny && !p.estimator);
    assert_true(preprocess_parse("depth:a:b", &p) && p.depth && !strcmp(p.estimator, "a:b"));
    assert_true(preprocess_parse("canny", &p) && p.canny && p.low == 100 && p.high == 200);
    assert_true(preprocess_parse("canny:7.5,7.5", &p) && p.canny && p.low == 7.5 && p.high == 7.5);
}

/* ---- pictures out ------------------------------------------------------------------------------------------------ */

static const struct image_comment comments[] = {
    {"parameters", "a \xc3\xa9\xf0\x9f\x98\xba\nSteps: 4", false}, {"diffuse", "{}", true}, {"XML:com.adobe.xmp", "<x/>", true}};

static struct image there_and_back(struct arena *a, const struct image *in, enum image_format format, int quality) {
    size_t n;
    const void *file = image_encode(a, format, in, (struct image_comments){comments, 3}, quality, &n);
    return image_decode(a, file, n, "written");
}

/* What Pillow reads of what Pillow writes. */
static struct image jpeg_case(struct arena *a, const char *name, const struct image *in) {
    int quality;
    assert_int_equal(sscanf(name, "jpeg:%d", &quality), 1);
    return there_and_back(a, in, IMAGE_JPEG, quality);
}

static void test_written(void **state) {
    (void)state;
    struct arena a = {0};
    assert_int_equal(for_each("jpeg:", jpeg_case), 3);
    static const int sizes[][2] = {{1, 1}, {3, 2}, {64, 64}, {301, 17}};
    for (int i = 0; i < 4; i++) {
        struct image in = image_new(&a, sizes[i][0], sizes[i][1], 3);
        for (int k = 0; k < in.W * in.H * 3; k++) in.pixels[k] = (uint8_t)(k * k / 7 + k % 5 * 40);
        struct image png = there_and_back(&a, &in, IMAGE_PNG, 50), lossless = there_and_back(&a, &in, IMAGE_WEBP, 100);
        expect_equal("png", &png, &in);
        expect_equal("webp 100", &lossless, &in);
        memset(in.pixels, 100, (size_t)(in.W * in.H) * 3);
        struct image lossy = there_and_back(&a, &in, IMAGE_WEBP, 80);
        expect_within("webp 80", &lossy, &in, 3);
    }
    arena_free(&a);
}

/* A grey picture stays grey but in WebP, which has none: there it comes back as one. */
static void test_written_grey(void **state) {
    (void)state;
    struct arena a = {0};
    struct image in = image_new(&a, 37, 11, 1);
    for (int k = 0; k < in.W * in.H; k++) in.pixels[k] = (uint8_t)(k * k / 7);
    struct image want = image_rgb(&a, &in);
    struct image png = there_and_back(&a, &in, IMAGE_PNG, 50), lossless = there_and_back(&a, &in, IMAGE_WEBP, 100),
                 jpeg = there_and_back(&a, &in, IMAGE_JPEG, 100);
    expect_equal("png", &png, &want);
    expect_equal("webp 100", &lossless, &want);
    expect_within("jpeg 100", &jpeg, &want, 2);
    for (int k = 0; k < in.W * in.H * 3; k++) assert_int_equal(want.pixels[k], in.pixels[k / 3]);
    size_t n;
    const uint8_t *file = image_encode(&a, IMAGE_PNG, &in, (struct image_comments){0}, 50, &n);
    assert_int_equal(file[25], 0); /* colour type */
    arena_free(&a);
}

static void test_formats(void **state) {
    (void)state;
    assert_int_equal(image_format_of("a.jpg"), IMAGE_JPEG);
    assert_int_equal(image_format_of("a.JPEG"), IMAGE_JPEG);
    assert_int_equal(image_format_of("d.jpg/a.webp"), IMAGE_WEBP);
    assert_int_equal(image_format_of("d.jpg/a"), IMAGE_PNG);
    assert_int_equal(image_format_of("-"), IMAGE_PNG);
}

/* Offsets, tags and UTF-16 of Exif, by hand from its specification. */
static void test_exif(void **state) {
    (void)state;
    struct arena a = {0};
    size_t n;
    const void *exif = exif_encode(&a, (struct image_comments){comments, 3}, &n);
    static const char want[] = "MM\0*\0\0\0\10"
                               "\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0"
                               "\0\2\x92\x7c\0\7\0\0\0\12\0\0\0\x38\x92\x86\0\7\0\0\0\x24\0\0\0\x42\0\0\0\0"
                               "diffuse\0{}"
                               "UNICODE\0\0a\0 \0\xe9\xd8\x3d\xde\x3a\0\n\0S\0t\0e\0p\0s\0:\0 \0"
                               "4";
    assert_int_equal(n, sizeof want - 1);
    assert_memory_equal(exif, want, n);
    static const struct image_comment software = {"Software", "diffuse 1", false};
    exif = exif_encode(&a, (struct image_comments){&software, 1}, &n);
    static const char minimal[] = "MM\0*\0\0\0\10\0\1\1\x31\0\2\0\0\0\12\0\0\0\x1a\0\0\0\0diffuse 1";
    assert_int_equal(n, sizeof minimal);
    assert_memory_equal(exif, minimal, n);
    assert_null(exif_encode(&a, (struct image_comments){&comments[2], 1}, &n));
    arena_free(&a);
}

/* ---- networks that look at pictures ------------------------------------------------------------------------------ */

static void test_extractors(void **state) {
    (void)state;
    struct arena a = {0};
    struct st_file *f = st_open(&a, FIXTURE);
    int n = 0;
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *config = &f->tensors[i].tensor, *t;
        const char *name = config->name, *dot = strrchr(name, '.');
        if (!dot || strcmp(dot, ".config") != 0) continue;
        char *text = arena_alloc(&a, config->bytes);
        assert_int_equal(tensor_read(config, text), 0);
        struct extractor e;
        (name[0] == 'c' ? extractor_clip : extractor_dpt)(&e, &a, json_parse(&a, text, config->bytes, name));
        struct image in = picture(&a, st_find(f, arena_printf(&a, "%.*s.in", (int)(dot - name), name)));
        float *want = fixture_f32(&a, f, arena_printf(&a, "%.*s.out", (int)(dot - name), name), &t);
        int W, H;
        extractor_size(&e, in.W, in.H, &W, &H);
        assert_int_equal(H, t->shape[0]);
        assert_int_equal(W, t->shape[1]);
        float *got = arena_array(&a, 3 * (size_t)W * (size_t)H, sizeof *got);
        extractor_run(&e, &a, got, &in);
        assert_close(name, got, want, t->shape, t->rank, 1e-6);
        n++;
    }
    assert_int_equal(n, 8);
    arena_free(&a);
}

/* What is refused, by key. */
static void expect_refused(const char *text, int code, const char *message) {
    static struct arena a; /* outlives the longjmp */
    struct job job;
    struct extractor e;
    if (job_enter(&job)) {
        extractor_dpt(&e, &a, json_parse(&a, text, strlen(text), "p.json"));
        fail_msg("%s: accepted", text);
    }
    assert_int_equal(job.code, code);
    assert_string_equal(job.message, message);
    arena_free(&a);
}

static void test_extractors_refuse(void **state) {
    (void)state;
    expect_refused("{\"resample\": 1}", FAIL_UNSUPPORTED, "p.json: 'resample': 1 is not supported");
    expect_refused("{\"do_pad\": true}", FAIL_UNSUPPORTED, "p.json: 'do_pad': only false is supported");
    expect_refused("{\"do_normalize\": false}", FAIL_UNSUPPORTED, "p.json: 'do_normalize': false is not supported");
    expect_refused("{\"size\": {\"shortest_edge\": 9}}", FAIL_UNSUPPORTED, "p.json: 'size': shortest_edge is not supported");
    expect_refused("{\"size\": {\"height\": 9}}", FAIL_DATA, "p.json: field 'size': expected shortest_edge, or height and width");
    expect_refused("{\"image_std\": [1, 0, 1]}", FAIL_DATA, "p.json: field 'image_std': expected numbers above 0");
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static uint8_t *tensor_bytes(struct arena *a, const struct tensor *t) {
    uint8_t *data = arena_alloc(a, t->bytes);
    if (tensor_read(t, data) != 0) fail_msg("cannot read %s", t->name);
    return data;
}

static int files_match(const char *fixture) {
    struct arena a = {0};
    struct st_file *f = st_open(&a, fixture);
    int n = 0;
    error_quiet = 1;
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i].tensor;
        const char *name = t->name, *dot = strrchr(name, '.');
        if (strncmp(name, "file:", 5) != 0 || strcmp(dot, ".in") != 0) continue;
        struct image got = image_decode(&a, tensor_bytes(&a, t), t->bytes, name);
        struct image want = picture(&a, st_find(f, arena_printf(&a, "%.*s.out", (int)(dot - name), name)));
        if (strstr(name, "jpeg")) expect_within(name, &got, &want, 1); /* the library's version is another one */
        else expect_equal(name, &got, &want);
        n++;
    }
    error_quiet = 0;
    arena_free(&a);
    return n;
}

static void test_files(void **state) {
    (void)state;
    assert_int_equal(files_match(FIXTURE), 61);
    assert_int_equal(files_match("test/fixtures/images/profiles.safetensors"), 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),  cmocka_unit_test(test_files),        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_overlay), cmocka_unit_test(test_crop_region),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_grey),    cmocka_unit_test(test_canny),        cmocka_unit_test(test_preprocess_names),
        cmocka_unit_test(test_written), cmocka_unit_test(test_written_grey), cmocka_unit_test(test_formats),
        cmocka_unit_test(test_exif),    cmocka_unit_test(test_extractors),   cmocka_unit_test(test_extractors_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
