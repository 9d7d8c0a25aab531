/* --verify: a picture is drawn again from its own settings and compared with the file, value by value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/find_model.h"
#include "cli/generate.h"
#include "cli/open_device.h"
#include "cli/pictures.h"
#include "cli/recorded.h"
#include "cli/result.h"
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/read.h"
#include "engine/images/write.h"
#include "engine/pipelines/picture.h"

/* The model of the pictures before, which this one may have, too. */
struct resident {
    struct arena arena;
    const char *key; /* what it was opened with; NULL: nothing is open */
    struct model *model;
};

static void leave_model(struct resident *m) {
    if (m->model) model_close(m->model);
    arena_free(&m->arena);
    *m = (struct resident){0};
}

/* All that model_open is told, and the type. */
static const char *key_of(struct arena *a, const struct options *o) {
    const struct settings *s = &o->settings;
    return arena_printf(a, "%s %s %s %s %s %s %d", s->model, s->refiner ? s->refiner : "", s->variant ? s->variant : "",
                        s->config ? s->config : "", s->vae ? s->vae : "", o->dtype, s->no_safety_checker);
}

static struct model *enter_model(struct resident *m, const struct options *o) {
    const char *key = key_of(&m->arena, o);
    if (m->key && !strcmp(m->key, key)) return m->model;
    leave_model(m);
    struct model *model = model_open_both(&m->arena, &o->settings);
    model_hash_weights(model);
    model_start(model, o, &(struct startup){0});
    m->model = model;
    m->key = key_of(&m->arena, o);
    return model;
}

/* What the picture began from is gone. */
static bool began_from_stdin(const struct recorded *r) {
    for (int i = 0; i < r->n_others; i++)
        if (!strcmp(r->others[i].name, "image") && !strcmp(r->others[i].value, "-")) return true;
    return false;
}

/* The options that draw it again: what the command line says of model, device and type, and the picture's settings. */
static struct options again(struct arena *a, const struct options *o, const struct recorded *r) {
    struct options out = *o;
    const char *dtype = recorded_fact(r, "dtype"), *step = recorded_fact(r, "step");
    if (step) die(FAIL_DATA, "%s: saved on the way, after step %s: expected a finished picture", r->file, step);
    if (began_from_stdin(r)) die(FAIL_DATA, "%s: cannot be verified: it began from standard input", r->file);
    recorded_apply(r, &out.settings);
    out.settings.model = find_model(a, o->settings.model, r);
    if (!out.settings.model) die_hint(FAIL_USAGE, "-m DIR, or DIFFUSE_MODEL in the environment", "expected a model, found none");
    if (!strcmp(o->dtype, "auto")) options_take_dtype(&out, dtype);
    return out;
}

/* What image_decode makes of the file that these pixels would be saved as. */
static struct image as_saved(struct arena *a, const struct image *drawn, enum image_format format, const struct recorded *r) {
    const char *recorded = recorded_fact(r, "quality");
    uint64_t quality;
    size_t n;
    if (!recorded || !parse_u64(recorded, &quality) || quality < 1 || quality > 100) quality = QUALITY_DEFAULT;
    const void *file = image_encode(a, format, drawn, (struct image_comments){0}, (int)quality, &n);
    return image_decode(a, file, n, r->file);
}

struct difference {
    int max;          /* levels */
    size_t n, values; /* that differ, of so many */
};

static struct difference compare(const struct image *x, const struct image *y, const char *file) {
    if (x->W != y->W || x->H != y->H) die(FAIL_DATA, "%s: %dx%d pixels, its settings say %dx%d", file, x->W, x->H, y->W, y->H);
    struct difference d = {.values = (size_t)x->W * (size_t)x->H * 3};
    for (size_t i = 0; i < d.values; i++) {
        int levels = abs(x->pixels[i] - y->pixels[i]);
        d.n += levels > 0;
        if (levels > d.max) d.max = levels;
    }
    return d;
}

static const char *verdict(const struct difference *d) {
    return !d->max ? "identical" : d->max == 1 ? "close" : "differs";
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

/* Calls tell for each fact that is another one now; "none": not recorded there. Returns how many. */
static int compare_facts(const struct recorded *then, const struct recorded *now,
                         void (*tell)(struct json_out *, const char *name, const char *then, const char *now), struct json_out *out) {
    int n = 0;
    for (int i = 0; i < now->n_facts; i++) {
        const char *name = now->facts[i].name, *was = recorded_fact(then, name), *is = now->facts[i].value;
        if (!strcmp(name, "quality") || (was && !strcmp(was, is))) continue;
        tell(out, name, was ? was : "none", is);
        n++;
    }
    return n;
}

static void tell_text(struct json_out *out, const char *name, const char *then, const char *now) {
    buffer_printf(&out->text, "; %s %.40s, now %.40s", name, then, now);
}

static void tell_json(struct json_out *out, const char *name, const char *then, const char *now) {
    json_out_open(out, name, '[');
    json_out_string(out, NULL, then);
    json_out_string(out, NULL, now);
    json_out_close(out, '[');
}

static void print_text(struct json_out *out, const struct recorded *then, const struct recorded *now, const struct difference *d) {
    struct buffer *b = &out->text;
    buffer_printf(b, "%s: ", then->file);
    if (!d->max) {
        buffer_printf(b, "bit-identical\n");
        return;
    }
    if (d->max == 1) buffer_printf(b, "within 1 level: %zu of %zu values", d->n, d->values);
    else buffer_printf(b, "differs by up to %d levels in %zu of %zu values", d->max, d->n, d->values);
    if (!compare_facts(then, now, tell_text, out)) buffer_printf(b, "; nothing that is recorded differs");
    buffer_printf(b, "\n");
}

static void print_json(struct json_out *out, const struct recorded *then, const struct recorded *now, const struct difference *d) {
    json_out_open(out, NULL, '{');
    json_out_string(out, "file", then->file);
    json_out_string(out, "verdict", verdict(d));
    json_out_u64(out, "max", (uint64_t)d->max);
    json_out_u64(out, "values", (uint64_t)d->n);
    json_out_u64(out, "of", d->values);
    json_out_open(out, "differs", '{');
    compare_facts(then, now, tell_json, out);
    json_out_close(out, '{');
    json_out_close(out, '{');
    buffer_add(&out->text, "\n", 1);
}

/* What would be recorded today. */
static const struct recorded *facts_now(struct arena *a, const struct request *request) {
    struct metadata m = about_image(request, 0);
    struct image_comment comments[METADATA_COMMENTS_MAX];
    int n = metadata_comments(a, &m, "full", comments);
    return recorded_parse(a, (struct image_comments){comments, n}, "now");
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* True where it is the same, or nearly. */
static bool verify(struct arena *a, struct resident *resident, const struct options *o, const char *path) {
    const char *name;
    size_t n;
    const void *file = image_file_read(a, path, &n, &name);
    const struct recorded *then = recorded_decode(a, file, n, name);
    struct options options = again(a, o, then);
    struct image given = image_decode(a, file, n, name);
    enum image_format format = image_format_in(&(struct image_file){.data = file, .n = n, .name = then->file});
    recorded_warn(then);
    struct model *model = enter_model(resident, &options);
    struct request *request = request_open(a, model, &options.settings);
    request_plan(request);
    check_memory(request, &options);
    model_load(model);
    struct image drawn = image_new(a, request->width, request->height, model->picture_channels);
    picture_draw(picture_open(a, request, 0), drawn.pixels);
    drawn = as_saved(a, &drawn, format, then);
    struct difference d = compare(&given, &drawn, then->file);
    struct json_out out = {.text.arena = a};
    if (d.max) weight_hashes_finish(model->hashes);
    (o->json ? print_json : print_text)(&out, then, facts_now(a, request), &d);
    result_write(out.text.data, out.text.length);
    return d.max <= 1;
}

static bool verify_of_several(struct arena *a, struct resident *resident, const struct options *o, const char *path) {
    struct job job;
    volatile bool same = false;
    if (job_enter(&job)) {
        same = verify(a, resident, o, path);
        job_leave(&job);
        return same;
    }
    char name[ERROR_MAX]; /* said first where the message is of something else: the picture that it begins from, say */
    size_t length = escape_text(name, sizeof name, path, strlen(path));
    bool named = !strcmp(path, "-") || !strncmp(job.message, name, length);
    fprintf(stderr, "diffuse: %s%s%s\n", named ? "" : name, named ? "" : ": ", job.message);
    hint_once(job.hint);
    return false;
}

int pictures_verify(const struct options *o) {
    struct resident resident = {0};
    int n_other = 0;
    device_start(o);
    for (int i = 0; i < o->n_pictures; i++) {
        struct arena a = {0};
        bool one = o->n_pictures == 1;
        n_other += !(one ? verify : verify_of_several)(&a, &resident, o, o->pictures[i]);
        arena_free(&a);
    }
    leave_model(&resident);
    return n_other ? FAIL_ITEMS : 0;
}
