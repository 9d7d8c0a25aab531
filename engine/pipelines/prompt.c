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

struct prompt prompt_read(struct arena *a, const struct model *m, const char *what, const char *text, int clip_skip, bool strict) {
    text = clip_bpe_convert(a, m->tokenizer, text);
    struct prompt p = {.text = text, .ids = arena_array(a, (size_t)m->n_tokens, sizeof *p.ids), .clip_skip = clip_skip};
    size_t cut_at = 0;
    int n_cut = clip_bpe_encode(a, m->tokenizer, text, p.ids, m->n_tokens, &cut_at);
    report_truncated(what, text, n_cut, cut_at, strict);
    return p;
}

static struct encoded *find(struct prompt_cache *cache, const struct prompt *p) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        struct encoded *e = &cache->encoded[i];
        if (!e->text || e->clip_skip != p->clip_skip || strcmp(e->text, p->text)) continue;
        e->used = ++cache->now;
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

void prompt_encode(struct model *m, const struct prompt *p, struct view y) {
    struct device *dev = m->device;
    const struct encoded *known = dev->planning ? NULL : find(&m->prompts, p);
    if (known) {
        dev->ops->upload(dev, y, known->values);
        return;
    }
    m->prompts.n_encoded += !dev->planning;
    clip_text_forward(dev, m->text, y, p->ids, p->clip_skip);
}

/* The type's own values go through f32 and back unchanged. */
void prompt_remember(struct model *m, const struct prompt *p, struct view y) {
    struct prompt_cache *cache = &m->prompts;
    if (find(cache, p)) return;
    struct encoded *e = oldest(cache);
    arena_free(&e->arena);
    e->text = NULL;
    e->used = ++cache->now;
    e->values = arena_array(&e->arena, view_rows(y) * (size_t)y.C, sizeof *e->values);
    m->device->ops->download(m->device, e->values, y);
    e->clip_skip = p->clip_skip;
    e->text = arena_strdup(&e->arena, p->text);
}

void prompt_cache_free(struct prompt_cache *cache) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        arena_free(&cache->encoded[i].arena);
        cache->encoded[i].text = NULL;
        cache->encoded[i].used = 0;
    }
}
