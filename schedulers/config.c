/* A scheduler's effective options: class defaults, the checkpoint's JSON, the pipeline's fix-ups, a swap to another
 * class, overrides. */
#include "schedulers/config.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/text.h"

/* REFUSED: of another family of models; where the class has it, only false or null will do. */
enum field_type { INTEGER, NUMBER, BOOLEAN, STRING, NUMBERS, INTEGERS, REFUSED };

static const size_t field_size[] = {sizeof(int), sizeof(double), sizeof(bool), sizeof(char *), sizeof(double *), sizeof(int64_t *), 0};

struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    double min, max;     /* both allowed */
    bool step;           /* an argument of step(): an option, but not a key of the JSON */
    const char *classes; /* of a REFUSED one: those that have it */
};

#define AT(key) #key, .offset = offsetof(struct sched_config, key)

#define MULTISTEP "DEISMultistepScheduler|DPMSolverMultistepScheduler|DPMSolverSinglestepScheduler|UniPCMultistepScheduler"

static const struct field fields[] = {
    {AT(num_train_timesteps), .type = INTEGER, .min = 1, .max = 100000},
    {AT(beta_start), .type = NUMBER, .min = 1e-12, .max = 0.999999},
    {AT(beta_end), .type = NUMBER, .min = 1e-12, .max = 0.999999},
    {AT(beta_schedule), .type = STRING},
    {AT(trained_betas), .type = NUMBERS},
    {AT(rescale_betas_zero_snr), .type = BOOLEAN},
    {AT(set_alpha_to_one), .type = BOOLEAN},
    {AT(prediction_type), .type = STRING},
    {AT(clip_sample), .type = BOOLEAN},
    {AT(clip_sample_range), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(thresholding), .type = BOOLEAN},
    {AT(dynamic_thresholding_ratio), .type = NUMBER, .min = 0, .max = 1},
    {AT(sample_max_value), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(timestep_spacing), .type = STRING},
    {AT(timestep_type), .type = STRING},
    {AT(interpolation_type), .type = STRING},
    {AT(final_sigmas_type), .type = STRING},
    {AT(steps_offset), .type = INTEGER, .min = 0, .max = 100000},
    {AT(original_inference_steps), .type = INTEGER, .min = 1, .max = 100000},
    {AT(use_karras_sigmas), .type = BOOLEAN},
    {AT(use_exponential_sigmas), .type = BOOLEAN},
    {AT(use_beta_sigmas), .type = BOOLEAN},
    {AT(use_lu_lambdas), .type = BOOLEAN},
    {AT(sigma_min), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(sigma_max), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(sigma_data), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(rho), .type = NUMBER, .min = 1e-3, .max = 1e3},
    {AT(sigma_schedule), .type = STRING},
    {AT(lambda_min_clipped), .type = NUMBER, .min = -INFINITY, .max = 1e6},
    {AT(timestep_scaling), .type = NUMBER, .min = 1e-6, .max = 1e6},
    {AT(skip_prk_steps), .type = BOOLEAN},
    {AT(lower_order_final), .type = BOOLEAN},
    {AT(euler_at_final), .type = BOOLEAN},
    {AT(predict_x0), .type = BOOLEAN},
    {AT(solver_order), .type = INTEGER, .min = 1, .max = 3},
    {AT(algorithm_type), .type = STRING},
    {AT(solver_type), .type = STRING},
    {AT(variance_type), .type = STRING},
    {AT(disable_corrector), .type = INTEGERS, .min = 0, .max = 100000},
    {AT(eta), .type = NUMBER, .min = 0, .max = 1, .step = true},
    {AT(s_churn), .type = NUMBER, .min = 0, .max = 1e6, .step = true},
    {AT(s_tmin), .type = NUMBER, .min = 0, .max = INFINITY, .step = true},
    {AT(s_tmax), .type = NUMBER, .min = 0, .max = INFINITY, .step = true},
    {AT(s_noise), .type = NUMBER, .min = 0, .max = 1e6, .step = true},
    {AT(use_clipped_model_output), .type = BOOLEAN, .step = true},
    {"use_flow_sigmas", .type = REFUSED, .classes = MULTISTEP},
    {"use_dynamic_shifting", .type = REFUSED, .classes = MULTISTEP},
    {"shift_terminal", .type = REFUSED, .classes = "UniPCMultistepScheduler"},
    {"solver_p", .type = REFUSED, .classes = "UniPCMultistepScheduler"},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };
static_assert(N_FIELDS <= 64, "sched_config keeps one bit for each field");

static int field_find(const char *key, size_t length) {
    for (int i = 0; i < N_FIELDS; i++)
        if (strlen(fields[i].key) == length && !memcmp(fields[i].key, key, length)) return i;
    return -1;
}

static int field_index(const char *key) {
    int i = field_find(key, strlen(key));
    assert(i >= 0);
    return i;
}

static uint64_t field_bit(const char *key) {
    return (uint64_t)1 << field_index(key);
}

static void *field_at(struct sched_config *c, int i) {
    return (char *)c + fields[i].offset;
}

static bool is_one_of(const char *value, const char *choices) {
    size_t length = strlen(value);
    for (const char *at = choices;; at++) {
        size_t n = strcspn(at, "|");
        if (n == length && !memcmp(at, value, n)) return true;
        at += n;
        if (!*at) return false;
    }
}

/* What the class says of the option "key" or "key=value": "default|…", or NULL. */
static const char *class_option(const struct scheduler *s, const char *key) {
    size_t length = strcspn(key, "=");
    for (const char *const *o = s->options; *o; o++)
        if (!strncmp(*o, key, length) && (*o)[length] == '=') return *o + length + 1;
    return NULL;
}

/* ---- values from text -------------------------------------------------------------------------------------------- */

static bool parse_bool(const char *text, bool *value) {
    if (!strcasecmp(text, "true") || !strcmp(text, "1")) return *value = true, true;
    if (!strcasecmp(text, "false") || !strcmp(text, "0")) return *value = false, true;
    return false;
}

static bool parse_number(const char *text, double *value) {
    if (!strcasecmp(text, "inf")) return *value = INFINITY, true;
    if (!strcasecmp(text, "-inf")) return *value = -INFINITY, true;
    return parse_double(text, value);
}

/* Stores `text` in field i; NULL, or what was expected. "none" clears what has no default of its own. */
static const char *set_text(struct arena *a, struct sched_config *c, int i, const char *text) {
    const struct field *f = &fields[i];
    int64_t integer;
    double number;
    switch (f->type) {
    case INTEGER:
        if (!parse_i64(text, &integer) || integer < f->min || integer > f->max)
            return arena_printf(a, "an integer from %.0f to %.0f", f->min, f->max);
        *(int *)field_at(c, i) = (int)integer;
        return NULL;
    case NUMBER:
        if (!strcasecmp(text, "none")) return *(double *)field_at(c, i) = 0, NULL;
        if (!parse_number(text, &number) || !(number >= f->min && number <= f->max))
            return arena_printf(a, "a number from %g to %g", f->min, f->max);
        *(double *)field_at(c, i) = number;
        return NULL;
    case BOOLEAN: return parse_bool(text, field_at(c, i)) ? NULL : "true or false";
    case STRING: *(const char **)field_at(c, i) = text; return NULL;
    default: return strcmp(text, "none") ? "a list, which only the checkpoint's JSON can give" : NULL;
    }
}

static void set_default(struct arena *a, struct sched_config *c, int i, const char *option) {
    size_t length = strcspn(option, "|");
    const char *wrong = set_text(a, c, i, arena_printf(a, "%.*s", (int)length, option));
    assert(!wrong);
    (void)wrong;
}

/* ---- values from the JSON ---------------------------------------------------------------------------------------- */

static void read_trained_betas(struct arena *a, struct sched_config *c, const struct json *o) {
    int n = c->num_train_timesteps;
    double *betas = arena_array(a, (size_t)n, sizeof *betas);
    int found = json_number_array(o, "trained_betas", betas, n);
    if (found != n) die(FAIL_DATA, "%s: field 'trained_betas': expected num_train_timesteps = %d numbers, found %d", c->path, n, found);
    for (int i = 0; i < n; i++)
        if (!(betas[i] > 0 && betas[i] < 1))
            die(FAIL_DATA, "%s: field 'trained_betas': expected numbers between 0 and 1, found %g", c->path, betas[i]);
    c->trained_betas = betas;
}

static void read_disable_corrector(struct arena *a, struct sched_config *c, const struct json *o) {
    int64_t *steps = arena_array(a, DISABLE_CORRECTOR_MAX, sizeof *steps);
    c->n_disable_corrector = json_int_array(o, "disable_corrector", steps, DISABLE_CORRECTOR_MAX, 0, 100000, false);
    c->disable_corrector = steps;
}

static void read_field(struct arena *a, struct sched_config *c, const struct json *o, int i) {
    const struct field *f = &fields[i];
    switch (f->type) {
    case INTEGER: *(int *)field_at(c, i) = (int)json_int(o, f->key, 0, (int64_t)f->min, (int64_t)f->max); break;
    case NUMBER: *(double *)field_at(c, i) = json_number(o, f->key, 0, f->min, f->max); break;
    case BOOLEAN: *(bool *)field_at(c, i) = json_bool(o, f->key, false); break;
    case STRING: *(const char **)field_at(c, i) = arena_strdup(a, json_string(o, f->key, "")); break;
    case NUMBERS: read_trained_betas(a, c, o); break;
    case INTEGERS: read_disable_corrector(a, c, o); break;
    case REFUSED: die(FAIL_UNSUPPORTED, "%s: field '%s': set for models of another family, which are not supported", c->path, f->key);
    }
    c->inherited |= (uint64_t)1 << i;
}

/* A value that leaves a REFUSED field off. */
static bool is_off(const struct json *o, const char *key) {
    return json_is_null(o, key) || !json_bool(o, key, false);
}

static uint64_t always_read(void) {
    return field_bit("sigma_min") | field_bit("sigma_max");
}

/* Whether class s, once built, has field i: diffusers looks sigma_min and sigma_max up in the config whether or not it does. */
static bool has_field(const struct scheduler *s, int i) {
    if (fields[i].type == REFUSED) return is_one_of(s->class_name, fields[i].classes);
    return class_option(s, fields[i].key) || (((uint64_t)1 << i) & always_read());
}

/* trained_betas take the place of a beta_schedule, whatever that says. */
static bool is_replaced(const struct json *o, const char *key) {
    return !strncmp(key, "beta_", 5) && !json_is_null(o, "trained_betas");
}

/* The keys of the JSON, whatever its class, that reach class s: keys a class does not have are kept by diffusers and come
 * back in a swap. What s does not have is not looked at, but for solver names, which a class on the way may replace.
 * null counts as absent: for all such keys it means the default. */
static struct sched_config read_json(struct arena *a, const struct json *o, const char *path, const struct scheduler *s) {
    struct sched_config c = {.path = path, .num_train_timesteps = 1000};
    const char *skip[64]; /* keys a saved _use_default_values declares absent */
    int n_skip = json_has(o, "_use_default_values") ? json_string_array(o, "_use_default_values", skip, 64) : 0;
    for (int i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        bool absent = f->step || json_is_null(o, f->key) || (f->type == REFUSED && is_off(o, f->key)) || is_replaced(o, f->key);
        for (int k = 0; k < n_skip; k++) absent |= skip[k] && !strcmp(skip[k], f->key);
        if (!absent && (has_field(s, i) || f->type == STRING)) read_field(a, &c, o, i);
    }
    return c;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

/* Constructors accept each other's solver names and put their own in place. */
static void rename_solver(const struct scheduler *s, struct sched_config *c) {
    const char *solver = class_option(s, "solver_type"), *algorithm = class_option(s, "algorithm_type");
    if (solver && c->solver_type && !is_one_of(c->solver_type, solver) && is_one_of(c->solver_type, "midpoint|heun|logrho|bh1|bh2"))
        c->solver_type = is_one_of("bh2", solver) ? "bh2" : is_one_of("midpoint", solver) ? "midpoint" : "logrho";
    if (!algorithm || !c->algorithm_type || is_one_of(c->algorithm_type, algorithm)) return;
    bool takes_deis = is_one_of("deis", algorithm);
    if (takes_deis && is_one_of(c->algorithm_type, "dpmsolver|dpmsolver++")) c->algorithm_type = "deis";
    bool zero = c->final_sigmas_type && !strcmp(c->final_sigmas_type, "zero"); /* refused before the name is replaced */
    if (!takes_deis && !zero && !strcmp(c->algorithm_type, "deis")) c->algorithm_type = "dpmsolver++";
}

/* The config of class s built from `given`: its own defaults, and what was inherited. */
static struct sched_config build(struct arena *a, const struct scheduler *s, const struct sched_config *given) {
    struct sched_config c = {.path = given->path, .scheduler = s, .overridden = given->overridden};
    for (int i = 0; i < N_FIELDS; i++) {
        if (fields[i].type == REFUSED) continue;
        const char *option = class_option(s, fields[i].key);
        uint64_t bit = (uint64_t)1 << i;
        if (option) set_default(a, &c, i, option);
        if (!(given->inherited & bit) || !has_field(s, i)) continue;
        memcpy(field_at(&c, i), (const char *)given + fields[i].offset, field_size[fields[i].type]);
        c.inherited |= bit;
    }
    c.n_disable_corrector = c.disable_corrector ? given->n_disable_corrector : 0;
    rename_solver(s, &c);
    return c;
}

/* A pipeline's constructor. It changes values only, also those of keys that were absent: a swap then loses them. */
static void fix_up(struct sched_config *c, bool has_offset, bool has_clip, bool has_skip, enum sched_fixup fixup) {
    if (has_offset && fixup != FIXUP_NONE) c->steps_offset = 1;
    if (has_clip && fixup == FIXUP_STABLE_DIFFUSION) c->clip_sample = false;
    if (has_skip && fixup == FIXUP_INPAINT) c->skip_prk_steps = true;
}

/* What pipe.scheduler.config hands on to another class: the loaded class's view of the keys that were in the JSON. */
static void pass_on(struct sched_config *given, const struct scheduler *own, enum sched_fixup fixup) {
    uint64_t has = given->inherited;
    if (own) rename_solver(own, given);
    fix_up(given, has & field_bit("steps_offset"), has & field_bit("clip_sample"), has & field_bit("skip_prk_steps"), fixup);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void check_choice(const struct sched_config *c, int i) {
    const char *option = fields[i].type == STRING ? class_option(c->scheduler, fields[i].key) : NULL;
    if (!option) return;
    const char *value = *(const char **)field_at((struct sched_config *)c, i);
    if (is_one_of(value, option)) return;
    bool user = c->overridden >> i & 1;
    die(user ? FAIL_USAGE : FAIL_UNSUPPORTED, "%s: %s: field '%s': expected %s, found '%s'", user ? "--scheduler" : c->path,
        c->scheduler->class_name, fields[i].key, option, value);
}

static void check(const struct sched_config *c) {
    for (int i = 0; i < N_FIELDS; i++) check_choice(c, i);
    bool user = c->overridden & (field_bit("beta_start") | field_bit("beta_end"));
    if (!c->trained_betas && c->beta_start > c->beta_end)
        die(user ? FAIL_USAGE : FAIL_DATA, "%s: field 'beta_start': expected at most beta_end = %g, found %g",
            user ? "--scheduler" : c->path, c->beta_end, c->beta_start);
    if (c->use_karras_sigmas + c->use_exponential_sigmas + c->use_beta_sigmas > 1)
        die(FAIL_UNSUPPORTED, "%s: %s: at most one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas can be set", c->path,
            c->scheduler->class_name);
}

/* ---- overrides --------------------------------------------------------------------------------------------------- */

static const char *suggest_option(struct arena *a, const struct scheduler *s, const char *key) {
    const char *keys[N_FIELDS + 1] = {0};
    int n = 0;
    for (const char *const *o = s->options; *o; o++) keys[n++] = arena_printf(a, "%.*s", (int)strcspn(*o, "="), *o);
    return suggest(key, keys);
}

static _Noreturn void fail_key(struct arena *a, const struct scheduler *s, const char *key) {
    const char *near = suggest_option(a, s, key);
    if (near) die(FAIL_USAGE, "--scheduler: %s has no option '%s'; did you mean '%s'?", s->class_name, key, near);
    die_hint(FAIL_USAGE, arena_printf(a, "diffuse --list schedulers=%s", s->names[0]), "--scheduler: %s has no option '%s'", s->class_name,
             key);
}

static const char *expand_shorthand(const char *text) {
    static const char *const table[][2] = {{"karras", "use_karras_sigmas=true"},
                                           {"exponential", "use_exponential_sigmas=true"},
                                           {"beta", "use_beta_sigmas=true"},
                                           {"lu", "use_lu_lambdas=true"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcasecmp(text, table[i][0])) return table[i][1];
    return text;
}

static void override(struct arena *a, struct sched_config *c, const char *given) {
    const char *text = expand_shorthand(given), *equals = strchr(text, '=');
    if (!equals) die(FAIL_USAGE, "--scheduler: expected key=value, found '%s'", text);
    const char *key = arena_printf(a, "%.*s", (int)(equals - text), text);
    int i = field_find(key, strlen(key));
    if (i < 0 || fields[i].type == REFUSED || !class_option(c->scheduler, key)) fail_key(a, c->scheduler, key);
    const char *expected = set_text(a, c, i, arena_strdup(a, equals + 1));
    if (expected) die(FAIL_USAGE, "--scheduler: %s: expected %s, found '%s'", key, expected, equals + 1);
    c->overridden |= (uint64_t)1 << i;
}

/* ---- exported ---------------------------------------------------------------------------------------------------- */

struct sched_config *sched_config_load(struct arena *a, const struct json *stored, const char *path, const char *class_name,
                                       const struct scheduler *target, enum sched_fixup fixup, const char *const *overrides,
                                       const struct scheduler **scheduler) {
    if (!class_name) class_name = json_string(stored, "_class_name", NULL);
    const struct scheduler *own = scheduler_of_class(class_name, path, target != NULL);
    struct sched_config given = read_json(a, stored, path, target ? target : own), *c = arena_alloc(a, sizeof *c);
    if (target) {
        pass_on(&given, own, fixup);
        *c = build(a, target, &given);
    } else {
        *c = build(a, own, &given);
        fix_up(c, class_option(own, "steps_offset"), class_option(own, "clip_sample"), class_option(own, "skip_prk_steps"), fixup);
    }
    for (; overrides && *overrides; overrides++) override(a, c, *overrides);
    rename_solver(c->scheduler, c);
    check(c);
    *scheduler = c->scheduler;
    return c;
}

bool scheduler_has_option(struct arena *a, const char *text, const char *option) {
    const struct scheduler *s = scheduler_find(arena_printf(a, "%.*s", (int)strcspn(text, ",:"), text));
    return s && class_option(s, expand_shorthand(option));
}

void sched_config_set_eta(struct sched_config *config, double eta) {
    if (class_option(config->scheduler, "eta") && !(config->overridden & field_bit("eta"))) config->eta = eta;
}

bool sched_config_set_strength(struct sched_config *config, double strength) {
    if (!class_option(config->scheduler, "original_inference_steps")) return false;
    config->strength = strength;
    return true;
}

int sched_config_train_timesteps(const struct sched_config *config) {
    return config->num_train_timesteps;
}

const char *sched_config_prediction_type(const struct sched_config *config) {
    return config->prediction_type;
}

const char *sched_config_origin(const struct sched_config *config, const char *key) {
    int i = field_find(key, strlen(key));
    if (i < 0 || !class_option(config->scheduler, key)) return NULL;
    return config->overridden >> i & 1 ? "option" : config->inherited >> i & 1 ? "inherited" : "default";
}
