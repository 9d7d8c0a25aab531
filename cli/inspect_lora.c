#include "cli/inspect_lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json_out.h"
#include "cli/result.h"
#include "engine/base/json.h"
#include "engine/base/text.h"

enum { TAGS_SHOWN = 10, TAGS_MAX = 4096, TAG_BYTES_MAX = 256 };

struct about {
    int n_unet, n_text, n_other; /* modules; other: tensors that are no module's */
    int rank_min, rank_max;
    double alpha_min, alpha_max; /* NAN: none is given */
    const char *base, *title, *trigger, *tags;
};

/* ---- what its maker wrote ---------------------------------------------------------------------------------------- */

struct tag {
    const char *text;
    uint64_t n;
};

static int compare_tags(const void *a, const void *b) {
    const struct tag *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->text, y->text);
}

/* The captions' most frequent tags of {"FOLDER": {"tag": n, …}, …}, as "one, two"; NULL where there are none or the text is not that. */
static const char *frequent_tags(struct arena *a, const char *text) {
    char string[TAG_BYTES_MAX + 1];
    struct tag *tags = arena_array(a, TAGS_MAX, sizeof *tags);
    struct json_scan s;
    int n = 0, depth = 0;
    bool is_value = false;
    json_scan_begin(&s, text, strlen(text), string, TAG_BYTES_MAX);
    for (enum json_token token; (token = json_scan_next(&s)) != JSON_END;) {
        if (token == JSON_ERROR) return NULL;
        depth += token == JSON_OBJECT;
        depth -= token == JSON_OBJECT_END;
        if (is_value && token == JSON_NUMBER && json_scan_u64(&s, &tags[n].n)) n++;
        is_value = token == JSON_KEY && depth == 2 && n < TAGS_MAX;
        if (is_value) tags[n].text = arena_strdup(a, string);
    }
    qsort(tags, (size_t)n, sizeof *tags, compare_tags);
    const char *list = NULL;
    for (int i = 0; i < n && i < TAGS_SHOWN; i++) list = arena_printf(a, "%s%s%s", i ? list : "", i ? ", " : "", tags[i].text);
    return list;
}

static const char *first_of(struct arena *a, const struct st_file *f, const char *const *keys) {
    for (; *keys; keys++) {
        const char *text = st_metadata(a, f, *keys);
        if (text && *text) return text;
    }
    return NULL;
}

/* ---- what its tensors say ---------------------------------------------------------------------------------------- */

/* By the width of the context that its UNet's attention reads. */
static const char *base_of(const struct lora *l) {
    for (int i = 0; i < l->n; i++) {
        const struct lora_module *m = &l->modules[i];
        const char *end = strstr(m->key, "attn2_to_k");
        const struct tensor *down = m->delta.kind == DELTA_KRONECKER ? NULL : m->delta.b;
        if (strncmp(m->key, "unet/", 5) || !end || !down || down->rank < 2) continue;
        int64_t width = down->shape[1];
        return width == 768 ? "SD 1.x" : width == 1024 ? "SD 2.x" : width == 2048 ? "SDXL" : width == 1280 ? "SDXL refiner" : NULL;
    }
    return NULL;
}

static struct about about_of(struct arena *a, const struct lora *l) {
    static const char *const titles[] = {"modelspec.title", "ss_output_name", NULL}, *const triggers[] = {"modelspec.trigger_phrase", NULL},
                             *const bases[] = {"ss_base_model_version", "modelspec.architecture", NULL},
                             *const tags[] = {"ss_tag_frequency", NULL};
    struct about x = {.alpha_min = NAN, .alpha_max = NAN, .base = base_of(l)};
    for (int i = 0; i < l->n; i++) {
        const struct lora_module *m = &l->modules[i];
        if (!m->delta.a) {
            x.n_other++;
            continue;
        }
        x.n_unet += !strncmp(m->key, "unet/", 5);
        x.n_text += strncmp(m->key, "unet/", 5) != 0;
        if (!x.rank_min || m->rank < x.rank_min) x.rank_min = m->rank;
        if (m->rank > x.rank_max) x.rank_max = m->rank;
        x.alpha_min = fmin(x.alpha_min, m->alpha);
        x.alpha_max = fmax(x.alpha_max, m->alpha);
    }
    if (!x.base) x.base = first_of(a, l->file, bases);
    x.title = first_of(a, l->file, titles);
    x.trigger = first_of(a, l->file, triggers);
    const char *text = first_of(a, l->file, tags);
    if (text) x.tags = frequent_tags(a, text);
    return x;
}

/* ---- both ways to say it ----------------------------------------------------------------------------------------- */

static void add_line(struct buffer *b, const char *what, const char *text) {
    if (!text) return;
    size_t n = strlen(text), room = 4 * n + 1;
    char *safe = arena_alloc(b->arena, room);
    escape_text(safe, room, text, n);
    buffer_printf(b, "%-14s %s\n", what, safe);
}

static void add_range(struct buffer *b, const char *what, double min, double max) {
    if (isnan(min)) buffer_printf(b, "%-14s none given\n", what);
    else if (min == max) buffer_printf(b, "%-14s %g\n", what, min);
    else buffer_printf(b, "%-14s %g to %g\n", what, min, max);
}

static void print_text(struct buffer *b, const struct lora *l, const struct about *x) {
    add_line(b, "LoRA", l->path);
    add_line(b, "format", l->has_dora ? arena_printf(b->arena, "%s, DoRA", l->format) : l->format);
    add_line(b, "title", x->title);
    buffer_printf(b, "%-14s %d: %d of the UNet, %d of text encoders\n", "modules", x->n_unet + x->n_text, x->n_unet, x->n_text);
    if (x->n_other) buffer_printf(b, "%-14s %d tensors that are no module's\n", "other", x->n_other);
    add_range(b, "rank", x->rank_min, x->rank_max);
    add_range(b, "alpha", x->alpha_min, x->alpha_max);
    add_line(b, "base", x->base ? x->base : "not known");
    add_line(b, "trigger", x->trigger);
    add_line(b, "tags", x->tags);
}

static void print_json(struct json_out *j, const struct lora *l, const struct about *x) {
    json_out_open(j, NULL, '{');
    json_out_string(j, "lora", l->path);
    json_out_string(j, "format", l->format);
    json_out_bool(j, "dora", l->has_dora);
    json_out_string(j, "title", x->title);
    json_out_u64(j, "unet_modules", (uint64_t)x->n_unet);
    json_out_u64(j, "text_modules", (uint64_t)x->n_text);
    json_out_u64(j, "other_tensors", (uint64_t)x->n_other);
    json_out_u64(j, "rank_min", (uint64_t)x->rank_min);
    json_out_u64(j, "rank_max", (uint64_t)x->rank_max);
    json_out_number(j, "alpha_min", x->alpha_min);
    json_out_number(j, "alpha_max", x->alpha_max);
    json_out_string(j, "base", x->base);
    json_out_string(j, "trigger", x->trigger);
    json_out_string(j, "tags", x->tags);
    json_out_close(j, '{');
}

void inspect_lora(struct arena *a, const struct lora *l, bool json) {
    struct json_out j = {.text = {.arena = a}};
    struct about x = about_of(a, l);
    if (json) {
        print_json(&j, l, &x);
        buffer_add(&j.text, "\n", 1);
    } else {
        print_text(&j.text, l, &x);
    }
    result_write(j.text.data, j.text.length);
}
