/* Weights on their way from a file to the CUDA device: every dtype of a file, tensors of many pieces, stacked parts, each layout; compared
 * through an op with the CPU device, which packs the same bytes by its own code. And files that fail under way. */
#include "test/files.h"
#include "test/support.h"

#include "cuda/cuda.h"
#include "engine/cpu/cpu.h"
#include "engine/base/error.h"
#include "engine/ops.h"

enum { CONV_K = 640, CONV_C = 512, C = 1600, K = 2400, N_WEIGHTS = 6 }; /* 11.8 MB and, in f64, 20 MB in one part: pieces are of 4 MiB */

struct setup {
    struct arena arena;
    const char *dir, *path;
    struct st_file *file;
};

static float value(size_t i) {
    return (float)((int)(i * 2654435761u >> 16 & 255) - 128) / 1024;
} /* exact in every dtype */

static void *values_of(struct arena *a, enum dtype dtype, size_t n, int seed) {
    char *data = arena_alloc(a, n * dtype_table[dtype].size);
    for (size_t i = 0; i < n; i++) {
        float x = value(i + (size_t)seed * 7919);
        if (dtype == DT_F32) ((float *)(void *)data)[i] = x;
        if (dtype == DT_F64) ((double *)(void *)data)[i] = x;
        if (dtype == DT_F16) ((uint16_t *)(void *)data)[i] = f32_to_f16(x);
        if (dtype == DT_BF16) ((uint16_t *)(void *)data)[i] = f32_to_bf16(x);
    }
    return data;
}

static int make_file(void **state) {
    static struct setup setup;
    struct setup *s = &setup;
    *s = (struct setup){.dir = temp_dir()};
    s->path = arena_printf(&s->arena, "%s/w.safetensors", s->dir);
    struct st_writer *w = st_writer_new(&s->arena);
    struct arena *a = &s->arena;
    st_writer_add(w, "conv", DT_F32, 4, (int64_t[]){CONV_K, CONV_C, 3, 3}, values_of(a, DT_F32, CONV_K * CONV_C * 9, 1));
    st_writer_add(w, "top", DT_F64, 2, (int64_t[]){K - 800, C}, values_of(a, DT_F64, (K - 800) * C, 2));
    st_writer_add(w, "middle", DT_F16, 2, (int64_t[]){400, C}, values_of(a, DT_F16, 400 * C, 3));
    st_writer_add(w, "bottom", DT_BF16, 2, (int64_t[]){400, C}, values_of(a, DT_BF16, 400 * C, 4));
    st_writer_add(w, "geglu", DT_F16, 2, (int64_t[]){K, C}, values_of(a, DT_F16, K * C, 5));
    st_writer_add(w, "bias", DT_F64, 1, (int64_t[]){K}, values_of(a, DT_F64, K, 6));
    st_write(w, s->path);
    s->file = st_open(a, s->path);
    *state = s;
    return 0;
}

static int remove_file(void **state) {
    struct setup *s = *state;
    st_close(s->file);
    remove_tree(s->dir);
    arena_free(&s->arena);
    return 0;
}

static struct weight *weight_of(struct setup *s, enum weight_kind kind, int rank, const int64_t *shape, int n_parts,
                                const char *const names[]) {
    struct weight *w = arena_alloc(&s->arena, sizeof *w);
    const struct tensor **parts = arena_array(&s->arena, (size_t)n_parts, sizeof *parts);
    for (int i = 0; i < n_parts; i++) { /* put together again from its rows: loaders only read */
        const struct tensor *t = st_find(s->file, names[i]);
        int64_t half = t->shape[0] / 2;
        parts[i] = tensor_stack(&s->arena, tensor_rows(&s->arena, t, 0, half), tensor_rows(&s->arena, t, half, t->shape[0] - half));
    }
    *w = (struct weight){.kind = kind, .name = names[0], .rank = rank, .shape = {1, 1, 1, 1}, .n_parts = n_parts, .parts = parts};
    memcpy(w->shape, shape, (size_t)rank * sizeof *shape);
    return w;
}

struct outputs {
    struct view conv, linear, geglu, up;
};

/* The ops on ones. */
static struct outputs run_ops(struct device *dev, struct weight *const w[N_WEIGHTS]) {
    struct outputs y = {view_alloc(dev, 1, 1, 2, CONV_K), view_alloc(dev, 1, 1, 2, K), view_alloc(dev, 1, 1, 2, K / 2),
                        view_alloc(dev, 1, 2, 4, CONV_K)};
    struct view x = view_alloc(dev, 1, 1, 2, CONV_C), z = view_alloc(dev, 1, 1, 2, C);
    float *ones = calloc(2 * C, sizeof *ones);
    for (int i = 0; i < 2 * C; i++) ones[i] = (float)(i % 3 - 1);
    dev->ops->upload(dev, x, ones);
    dev->ops->upload(dev, z, ones);
    free(ones);
    dev->ops->conv2d(dev, y.conv, x, w[0], NULL, no_view, no_view, CONV_3X3);
    dev->ops->conv2d(dev, y.up, x, w[5], NULL, no_view, no_view, (struct conv_shape){1, 1, 1, 1, 1, 2});
    dev->ops->linear(dev, y.linear, z, w[1], w[3], ACT_NONE, no_view);
    dev->ops->linear_geglu(dev, y.geglu, z, w[2], w[4]);
    return y;
}

static void bind(struct setup *s, struct weight *w[N_WEIGHTS]) {
    w[0] = weight_of(s, WEIGHT_CONV, 4, (int64_t[]){CONV_K, CONV_C, 3, 3}, 1, (const char *[]){"conv"});
    w[5] = weight_of(s, WEIGHT_CONV, 4, (int64_t[]){CONV_K, CONV_C, 3, 3}, 1, (const char *[]){"conv"});
    w[1] = weight_of(s, WEIGHT_MATRIX, 2, (int64_t[]){K, C}, 3, (const char *[]){"top", "middle", "bottom"});
    w[2] = weight_of(s, WEIGHT_MATRIX, 2, (int64_t[]){K, C}, 1, (const char *[]){"geglu"});
    w[3] = weight_of(s, WEIGHT_VECTOR, 1, (int64_t[]){K}, 1, (const char *[]){"bias"});
    w[4] = weight_of(s, WEIGHT_VECTOR, 1, (int64_t[]){K}, 1, (const char *[]){"bias"});
}

static struct outputs load_and_run(struct setup *s, struct device *dev) {
    struct weight *w[N_WEIGHTS];
    bind(s, w);
    run_ops(dev, w);
    dev->arena_used = 0;
    dev->plan_end(dev);
    for (int i = 0; i < N_WEIGHTS; i++) {
        w[i]->packed_bytes = dev->packed_bytes(dev, w[i]);
        w[i]->packed = dev->alloc(dev, w[i]->packed_bytes);
    }
    dev->load(dev, w, N_WEIGHTS);
    struct outputs y = run_ops(dev, w); /* while the weights arrive */
    assert_true(dev->load_wait(dev) > 0);
    return y;
}

static void compare(const char *name, struct device *cpu, struct view want, struct device *cuda, struct view got, double tolerance) {
    float *a = calloc(view_rows(want) * (size_t)want.C, sizeof *a), *b = calloc(view_rows(want) * (size_t)want.C, sizeof *b);
    cpu->ops->download(cpu, a, want);
    cuda->ops->download(cuda, b, got);
    assert_close(name, b, a, (int64_t[]){(int64_t)view_rows(want), want.C}, 2, tolerance);
    free(a), free(b);
}

/* Weights and x are exact in every dtype and sums stay below 200: f32 differs by the order of summation, f16 and bf16 round the result. */
static void test_layouts(void **state) {
    static const struct {
        enum dtype dtype;
        double tolerance;
    } cases[] = {{DT_F32, 1e-4}, {DT_F16, 0.07}, {DT_BF16, 0.6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct device *cpu = cpu_device_open(DT_F32, 2), *cuda = cuda_device_open(cases[i].dtype, -1);
        struct outputs want = load_and_run(*state, cpu), got = load_and_run(*state, cuda);
        compare("conv", cpu, want.conv, cuda, got.conv, cases[i].tolerance);
        compare("enlarging conv", cpu, want.up, cuda, got.up, cases[i].tolerance);
        compare("linear", cpu, want.linear, cuda, got.linear, cases[i].tolerance);
        compare("geglu", cpu, want.geglu, cuda, got.geglu, cases[i].tolerance * 16); /* a product of two sums, each up to 20 */
        cpu->close(cpu);
        cuda->close(cuda);
    }
}

/* The file loses its end after it was opened: the op that waits for the lost weight dies, and closing ends the loader. */
static void test_shrinking_file(void **state) {
    struct setup *s = *state;
    struct device *dev = cuda_device_open(DT_F16, -1);
    must(truncate(s->path, (off_t)s->file->size - 4096) == 0, "truncate");
    assert_dies(FAIL_IO, "the file changed while it was read", load_and_run(s, dev));
    dev->close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layouts, make_file, remove_file),
        cmocka_unit_test_setup_teardown(test_shrinking_file, make_file, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
