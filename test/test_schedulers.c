/* Timesteps, noise levels and whole trajectories against diffusers, with a model of one line instead of a UNet.
 *     test_schedulers            the project's own cases in test/fixtures/schedulers
 *     test_schedulers FILE…      any files of that format
 *
 * A case: cls and config (the constructor's arguments), or stored, pipeline and target (a scheduler_config.json by
 * its name in the file's table, the pipeline class it is loaded into, the class it is swapped to); num_inference_steps,
 * step_kwargs, strength for image to image; and what diffusers made of it. A case with "refused" expects us to refuse
 * it, as does one whose final values are null (NaN there). */
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "schedulers/scheduler.h"

enum { N = 16, MAX_OVERRIDES = 16 };

/* ---- a row, literally as schedulers/scheduler.h defines it ------------------------------------------------------- */

struct state {
    float x[N], saved[N], d[SCHED_HISTORY][N];
    int stored;
};

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The q-quantile of |v|, between order statistics linear. */
static float quantile(const float *v, float q) {
    float sorted[N];
    for (int i = 0; i < N; i++) sorted[i] = fabsf(v[i]);
    qsort(sorted, N, sizeof *sorted, compare);
    float at = q * (N - 1);
    int low = (int)at, high = low + 1 < N ? low + 1 : low;
    return sorted[low] + (sorted[high] - sorted[low]) * (at - (float)low);
}

static void clip(const struct sched_row *r, float *v) {
    if (r->clip == CLIP_NONE) return;
    float range = r->clip_value, divisor = 1;
    if (r->clip == CLIP_QUANTILE) range = divisor = fminf(fmaxf(quantile(v, r->clip_quantile), 1), r->clip_value);
    for (int i = 0; i < N; i++) v[i] = fminf(fmaxf(v[i], -range), range) / divisor;
}

static void execute(const struct sched_row *r, struct state *s, const float *e, const float *z) {
    float v[N], next[N], (*d)[N] = s->d, shadowed[N];
    for (int i = 0; i < N; i++) v[i] = r->dx * s->x[i] + r->de * e[i];
    clip(r, v);
    memcpy(shadowed, d[0], sizeof shadowed);
    if (r->push) memmove(d[1], d[0], sizeof s->d - sizeof *s->d);
    memcpy(d[0], v, sizeof v);
    for (int i = 0; i < N; i++) {
        float sum = 0;
        for (int k = 0; k < SCHED_HISTORY; k++) sum += r->ad[k] * d[k][i];
        if (r->save) s->saved[i] = r->ax * s->x[i] + r->as * s->saved[i] + sum;
        next[i] = r->cx * s->x[i] + r->ce * e[i] + r->cs * s->saved[i] + r->cz * z[i];
        for (int k = 0; k < SCHED_HISTORY; k++) next[i] += r->cd[k] * d[k][i];
    }
    memcpy(s->x, next, sizeof next);
    if (!r->push) memcpy(d[0], shadowed, sizeof shadowed);
    for (int i = 0; i < r->drop; i++) {
        memmove(d[0], d[1], sizeof s->d - sizeof *s->d);
        memset(d[SCHED_HISTORY - 1], 0, sizeof *d);
    }
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

static int n_failures, n_cases;

static const cJSON *member(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItem(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

static const char *text_of(const cJSON *o, const char *key) {
    const cJSON *v = member(o, key);
    return v ? v->valuestring : NULL;
}

/* "path: tag (cls, n steps): …" */
static void complain(const char *path, const cJSON *c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void complain(const char *path, const cJSON *c, const char *fmt, ...) {
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    const char *cls = text_of(c, "cls");
    if (n_failures++ < 40)
        print_error("%s: %s (%s, %d steps): %s\n", path, text_of(c, "tag"), cls ? cls : text_of(c, "target"),
                    member(c, "num_inference_steps")->valueint, what);
}

static bool compare_list(const char *path, const cJSON *c, const char *what, const cJSON *want, const float *got, int n, double tolerance) {
    if (cJSON_GetArraySize(want) != n) {
        complain(path, c, "%s: expected %d values, found %d", what, cJSON_GetArraySize(want), n);
        return false;
    }
    const cJSON *v;
    int i = 0;
    cJSON_ArrayForEach(v, want) {
        if (!(fabs((double)got[i] - v->valuedouble) <= tolerance)) {
            complain(path, c, "%s[%d]: expected %.9g, found %.9g", what, i, v->valuedouble, (double)got[i]);
            return false;
        }
        i++;
    }
    return true;
}

/* The constructor's arguments as the JSON that gives them. */
static struct json *stored_config(struct arena *a, const cJSON *root, const cJSON *c) {
    const char *stored = text_of(c, "stored");
    cJSON *copy = cJSON_Duplicate(stored ? member(member(root, "stored"), stored) : member(c, "config"), true);
    if (!stored) cJSON_AddStringToObject(copy, "_class_name", text_of(c, "cls"));
    char *text = cJSON_PrintUnformatted(copy);
    struct json *o = json_parse(a, arena_strdup(a, text), strlen(text), "scheduler_config.json");
    free(text);
    cJSON_Delete(copy);
    return o;
}

static const char **overrides_of(struct arena *a, const cJSON *c) {
    const char **list = arena_array(a, MAX_OVERRIDES + 1, sizeof *list);
    int n = 0;
    const char *const sources[] = {"overrides", "step_kwargs"};
    for (int i = 0; i < 2; i++) {
        const cJSON *v;
        cJSON_ArrayForEach(v, member(c, sources[i])) {
            assert_true(n < MAX_OVERRIDES);
            if (cJSON_IsNumber(v)) list[n++] = arena_printf(a, "%s=%.17g", v->string, v->valuedouble);
            else list[n++] = arena_printf(a, "%s=%s", v->string, cJSON_IsBool(v) ? cJSON_IsTrue(v) ? "true" : "false" : v->valuestring);
        }
    }
    return list;
}

static enum sched_fixup fixup_of(const char *pipeline) {
    if (!pipeline || !strcmp(pipeline, "none")) return FIXUP_NONE;
    return strcmp(pipeline, "StableDiffusionPipeline") ? FIXUP_INPAINT : FIXUP_STABLE_DIFFUSION;
}

static struct schedule *plan_case(struct arena *a, const cJSON *root, const cJSON *c) {
    const char *target_name = text_of(c, "target"), *pipeline = text_of(c, "pipeline");
    const struct scheduler *target = target_name ? scheduler_find(target_name) : NULL, *found;
    if (target_name && !target) die(FAIL_USAGE, "no scheduler '%s'", target_name);
    struct sched_config *config = sched_config_load(a, stored_config(a, root, c), "scheduler_config.json", text_of(c, "class_name"), target,
                                                    fixup_of(pipeline), overrides_of(a, c), &found);
    int n = member(c, "num_inference_steps")->valueint, skip = 0;
    const cJSON *strength = member(c, "strength");
    if (strength) {
        int kept = (int)(n * strength->valuedouble);
        skip = n - (kept < n ? kept : n);
    }
    return schedule_plan_from(a, found, config, n, skip);
}

/* Whole timesteps exactly; those of a fractional schedule to 1e-4. */
static bool check_timesteps(const char *path, const cJSON *c, const struct schedule *s) {
    const cJSON *want = member(c, "timesteps"), *v;
    if (!want) return true;
    if (cJSON_GetArraySize(want) != s->n_rows) {
        complain(path, c, "timesteps: expected %d rows, found %d", cJSON_GetArraySize(want), s->n_rows);
        return false;
    }
    int i = 0;
    bool whole = true;
    cJSON_ArrayForEach(v, want) whole &= v->valuedouble == floor(v->valuedouble);
    cJSON_ArrayForEach(v, want) {
        double t = v->valuedouble, got = (double)s->rows[i++].t;
        if (fabs(got - t) <= (whole ? 0 : 1e-4)) continue;
        complain(path, c, "timesteps[%d]: expected %.9g, found %.9g", i - 1, t, got);
        return false;
    }
    return true;
}

static bool check_sigmas(const char *path, const cJSON *c, const struct schedule *s) {
    const cJSON *want = member(c, "sigmas"), *v;
    if (!want || cJSON_GetArraySize(want) == 0) return true;
    if (cJSON_GetArraySize(want) != s->n_sigmas) {
        complain(path, c, "sigmas: expected %d, found %d", cJSON_GetArraySize(want), s->n_sigmas);
        return false;
    }
    int i = 0;
    cJSON_ArrayForEach(v, want) {
        double got = (double)s->sigmas[i++];
        if (fabs(got - v->valuedouble) <= 2e-6 * fabs(v->valuedouble)) continue;
        complain(path, c, "sigmas[%d]: expected %.9g, found %.9g", i - 1, v->valuedouble, got);
        return false;
    }
    return true;
}

/* The largest magnitude in the case's outputs. */
static double magnitude(const cJSON *c) {
    double max = 0;
    const cJSON *v, *row;
    cJSON_ArrayForEach(v, member(c, "final")) max = fmax(max, fabs(v->valuedouble));
    cJSON_ArrayForEach(row, member(c, "traj_first4")) cJSON_ArrayForEach(v, row) max = fmax(max, fabs(v->valuedouble));
    return max;
}

static void start(const cJSON *c, const cJSON *root, const struct schedule *s, struct state *state, struct rng *r) {
    float noise[N];
    bool from_image = member(c, "strength") != NULL;
    if (from_image) rng_normal(r, noise, N, DT_F32);
    for (int i = 0; i < N; i++) {
        float z = (float)cJSON_GetArrayItem(member(root, "z"), i)->valuedouble;
        state->x[i] = from_image ? s->rows[0].add_x * (0.8f * z) + s->rows[0].add_z * noise[i] : z * s->init_noise_sigma;
    }
}

/* 1e-5 of the largest value of the case's outputs, or one f32 rounding error of the largest value seen so far:
 * diffusers' own error where a step takes x from thousands (zero terminal SNR) down to tens. `seen` is kept by the
 * caller. */
static double row_tolerance(const float *x, double outputs, double *seen) {
    for (int i = 0; i < N; i++) *seen = fmax(*seen, fabs((double)x[i]));
    return fmax(1e-5 * outputs, 0x1p-23 * *seen);
}

static void model(float *e, const struct state *s, const struct sched_row *r) {
    for (int i = 0; i < N; i++) e[i] = 0.7f * tanhf(r->in_scale * s->x[i]) + 0.1f * cosf(0.01f * r->t);
}

/* traj_first4: the first four values after every row, or the last ones if they are fewer; with traj_rows, after the
 * rows named there. */
static bool check_row_values(const char *path, const cJSON *c, int row, int n_rows, const float *x, double tolerance) {
    const cJSON *trajectory = member(c, "traj_first4"), *rows = member(c, "traj_rows"), *v;
    int at = rows ? -1 : row - (n_rows - cJSON_GetArraySize(trajectory)), i = 0;
    cJSON_ArrayForEach(v, rows) {
        if (v->valueint == row) at = i;
        i++;
    }
    const cJSON *want = trajectory && at >= 0 ? cJSON_GetArrayItem(trajectory, at) : NULL;
    char what[40];
    snprintf(what, sizeof what, "x after row %d", row);
    return !want || compare_list(path, c, what, want, x, 4, tolerance);
}

static void run_case(const char *path, const cJSON *root, const cJSON *c, const struct schedule *s) {
    struct state state = {0};
    struct rng r;
    double outputs = magnitude(c), seen = 0, tolerance;
    rng_init(&r, RNG_CPU, (uint64_t)(member(c, "seed") ? member(c, "seed")->valuedouble : 0), (struct rng_gpu){0});
    start(c, root, s, &state, &r);
    tolerance = row_tolerance(state.x, outputs, &seen);
    if (member(c, "noised") && !compare_list(path, c, "noised", member(c, "noised"), state.x, N, tolerance)) return;
    for (int i = 0; i < s->n_rows; i++) {
        float e[N], z[N] = {0};
        tolerance = row_tolerance(state.x, outputs, &seen);
        model(e, &state, &s->rows[i]);
        if (s->rows[i].noise) rng_normal(&r, z, N, DT_F32);
        execute(&s->rows[i], &state, e, z);
        if (!check_row_values(path, c, i, s->n_rows, state.x, tolerance)) return;
    }
    compare_list(path, c, "final", member(c, "final"), state.x, N, tolerance);
}

/* blend: what the rest of the picture is held to behind each row but the last, which holds it to the picture itself. */
static bool check_blend(const char *path, const cJSON *c, const struct schedule *s) {
    const cJSON *pair;
    int i = 0;
    if (!member(c, "blend")) return true;
    cJSON_ArrayForEach(pair, member(c, "blend")) {
        double x = cJSON_GetArrayItem(pair, 0)->valuedouble, z = cJSON_GetArrayItem(pair, 1)->valuedouble;
        const struct sched_row *r = &s->rows[i];
        if (i == s->n_rows - 1 || !(fabs(r->keep_x - x) <= 1e-5 * x) || !(fabs(r->keep_z - z) <= 1e-5 * z))
            return complain(path, c, "row %d of %d: blends %.9g and %.9g, expected %.9g and %.9g", i, s->n_rows, (double)r->keep_x,
                            (double)r->keep_z, x, z),
                   false;
        i++;
    }
    if (i != s->n_rows - 1 || s->rows[i].keep_x != 1 || s->rows[i].keep_z != 0)
        return complain(path, c, "row %d of %d: not the picture itself", i, s->n_rows), false;
    return true;
}

static bool expects_refusal(const cJSON *c) {
    const cJSON *final = member(c, "final");
    return member(c, "refused") || !final || cJSON_IsNull(cJSON_GetArrayItem(final, 0));
}

static void check_case(const char *path, const cJSON *root, const cJSON *c) {
    struct arena a = {0};
    struct job job;
    n_cases++;
    if (job_enter(&job)) {
        struct schedule *s = plan_case(&a, root, c);
        const cJSON *order = member(c, "order"), *init = member(c, "init_noise_sigma");
        if (expects_refusal(c)) complain(path, c, "expected to be refused, as diffusers rejects it or computes NaN");
        else if (order && order->valueint != s->order) complain(path, c, "order: expected %d, found %d", order->valueint, s->order);
        else if (init && !(fabs((double)s->init_noise_sigma - init->valuedouble) <= 2e-6 * init->valuedouble))
            complain(path, c, "init_noise_sigma: expected %.9g, found %.9g", init->valuedouble, (double)s->init_noise_sigma);
        else if (check_timesteps(path, c, s) && check_sigmas(path, c, s) && check_blend(path, c, s)) run_case(path, root, c, s);
        job_leave(&job);
    } else if (!expects_refusal(c) || (job.code != FAIL_UNSUPPORTED && job.code != FAIL_USAGE)) {
        complain(path, c, "refused with code %d: %s", job.code, job.message);
    }
    arena_free(&a);
}

static void check_file(void **state) {
    const char *path = *state;
    struct arena a = {0};
    size_t length;
    cJSON *root = cJSON_Parse(read_file(&a, path, 64 << 20, &length));
    if (!root) fail_msg("%s: not JSON", path);
    n_failures = n_cases = 0;
    const cJSON *c;
    cJSON_ArrayForEach(c, member(root, "cases")) check_case(path, root, c);
    cJSON_Delete(root);
    arena_free(&a);
    print_message("%s: %d cases\n", path, n_cases);
    if (n_failures) fail_msg("%s: %d of %d cases fail", path, n_failures, n_cases);
    if (!n_cases) fail_msg("%s: no cases in it", path);
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* Plans with `config` of class `cls`, swapped to `target` unless NULL, one override or NULL; returns the exit code, 0
 * if all went well. */
static int plan_text(const char *json, const char *target, const char *override, int n_steps, char *message) {
    struct arena a = {0};
    struct job job;
    const char *overrides[] = {override, NULL};
    volatile int code = 0;
    if (message) *message = 0;
    if (job_enter(&job)) {
        const struct scheduler *found;
        struct json *o = json_parse(&a, json, strlen(json), "s.json");
        struct sched_config *c =
            sched_config_load(&a, o, "s.json", NULL, target ? scheduler_find(target) : NULL, FIXUP_NONE, overrides, &found);
        schedule_plan(&a, found, c, n_steps);
        job_leave(&job);
    } else {
        code = job.code;
        if (message) snprintf(message, ERROR_MAX, "%s", job.message);
    }
    arena_free(&a);
    return code;
}

static void test_bad_configs(void **state) {
    (void)state;
    static const struct {
        const char *json;
        int code;
        const char *says;
    } rows[] = {
        {"{}", FAIL_DATA, "_class_name"},
        {"{\"_class_name\":\"NoScheduler\"}", FAIL_UNSUPPORTED, "NoScheduler"},
        {"{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":0}", FAIL_DATA, "num_train_timesteps"},
        {"{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":1000000000}", FAIL_DATA, "num_train_timesteps"},
        {"{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":[1000]}", FAIL_DATA, "num_train_timesteps"},
        {"{\"_class_name\":\"DDIMScheduler\",\"beta_start\":0.5,\"beta_end\":0.1}", FAIL_DATA, "beta_start"},
        {"{\"_class_name\":\"DDIMScheduler\",\"beta_start\":-1}", FAIL_DATA, "beta_start"},
        {"{\"_class_name\":\"DDIMScheduler\",\"beta_end\":1}", FAIL_DATA, "beta_end"},
        {"{\"_class_name\":\"DDIMScheduler\",\"beta_start\":\"small\"}", FAIL_DATA, "beta_start"},
        {"{\"_class_name\":\"DDIMScheduler\",\"beta_schedule\":\"wavy\"}", FAIL_UNSUPPORTED, "beta_schedule"},
        {"{\"_class_name\":\"DDIMScheduler\",\"prediction_type\":\"flow_prediction\"}", FAIL_UNSUPPORTED, "prediction_type"},
        {"{\"_class_name\":\"PNDMScheduler\",\"prediction_type\":\"sample\"}", FAIL_UNSUPPORTED, "prediction_type"},
        {"{\"_class_name\":\"DDIMScheduler\",\"timestep_spacing\":\"wide\"}", FAIL_UNSUPPORTED, "timestep_spacing"},
        {"{\"_class_name\":\"DDIMScheduler\",\"clip_sample\":1}", FAIL_DATA, "clip_sample"},
        {"{\"_class_name\":\"DDIMScheduler\",\"trained_betas\":[0.1,0.2]}", FAIL_DATA, "trained_betas"},
        {"{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":2,\"trained_betas\":[0.1,1.5]}", FAIL_DATA, "trained_betas"},
        {"{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":2,\"trained_betas\":0.1}", FAIL_DATA, "trained_betas"},
        {"{\"_class_name\":\"EulerDiscreteScheduler\",\"use_karras_sigmas\":true,\"use_beta_sigmas\":true}", FAIL_UNSUPPORTED,
         "at most one"},
        {"{\"_class_name\":\"UniPCMultistepScheduler\",\"use_flow_sigmas\":true}", FAIL_UNSUPPORTED, "use_flow_sigmas"},
        {"{\"_class_name\":\"DDIMScheduler\",\"trained_betas\":null,\"beta_schedule\":\"of no class\"}", FAIL_UNSUPPORTED, "beta_schedule"},
        {"{}", FAIL_DATA, "_class_name"},
        {"{\"_class_name\":\"PNDMScheduler\"}", FAIL_UNSUPPORTED, "at least 4 steps"},
        {"{\"_class_name\":\"DDIMScheduler\",\"clip_sample\":false,\"rescale_betas_zero_snr\":true,\"timestep_"
         "spacing\":\"trailing\"}",
         FAIL_UNSUPPORTED, "row 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char message[ERROR_MAX];
        int code = plan_text(rows[i].json, NULL, NULL, 3, message);
        if (code != rows[i].code || !strstr(message, rows[i].says))
            fail_msg("%s: expected code %d and '%s', found %d: %s", rows[i].json, rows[i].code, rows[i].says, code, message);
    }
}

static void test_overrides(void **state) {
    (void)state;
    static const struct {
        const char *target, *override;
        int code;
        const char *says;
    } rows[] = {
        {"euler", "use_karras_sigmas=true", 0, ""},
        {"euler", "karras", 0, ""},
        {"Euler", "s_churn=5", 0, ""},
        {"k-euler", "sigma_max=10", 0, ""},
        {"EulerDiscreteScheduler", "timestep_spacing=trailing", 0, ""},
        {"euler", "use_karras_sigma=true", FAIL_USAGE, "did you mean 'use_karras_sigmas'"},
        {"euler", "clip_sample=true", FAIL_USAGE, "no option 'clip_sample'"},
        {"euler", "zzz=1", FAIL_USAGE, "no option 'zzz'"},
        {"euler", "use_karras_sigmas=maybe", FAIL_USAGE, "expected true or false"},
        {"euler", "timestep_spacing=wide", FAIL_USAGE, "timestep_spacing"},
        {"euler", "s_churn=-1", FAIL_USAGE, "s_churn"},
        {"euler", "s_churn=nan", FAIL_USAGE, "s_churn"},
        {"euler", "trained_betas=1", FAIL_USAGE, "a list"},
        {"euler", "nonsense", FAIL_USAGE, "key=value"},
        {"euler", "beta_start=0.5", FAIL_USAGE, "beta_start"},
        {"ddim", "steps_offset=2000000", FAIL_USAGE, "steps_offset"},
        {"ddim", "num_train_timesteps=1e3", FAIL_USAGE, "an integer"},
        {"ddim", "eta=0.5", 0, ""},
        {NULL, "skip_prk_steps=true", 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char message[ERROR_MAX];
        int code = plan_text("{\"_class_name\":\"PNDMScheduler\"}", rows[i].target, rows[i].override, 3, message);
        if (code != rows[i].code || !strstr(message, rows[i].says))
            fail_msg("%s: expected code %d and '%s', found %d: %s", rows[i].override, rows[i].code, rows[i].says, code, message);
    }
}

static void test_steps_range(void **state) {
    (void)state;
    const char *json = "{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":50}";
    assert_int_equal(plan_text(json, NULL, NULL, 0, NULL), FAIL_USAGE);
    assert_int_equal(plan_text(json, NULL, NULL, 51, NULL), FAIL_USAGE);
    assert_int_equal(plan_text(json, NULL, NULL, 50, NULL), 0);
    json = "{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":50,\"steps_offset\":1}";
    assert_int_equal(plan_text(json, NULL, NULL, 50, NULL), FAIL_UNSUPPORTED); /* timestep 50 of 0..49: IndexError in diffusers */
}

static void test_names(void **state) {
    (void)state;
    for (const struct scheduler *const *s = schedulers; *s; s++) {
        assert_ptr_equal(scheduler_find((*s)->class_name), *s);
        for (const char *const *n = (*s)->names; *n; n++) assert_ptr_equal(scheduler_find(*n), *s);
        assert_non_null((*s)->summary);
        assert_non_null((*s)->model_calls);
    }
    assert_null(scheduler_find("no-such-thing"));
    assert_null(scheduler_find(""));
    assert_string_equal(scheduler_suggest("eulr"), "euler");
    assert_null(scheduler_suggest("qqqqqqqqqqqqq"));
}

static void test_eta(void **state) {
    (void)state;
    struct arena a = {0};
    const char *json = "{\"_class_name\":\"DDIMScheduler\",\"clip_sample\":false}", *overrides[] = {"eta=0.25", NULL};
    const struct scheduler *found;
    struct json *o = json_parse(&a, json, strlen(json), "s.json");
    struct sched_config *c = sched_config_load(&a, o, "s.json", NULL, NULL, FIXUP_NONE, NULL, &found);
    assert_false(schedule_plan(&a, found, c, 2)->rows[0].noise);
    sched_config_set_eta(c, 1);
    float all = schedule_plan(&a, found, c, 2)->rows[0].cz;
    assert_true(all > 0);
    c = sched_config_load(&a, o, "s.json", NULL, NULL, FIXUP_NONE, overrides, &found);
    sched_config_set_eta(c, 1);
    float quarter = schedule_plan(&a, found, c, 2)->rows[0].cz;
    assert_true(fabsf(quarter - all / 4) <= 1e-6f * all);
    assert_string_equal(sched_config_origin(c, "eta"), "option");
    assert_string_equal(sched_config_origin(c, "clip_sample"), "inherited");
    assert_string_equal(sched_config_origin(c, "beta_start"), "default");
    assert_null(sched_config_origin(c, "use_karras_sigmas"));
    arena_free(&a);
}

/* Printed; fails only where it is grossly slow: the machine may be shared and the build unoptimised. */
/* "lower_order_final … for len(timesteps) < 15": the order of the last step of so many, which is how many past values it has. */
static int last_order(struct arena *a, const char *class, int n_steps) {
    static const char *const overrides[] = {"final_sigmas_type=sigma_min", NULL};
    bool deis = !strncmp(class, "DEIS", 4);
    const char *text = arena_printf(a, "{\"_class_name\":\"%s\",\"solver_order\":2}", class);
    const struct scheduler *found;
    struct json *o = json_parse(a, text, strlen(text), "s.json");
    struct sched_config *c = sched_config_load(a, o, "s.json", NULL, NULL, FIXUP_NONE, deis ? NULL : overrides, &found);
    const struct schedule *s = schedule_plan(a, found, c, n_steps);
    return s->rows[s->n_rows - 1].cd[1] != 0 ? 2 : 1;
}

static void test_last_order(void **state) {
    (void)state;
    struct arena a = {0};
    static const char *const classes[] = {"DPMSolverMultistepScheduler", "DEISMultistepScheduler"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(last_order(&a, classes[i], 14), 1);
        assert_int_equal(last_order(&a, classes[i], 15), 2);
    }
    arena_free(&a);
}

int main(int argc, char **argv) {
    glob_t own = {0};
    if (argc == 1 && glob("test/fixtures/schedulers/*.json", 0, NULL, &own)) {
        fprintf(stderr, "no test/fixtures/schedulers/*.json: run from the repository's root\n");
        return 1;
    }
    char **files = argc > 1 ? argv + 1 : own.gl_pathv;
    size_t n_files = argc > 1 ? (size_t)argc - 1 : own.gl_pathc, n = 0;
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_bad_configs), cmocka_unit_test(test_overrides), cmocka_unit_test(test_steps_range),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_eta),       cmocka_unit_test(test_last_order),
    };
    struct CMUnitTest *tests = calloc(sizeof fixed / sizeof *fixed + n_files, sizeof *tests);
    for (; n < sizeof fixed / sizeof *fixed; n++) tests[n] = fixed[n];
    for (size_t i = 0; i < n_files; i++) tests[n++] = (struct CMUnitTest){files[i], check_file, NULL, NULL, files[i]};
    error_quiet = 1;
    int failed = _cmocka_run_group_tests("schedulers", tests, n, NULL, NULL);
    free(tests);
    globfree(&own);
    return failed;
}
