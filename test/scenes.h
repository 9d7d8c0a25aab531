/* Whole pictures as diffusers made them: the cases of test/fixtures/pipelines, their settings, and comparisons with what was recorded. */
#ifndef TEST_SCENES_H
#define TEST_SCENES_H

#include "test/support.h"
#include "test/files.h"

#include <cjson/cJSON.h>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/pipelines/picture.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of them */

struct scene {
    const char *checkpoint;
    const cJSON *json;
    struct st_file *recorded;
    struct arena *arena;
    const char *dump;
};

static double number(const cJSON *json, const char *key, double fallback) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

static const char *string(const cJSON *json, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
}

/* "Class,key=value,…" as --scheduler takes it, from the case's class and overrides. */
static const char *scheduler_text(const struct scene *s) {
    const char *name = string(s->json, "scheduler");
    char *text = arena_strdup(s->arena, name ? name : "");
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(s->json, "overrides")) {
        const char *value = cJSON_IsString(item) ? item->valuestring : cJSON_PrintUnformatted(item);
        text = arena_printf(s->arena, "%s,%s=%s", text, item->string, value);
        if (!cJSON_IsString(item)) cJSON_free((void *)value);
    }
    return *text ? text : NULL;
}

static struct settings settings_of_scene(const struct scene *s) {
    return (struct settings){
        .model = arena_printf(s->arena, "test/fixtures/%s", s->checkpoint),
        .prompt = string(s->json, "prompt"),
        .negative = string(s->json, "negative_prompt"),
        .seed = (uint64_t)number(s->json, "seed", 0),
        .count = (int)number(s->json, "count", 1),
        .steps = (int)number(s->json, "steps", 0),
        .guidance = number(s->json, "guidance", NAN),
        .guidance_rescale = number(s->json, "guidance_rescale", 0),
        .eta = number(s->json, "eta", 0),
        .clip_skip = (int)number(s->json, "clip_skip", -1),
        .width = (int)number(s->json, "width", 0),
        .height = (int)number(s->json, "height", 0),
        .scheduler = scheduler_text(s),
        .rng = RNG_CPU,
        .rng_dtype = DT_F32,
        .dump = s->dump,
    };
}

/* A model opened for one request, planned and loaded; model_close ends it. */
static struct request *open_request(struct arena *a, const struct settings *settings, struct device *device) {
    struct model *m = model_open_both(a, settings);
    struct request *r = request_open(a, m, settings);
    model_use(m, device);
    request_plan(r);
    model_load(m);
    return r;
}

static uint8_t *pixels_new(struct arena *a, const struct request *r, size_t *n) {
    *n = 3 * (size_t)r->width * (size_t)r->height;
    return arena_array(a, *n, 1);
}

static void draw(struct request *r, int k, uint8_t *rgb) {
    static struct arena a; /* after a picture that died, too */
    arena_free(&a);
    picture_draw(picture_open(&a, r, k), rgb);
    arena_free(&a);
}

/* Image k of the recorded [count,C,H,W] against the dumped [1,C,H,W]. The error of one model call (1e-4 at outputs of O(1)) is amplified by
 * guidance and carried through the steps; relative to the latents' size. */
static void compare_latents(const struct scene *s, const char *recorded, const char *dir, int row, const char *tensor, int k,
                            double tolerance) {
    const struct tensor *t, *got_t;
    const char *name = string(s->json, "name");
    char *path = arena_printf(s->arena, "%s/%s", name, recorded);
    if (!st_find(s->recorded, path)) return;
    float *want = fixture_f32(s->arena, s->recorded, path, &t);
    char *file =
        row < 0 ? arena_printf(s->arena, "%s/noise.safetensors", dir) : arena_printf(s->arena, "%s/step-%04d.safetensors", dir, row);
    struct st_file *f = st_open(s->arena, file);
    float *got = fixture_f32(s->arena, f, tensor, &got_t);
    size_t n = got_t->bytes / sizeof(float);
    want += (size_t)k * n;
    float most = 1;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(want[i]));
    assert_close(arena_printf(s->arena, "%s %s (image %d)", s->checkpoint, path, k), got, want, got_t->shape, got_t->rank,
                 tolerance * most);
    st_close(f);
}

/* At most one level on 99.9 % of the values, never more than two. */
static void compare_image(const struct scene *s, const uint8_t *got, int k, size_t n) {
    const struct tensor *t;
    char *path = arena_printf(s->arena, "%s/image", string(s->json, "name"));
    float *want = fixture_f32(s->arena, s->recorded, path, &t);
    assert_int_equal(t->bytes, n * (size_t)t->shape[0]);
    want += (size_t)k * n;
    size_t n_off = 0;
    for (size_t i = 0; i < n; i++) {
        int error = abs((int)got[i] - (int)want[i]);
        n_off += error > 1;
        if (error > 2) fail_msg("%s %s (image %d): value %zu: got %d, want %d", s->checkpoint, path, k, i, got[i], (int)want[i]);
    }
    if (n_off * 1000 > n) fail_msg("%s %s (image %d): %zu of %zu values differ by two levels", s->checkpoint, path, k, n_off, n);
}

static void compare_schedule(const struct scene *s, const struct schedule *schedule) {
    const cJSON *timesteps = cJSON_GetObjectItemCaseSensitive(s->json, "timesteps");
    assert_int_equal(cJSON_GetArraySize(timesteps), schedule->n_rows);
    for (int i = 0; i < schedule->n_rows; i++)
        assert_true(fabs(cJSON_GetArrayItem(timesteps, i)->valuedouble - (double)schedule->rows[i].t) <= 1e-4);
    assert_true(fabs(number(s->json, "init_noise_sigma", NAN) / (double)schedule->init_noise_sigma - 1) <= 1e-6);
}

/* The cases of a file whose name is in names (NULL-terminated), or all where names is NULL. */
static void for_each_scene(const char *checkpoint, const char *file, const char *const names[], void (*run)(struct scene *s)) {
    struct arena all = {0};
    size_t length;
    int n_run = 0, n_wanted = 0;
    char *text = read_file(&all, arena_printf(&all, "test/fixtures/pipelines/%s.json", file), 1 << 24, &length);
    cJSON *json = cJSON_Parse(text);
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(json, "cases"), *item;
    struct st_file *recorded = st_open(&all, arena_printf(&all, "test/fixtures/pipelines/%s.safetensors", file));
    cJSON_ArrayForEach(item, cases) {
        struct arena arena = {0};
        struct scene scene = {.checkpoint = checkpoint, .json = item, .recorded = recorded, .arena = &arena};
        bool wanted = !names;
        for (int i = 0; names && names[i]; i++) wanted = wanted || !strcmp(names[i], string(item, "name"));
        if (!wanted) continue;
        scene.dump = temp_dir();
        run(&scene);
        remove_tree(scene.dump);
        arena_free(&arena);
        n_run++;
    }
    while (names && names[n_wanted]) n_wanted++;
    assert_int_equal(n_run, names ? n_wanted : cJSON_GetArraySize(cases));
    assert_true(n_run > 0);
    st_close(recorded);
    cJSON_Delete(json);
    arena_free(&all);
}

#endif
