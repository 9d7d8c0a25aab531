/* Reading and writing safetensors files. What is malformed is in test_hostile.c. */
#include <fcntl.h>
#include "engine/base/arena.h"
#include "engine/files/safetensors_parse.h"
#include "test/files.h"

static struct arena arena;
static char path[PATH_MAX + 16];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/t.safetensors", temp_dir());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    *strrchr(path, '/') = 0;
    remove_tree(path);
    return 0;
}

/* A file of one F32 tensor "a" [2,3] = 0…5, a scalar "s", an empty "e" and bytes "u". */
static void write_sample(void) {
    static const float a[6] = {0, 1, 2, 3, 4, 5}, s = 7;
    static const uint8_t u[3] = {1, 2, 3};
    struct st_writer *w = st_writer_new(&arena);
    st_writer_add(w, "u", DT_U8, 1, (const int64_t[]){3}, u);
    st_writer_add(w, "a", DT_F32, 2, (const int64_t[]){2, 3}, a);
    st_writer_add(w, "e", DT_I64, 2, (const int64_t[]){0, 4}, NULL);
    st_writer_add(w, "s", DT_F32, 0, NULL, &s);
    st_write(w, path);
}

static void test_round_trip(void **state) {
    (void)state;
    write_sample();
    struct st_file *f = st_open(&arena, path);
    const struct tensor *a = st_find(f, "a"), *s = st_find(f, "s"), *e = st_find(f, "e"), *u = st_find(f, "u");
    float values[6], scalar;
    uint8_t bytes[3];
    assert_int_equal(f->n_tensors, 4);
    assert_true(a && s && e && u && !st_find(f, "b") && !st_find(f, ""));
    assert_true(a->rank == 2 && a->shape[0] == 2 && a->shape[1] == 3 && a->dtype == DT_F32 && a->bytes == 24 && a->file == f);
    assert_true(s->rank == 0 && s->bytes == 4 && e->rank == 2 && e->bytes == 0 && e->dtype == DT_I64);
    assert_true(((const struct st_tensor *)a)->begin % 4 == 3); /* behind three bytes: reading does not depend on alignment */
    assert_int_equal(tensor_read(a, values), 0);
    assert_int_equal(tensor_read(s, &scalar), 0);
    assert_int_equal(tensor_read(u, bytes), 0);
    assert_int_equal(tensor_read(e, NULL), 0);
    for (int i = 0; i < 6; i++) assert_true(values[i] == (float)i);
    assert_true(scalar == 7 && bytes[2] == 3);
    st_check_unchanged(f);
    int fd = f->fd;
    st_close(f);
    assert_true(fcntl(fd, F_GETFD) < 0); /* closed */
    assert_true(tensor_read(a, values) != 0);
}

static void test_empty(void **state) {
    (void)state;
    st_write(st_writer_new(&arena), path);
    struct st_file *f = st_open(&arena, path);
    assert_int_equal(f->n_tensors, 0);
    assert_null(st_find(f, "a"));
}

/* Tensors in any order in the header come in order of offset; metadata and unknown languages are no obstacle. */
static void test_order(void **state) {
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"long\":\"0123456789\"},"
                                 "\"b\":{\"data_offsets\":[2,6],\"shape\":[2],\"dtype\":\"F16\"},"
                                 "\"é\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}";
    char file[512] = {(char)(sizeof header - 1)};
    memcpy(file + 8, header, sizeof header - 1);
    write_file(path, file, 8 + sizeof header - 1 + 6);
    struct st_file *f = st_open(&arena, path);
    assert_int_equal(f->n_tensors, 2);
    assert_string_equal(f->tensors[0].tensor.name, "é");
    assert_string_equal(f->tensors[1].tensor.name, "b");
    assert_true(st_find(f, "é") == &f->tensors[0].tensor && st_find(f, "b") == &f->tensors[1].tensor);
    assert_true(f->tensors[1].begin == 8 + sizeof header - 1 + 2);
}

static void test_fixture(void **state) {
    (void)state;
    struct st_file *f = st_open(&arena, "test/fixtures/tiny-sd1/unet/diffusion_pytorch_model.safetensors");
    const struct tensor *t = st_find(f, "conv_in.weight");
    assert_non_null(t);
    assert_true(t->rank == 4 && t->shape[0] == 8 && t->shape[1] == 4 && t->shape[2] == 3 && t->shape[3] == 3);
    for (int i = 0; i < f->n_tensors; i++) assert_true(st_find(f, f->tensors[i].tensor.name) == &f->tensors[i].tensor);
}

/* ---- files that change ------------------------------------------------------------------------------------------- */

static void test_shrinks(void **state) {
    (void)state;
    float values[6];
    write_sample();
    struct st_file *f = st_open(&arena, path);
    const struct tensor *a = st_find(f, "a");
    must(truncate(path, (off_t)((const struct st_tensor *)a)->begin + 8) == 0, path);
    assert_int_equal(tensor_read(a, values), ESTALE);
    assert_dies(74, "changed while it was read", (st_check_unchanged(f), 0));
}

static void test_touched(void **state) {
    (void)state;
    write_sample();
    struct st_file *f = st_open(&arena, path);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    must(utimensat(AT_FDCWD, path, times, 0) == 0, path);
    assert_dies(74, "t.safetensors: changed while it was read", (st_check_unchanged(f), 0));
}

/* Another file under the name does not concern the one that is open. */
/* Written over in place, and its mtime set back. */
static void test_written_over(void **state) {
    (void)state;
    write_sample();
    struct st_file *f = st_open(&arena, path);
    struct stat st;
    must(stat(path, &st) == 0, path);
    int fd = open(path, O_WRONLY);
    must(fd >= 0 && pwrite(fd, "x", 1, (off_t)f->size - 1) == 1, path);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    must(futimens(fd, times) == 0 && close(fd) == 0, path);
    assert_dies(74, "changed while it was read", (st_check_unchanged(f), 0));
}

static void test_replaced(void **state) {
    (void)state;
    float values[6];
    write_sample();
    struct st_file *f = st_open(&arena, path);
    write_file(path, "x", 1);
    assert_int_equal(tensor_read(st_find(f, "a"), values), 0);
    assert_true(values[5] == 5);
    st_check_unchanged(f);
}

/* After a refusal no descriptor is left once the arena is freed. */
/* A header of n tensors of no bytes: 65536 are read, one more is refused. */
static void parse_many(int n) {
    struct arena a = {0};
    char *text = arena_alloc(&a, (size_t)n * 64 + 2), *end = text;
    for (int i = 0; i < n; i++) end += sprintf(end, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "{", i);
    *end++ = '}';
    struct st_file *f = arena_alloc(&arena, sizeof *f);
    *f = (struct st_file){.path = "many", .fd = -1, .size = 8 + (uint64_t)(end - text)};
    struct job job;
    if (job_enter(&job)) {
        st_parse_header(&arena, f, text, (size_t)(end - text));
        job_leave(&job);
    }
    arena_free(&a);
    assert_int_equal(job.code, n > ST_TENSORS_MAX ? 65 : 0);
    if (job.code) assert_non_null(strstr(job.message, "too many tensors"));
    else assert_int_equal(f->n_tensors, n);
}

static void test_many(void **state) {
    (void)state;
    parse_many(ST_TENSORS_MAX);
    parse_many(ST_TENSORS_MAX + 1);
}

static void test_no_leak(void **state) {
    (void)state;
    write_file(path, "\2\0\0\0\0\0\0\0[]", 10);
    int before = dup(0);
    close(before);
    for (int i = 0; i < 3; i++) assert_dies(65, "expected an object", st_open(&arena, path));
    arena_free(&arena);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip), TEST(test_empty),    TEST(test_order),        TEST(test_fixture), TEST(test_shrinks),
        TEST(test_touched),    TEST(test_replaced), TEST(test_written_over), TEST(test_no_leak), TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
