#include "engine/pipelines/prompt.h"

#include <string.h>
#include "engine/base/error.h"
#include "engine/ops.h"
#include "engine/pipelines/model.h"

int prompt_limit(const struct clip_bpe *tokenizer, int max_positions) {
    int limit = clip_bpe_max_length(tokenizer);
    return limit > 0 && limit < max_positions ? limit : max_positions;
}

static void report_truncated(const char *what, const char *text, int n_cut, size_t cut_at, bool strict) {
    if (n_cut <= 0) return;
    if (strict) die(FAIL_USAGE, "%s: %d token%s beyond the model's limit: \"%s\"", what, n_cut, n_cut > 1 ? "s" : "", text + cut_at);
    warn("%s: %d token%s beyond the model's limit ignored: \"%s\"", what, n_cut, n_cut > 1 ? "s" : "", text + cut_at);
}

struct prompt prompt_read(struct arena *a, const struct model *m, const char *what, const char *text, const char *text2, int clip_skip,
                          bool strict) {
    struct prompt p = {.clip_skip = clip_skip};
    for (int i = 0; i < m->n_texts; i++) {
        const char *given = clip_bpe_convert(a, m->texts[i].tokenizer, i ? text2 : text);
        size_t cut_at = 0;
        p.texts[i] = given;
        p.ids[i] = arena_array(a, (size_t)m->n_tokens, sizeof *p.ids[i]);
        int n_cut = clip_bpe_encode(a, m->texts[i].tokenizer, given, p.ids[i], m->n_tokens, &cut_at);
        if (i == 0 || strcmp(given, p.texts[0]) != 0) report_truncated(what, given, n_cut, cut_at, strict);
    }
    return p;
}

static bool same_texts(const struct model *m, const char *const a[], const char *const b[]) {
    for (int i = 0; i < m->n_texts; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static struct encoded *find(struct model *m, const struct prompt *p) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        struct encoded *e = &m->prompts.encoded[i];
        if (!e->texts[0] || e->clip_skip != p->clip_skip || !same_texts(m, e->texts, p->texts)) continue;
        e->used = ++m->prompts.now;
        return e;
    }
    return NULL;
}

static struct encoded *oldest(struct prompt_cache *cache) {
    struct encoded *found = &cache->encoded[0];
    for (int i = 1; i < PROMPTS_KEPT; i++)
        if (cache->encoded[i].used < found->used) found = &cache->encoded[i];
    return found;
}

static void upload_zeros(struct device *dev, struct view y) {
    struct arena a = {0};
    dev->ops->upload(dev, y, arena_array(&a, view_rows(y) * (size_t)y.C, sizeof(float)));
    arena_free(&a);
}

/* SDXL's: nothing normed, the last encoder pools. */
static void encode_states(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    for (int i = 0, at = 0; i < m->n_texts; at += m->texts[i++].net->layers.hidden_size) {
        const struct clip_text *net = m->texts[i].net;
        bool last = i == m->n_texts - 1;
        clip_text_states(m->device, net, view_slice(y, at, net->layers.hidden_size), last ? pooled : no_view, p->ids[i], p->clip_skip + 1);
    }
}

void prompt_encode(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    struct device *dev = m->device;
    if (!p->ids[0]) {
        upload_zeros(dev, y);
        upload_zeros(dev, pooled);
        return;
    }
    const struct encoded *known = dev->planning ? NULL : find(m, p);
    if (known) {
        dev->ops->upload(dev, y, known->values);
        if (pooled.p) dev->ops->upload(dev, pooled, known->pooled);
        return;
    }
    m->prompts.n_encoded += !dev->planning;
    if (m->class->penultimate) encode_states(m, p, y, pooled);
    else clip_text_forward(dev, m->texts[0].net, y, p->ids[0], p->clip_skip);
}

static float *download(struct device *dev, struct arena *a, struct view x) {
    float *values = arena_array(a, view_rows(x) * (size_t)x.C, sizeof *values);
    dev->ops->download(dev, values, x);
    return values;
}

/* The type's own values go through f32 and back unchanged. */
void prompt_remember(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    struct prompt_cache *cache = &m->prompts;
    if (!p->ids[0] || find(m, p)) return;
    struct encoded *e = oldest(cache);
    arena_free(&e->arena);
    e->texts[0] = NULL;
    e->used = ++cache->now;
    e->values = download(m->device, &e->arena, y);
    if (pooled.p) e->pooled = download(m->device, &e->arena, pooled);
    e->clip_skip = p->clip_skip;
    for (int i = m->n_texts - 1; i >= 0; i--) e->texts[i] = arena_strdup(&e->arena, p->texts[i]);
}

void prompt_cache_free(struct prompt_cache *cache) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        arena_free(&cache->encoded[i].arena);
        cache->encoded[i].texts[0] = NULL;
        cache->encoded[i].used = 0;
    }
}
