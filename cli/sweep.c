#include "cli/sweep.h"

#include <string.h>
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "engine/base/text.h"

enum { ID_PART_MAX = 40, ID_MAX = 190 };

/* ---- an axis ----------------------------------------------------------------------------------------------------- */

static const char **names_of_settings(struct arena *a) {
    const char **names = arena_array(a, (size_t)n_settings_fields + 1, sizeof *names);
    for (int i = 0; i < n_settings_fields; i++) names[i] = settings_fields[i].name;
    return names;
}

static const struct field *find_axis(struct arena *a, const char *option, const char *name) {
    const struct field *f = field_known(settings_fields, n_settings_fields, name);
    bool of_picture = f && !f->of_model && (f->group == GROUP_PICTURE || f->group == GROUP_MODEL);
    if (of_picture && strcmp(f->name, "count")) return f;
    if (f) die(FAIL_USAGE, "%s: expected a setting of one picture, found '%s'", option, name);
    const char *near = suggest(name, names_of_settings(a));
    if (near) die_hint(FAIL_USAGE, arena_printf(a, "did you mean '%s'?", near), "%s: unknown setting '%s'", option, name);
    die(FAIL_USAGE, "%s: unknown setting '%s'", option, name);
}

/* The text up to a comma that no backslash precedes; *text moves behind it, to NULL at the end. */
static const char *next_value(struct arena *a, const char **text) {
    struct buffer b = {.arena = a};
    const char *s = *text;
    buffer_add(&b, "", 0);
    for (; *s && *s != ','; s++) {
        if (s[0] == '\\' && s[1] == ',') s++;
        buffer_add(&b, s, 1);
    }
    *text = *s ? s + 1 : NULL;
    return b.data;
}

/* "true" and "false" are a flag's values. */
static void check_value(struct arena *a, const char *option, const struct field *f, const char *value) {
    struct settings *scratch = arena_alloc(a, sizeof *scratch);
    const char *name = arena_printf(a, "%s %s", option, f->name);
    bool flag = f->kind->json == JSON_FLAG;
    size_t bad;
    if (flag && strcmp(value, "true") && strcmp(value, "false")) die(FAIL_USAGE, "%s: expected true or false, found '%s'", name, value);
    if (!utf8_valid(value, strlen(value), &bad)) die(FAIL_USAGE, "%s: expected UTF-8, found an invalid byte at offset %zu", name, bad);
    *scratch = settings_defaults(a);
    f->kind->set(&(struct given){.arena = a, .base = scratch, .field = f, .name = name, .value = flag ? NULL : value});
}

/* -1 is another seed each time. */
static void check_once(const char *option, const struct sweep_axis *axis) {
    const char *value = axis->values[axis->n];
    for (int i = 0; i < axis->n && strcmp(value, "-1"); i++)
        if (!strcmp(axis->values[i], value)) die(FAIL_USAGE, "%s %s: '%s' is given twice, expected once", option, axis->field->name, value);
}

void sweep_add(struct arena *a, struct sweep *s, const char *name, const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) die(FAIL_USAGE, "%s: expected NAME=VALUE,VALUE…, found '%s'", name, text);
    const struct field *f = find_axis(a, name, arena_printf(a, "%.*s", (int)(equals - text), text));
    if (sweep_has(s, f->name)) die(FAIL_USAGE, "%s: '%s' is given twice, expected once", name, f->name);
    if (s->n_axes == SWEEP_AXES_MAX) die(FAIL_USAGE, "%s: expected at most %d settings, found more", name, SWEEP_AXES_MAX);
    struct sweep_axis *axis = &s->axes[s->n_axes];
    *axis = (struct sweep_axis){.field = f, .values = arena_array(a, SWEEP_VALUES_MAX, sizeof *axis->values)};
    for (const char *rest = equals + 1; rest; axis->n++) {
        if (axis->n == SWEEP_VALUES_MAX) die(FAIL_USAGE, "%s: expected at most %d values, found more", name, SWEEP_VALUES_MAX);
        axis->values[axis->n] = next_value(a, &rest);
        check_value(a, name, f, axis->values[axis->n]);
        check_once(name, axis);
    }
    int64_t n_jobs = (int64_t)(s->n_axes ? s->n_jobs : 1) * axis->n;
    if (n_jobs > SWEEP_JOBS_MAX) die(FAIL_USAGE, "%s: %lld pictures, expected at most %d", name, (long long)n_jobs, SWEEP_JOBS_MAX);
    s->n_jobs = (int)n_jobs;
    s->n_axes++;
}

bool sweep_has(const struct sweep *s, const char *field) {
    for (int i = 0; i < s->n_axes; i++)
        if (!strcmp(s->axes[i].field->name, field)) return true;
    return false;
}

int sweep_value(const struct sweep *s, int axis, int i) {
    for (int k = s->n_axes - 1; k > axis; k--) i /= s->axes[k].n;
    return i % s->axes[axis].n;
}

const char *sweep_label(struct arena *a, const struct sweep_axis *axis, int value) {
    if (!strcmp(axis->field->name, "prompt")) return axis->values[value];
    return arena_printf(a, "%s=%s", axis->field->name, axis->values[value]);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* The value as a part of a file's name; false where nothing is left of it. */
static bool plain(char out[ID_PART_MAX + 1], const char *value) {
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t n = strlen(value);
    if (!n || n > ID_PART_MAX) return false;
    for (size_t i = 0; i <= n; i++) out[i] = strchr(legal, value[i]) ? value[i] : '_';
    return true;
}

/* The same, or the value's place among the axis's where another looks like it. */
static const char *part_of(struct arena *a, const struct sweep_axis *axis, int v) {
    char own[ID_PART_MAX + 1], other[ID_PART_MAX + 1];
    bool alone = plain(own, axis->values[v]);
    for (int i = 0; alone && i < axis->n; i++) alone = i == v || !plain(other, axis->values[i]) || strcmp(own, other);
    return alone ? arena_strdup(a, own) : arena_printf(a, "no%d", v + 1);
}

/* "steps-10_scheduler-ddim" */
static const char *id_of(struct arena *a, const struct sweep *s, int i) {
    struct buffer b = {.arena = a};
    for (int k = 0; k < s->n_axes; k++)
        buffer_printf(&b, "%s%s-%s", k ? "_" : "", s->axes[k].field->name, part_of(a, &s->axes[k], sweep_value(s, k, i)));
    return b.length <= ID_MAX ? b.data : arena_printf(a, "%08d", i + 1);
}

void sweep_lines(struct arena *a, const struct sweep *s, struct lines *l) {
    struct json_out j = {.text.arena = a};
    for (int i = 0; i < s->n_jobs; i++) {
        j.comma = false;
        json_out_open(&j, NULL, '{');
        json_out_string(&j, "id", id_of(a, s, i));
        for (int k = 0; k < s->n_axes; k++) {
            const struct field *f = s->axes[k].field;
            const char *value = s->axes[k].values[sweep_value(s, k, i)];
            if (f->kind->json == JSON_FLAG) json_out_bool(&j, f->name, !strcmp(value, "true"));
            else json_out_string(&j, f->name, value);
        }
        json_out_close(&j, '{');
        buffer_add(&j.text, "\n", 1);
    }
    lines_of_text(a, l, "--sweep", j.text.data, j.text.length);
}
