/* What is done to pictures before and behind the networks, equal to the libraries it stands for: bytes equal, floats to the last bit or
 * two. Cases: test/reference/make_images.py. */
#include "test/support.h"

#include <stdbool.h>
#include "engine/base/error.h"
#include "engine/images/image.h"
#include "engine/images/read.h"
#include "engine/images/resize.h"

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
        expect_equal(name, &got, &want);
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

/* ---- files --------------------------------------------------------------------------------------------------------- */

static uint8_t *tensor_bytes(struct arena *a, const struct tensor *t) {
    uint8_t *data = arena_alloc(a, t->bytes);
    if (tensor_read(t, data) != 0) fail_msg("cannot read %s", t->name);
    return data;
}

static void test_files(void **state) {
    (void)state;
    struct arena a = {0};
    struct st_file *f = st_open(&a, FIXTURE);
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
    assert_int_equal(n, 61);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
