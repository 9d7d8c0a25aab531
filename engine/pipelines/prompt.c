#include "engine/pipelines/prompt.h"

#include <string.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/ops.h"
#include "engine/pipelines/model.h"

int prompt_limit(const struct clip_bpe *tokenizer, int max_positions) {
    int limit = clip_bpe_max_length(tokenizer);
    return limit > 0 && limit < max_positions ? limit : max_positions;
}

static void report_truncated(const char *what, const struct chunks *c, bool strict) {
    if (c->n_cut <= 0) return;
    enum { SHOWN = 64 /* bytes */ };
    const char *plural = c->n_cut > 1 ? "s" : "", *more = strlen(c->cut) > SHOWN ? "…" : "";
    int n = *more ? SHOWN : (int)strlen(c->cut);
    while (n && (c->cut[n] & 0xc0) == 0x80) n--; /* not within a character */
    if (strict)
        die_hint(FAIL_USAGE, "--long-prompts", "%s: %d token%s beyond the model's limit: \"%.*s%s\"", what, c->n_cut, plural, n, c->cut,
                 more);
    warn("%s: %d token%s beyond the model's limit ignored: \"%.*s%s\"", what, c->n_cut, plural, n, c->cut, more);
}

/* ---- as bytes ---------------------------------------------------------------------------------------------------- */

static void add_chunk(struct buffer *b, const struct chunk *c, int length) {
    buffer_add(b, &c->n, sizeof c->n);
    buffer_add(b, &c->keeps_mean, sizeof c->keeps_mean);
    for (const struct term *t = c->terms; t < c->terms + c->n; t++) {
        bool weighted = t->factors;
        buffer_add(b, t->ids, (size_t)length * sizeof *t->ids);
        buffer_add(b, &t->hidden, sizeof t->hidden);
        buffer_add(b, &t->n_hidden, sizeof t->n_hidden);
        buffer_add(b, &weighted, sizeof weighted);
        if (weighted) buffer_add(b, t->factors, (size_t)length * sizeof *t->factors);
    }
}

static void set_key(struct arena *a, const struct model *m, struct prompt *p) {
    struct buffer b = {.arena = a};
    buffer_add(&b, &p->clip_skip, sizeof p->clip_skip);
    buffer_add(&b, p->pooled_ids, (size_t)m->n_tokens * sizeof *p->pooled_ids);
    for (int i = 0; i < m->n_texts; i++)
        for (int k = 0; k < p->n; k++) add_chunk(&b, &p->chunks[i][k], m->n_tokens);
    p->key = (const unsigned char *)b.data;
    p->key_bytes = b.length;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

struct prompt prompt_read(struct arena *a, const struct model *m, const struct clip_bpe *const tokenizers[TEXTS_MAX],
                          const struct settings *settings, const char *what, const char *text, const char *text2, int clip_skip) {
    const struct prompt_syntax *syntax = &prompt_syntaxes[settings->prompt_syntax];
    struct prompt p = {.clip_skip = clip_skip};
    struct chunks c[TEXTS_MAX];
    for (int i = 0; i < m->n_texts; i++) {
        const char *given = i ? text2 : text;
        c[i] = chunks_make(a, tokenizers[i], syntax, what, given, syntax->parse(a, what, given), m->n_tokens, settings->long_prompts);
        if (i == 0 || strcmp(given, text) != 0) report_truncated(what, &c[i], settings->strict);
        if (c[i].n > p.n) p.n = c[i].n;
    }
    for (int i = 0; i < m->n_texts; i++) {
        chunks_fill(a, tokenizers[i], &c[i], p.n, m->n_tokens);
        p.chunks[i] = c[i].items;
        p.pooled_ids = c[i].pooled_ids;
    }
    set_key(a, m, &p);
    return p;
}

void prompt_fill(struct arena *a, const struct model *m, struct prompt *p, int n) {
    for (int i = 0; i < m->n_texts && p->n < n; i++) {
        struct chunks c = {.n = p->n, .items = arena_array(a, (size_t)n, sizeof *c.items)};
        memcpy(c.items, p->chunks[i], (size_t)p->n * sizeof *c.items);
        chunks_fill(a, m->texts[i].tokenizer, &c, n, m->n_tokens);
        p->chunks[i] = c.items;
    }
    if (p->n >= n) return;
    p->n = n;
    set_key(a, m, p);
}

/* ---- remembered -------------------------------------------------------------------------------------------------- */

static struct encoded *find(struct model *m, const struct prompt *p) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        struct encoded *e = &m->prompts.encoded[i];
        if (!e->key || e->key_bytes != p->key_bytes || memcmp(e->key, p->key, p->key_bytes)) continue;
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

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* What the i-th text encoder makes of one term's ids: SDXL's as they are, else normed. y [1,1,T,C]; pooled, or none */
static void encode_term(struct model *m, int i, const struct term *t, int clip_skip, struct view y, struct view pooled) {
    const struct clip_text *net = m->texts[i].net;
    struct clip_hidden hidden = {t->hidden, t->n_hidden};
    if (m->class->penultimate) clip_text_states(m->device, net, y, pooled, t->ids, clip_skip + 1, hidden);
    else clip_text_forward(m->device, net, y, t->ids, clip_skip, hidden);
}

/* sum [T,C] += factors [T] * states */
static void add_term(double *sum, const float *states, const float *factors, int T, int C) {
    for (int t = 0; t < T; t++)
        for (int c = 0; c < C; c++, sum++, states++) *sum += (factors ? factors[t] : 1) * (double)*states;
}

/* What makes the mean of the n values that of the states again; 1 where they have none. */
static double mean_ratio(const double *values, const float *states, size_t n) {
    double before = 0, after = 0;
    for (size_t i = 0; i < n; i++) before += (double)states[i], after += values[i];
    return after != 0 ? before / after : 1;
}

/* Sums are made on the host: once a prompt, of short texts. pooled: of the first term, or none */
static void encode_chunk(struct model *m, int i, const struct chunk *c, int clip_skip, struct view y, struct view pooled) {
    struct device *dev = m->device;
    if (c->n == 1 && !c->terms->factors) {
        encode_term(m, i, c->terms, clip_skip, y, pooled);
        return;
    }
    struct arena own = {0};
    size_t n = view_rows(y) * (size_t)y.C;
    float *states = arena_array(&own, n, sizeof *states);
    double *sum = arena_array(&own, n, sizeof *sum), ratio = 1;
    for (int k = 0; k < c->n; k++) {
        encode_term(m, i, &c->terms[k], clip_skip, y, k ? no_view : pooled);
        if (dev->planning) continue;
        dev->ops->download(dev, states, y);
        add_term(sum, states, c->terms[k].factors, y.W, y.C);
    }
    if (c->keeps_mean && !dev->planning) ratio = mean_ratio(sum, states, n);
    for (size_t k = 0; k < n; k++) states[k] = (float)(sum[k] * ratio);
    dev->ops->upload(dev, y, states);
    arena_free(&own);
}

/* SDXL's encoders side by side. The last of them pools: with the states of the first chunk, or a text of its own. */
static void encode(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    int last = m->n_texts - 1;
    bool own = pooled.p && p->pooled_ids != prompt_ids(p, last, 0);
    for (int k = 0; k < p->n; k++) {
        struct view chunk = view_tokens(y, k * m->n_tokens, m->n_tokens);
        for (int i = 0, at = 0; i < m->n_texts; at += m->texts[i++].net->layers.hidden_size) {
            struct view states = view_slice(chunk, at, m->texts[i].net->layers.hidden_size);
            struct term source = {.ids = p->pooled_ids};
            if (k == 0 && i == last && own) encode_term(m, i, &source, p->clip_skip, states, pooled);
            encode_chunk(m, i, &p->chunks[i][k], p->clip_skip, states, k == 0 && i == last && !own ? pooled : no_view);
        }
    }
}

void prompt_encode(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    struct device *dev = m->device;
    if (!p->n) {
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
    encode(m, p, y, pooled);
}

static float *download(struct device *dev, struct arena *a, struct view x) {
    float *values = arena_array(a, view_rows(x) * (size_t)x.C, sizeof *values);
    dev->ops->download(dev, values, x);
    return values;
}

/* The type's own values go through f32 and back unchanged. */
void prompt_remember(struct model *m, const struct prompt *p, struct view y, struct view pooled) {
    struct prompt_cache *cache = &m->prompts;
    if (!p->n || find(m, p)) return;
    struct encoded *e = oldest(cache);
    arena_free(&e->arena);
    e->key = NULL;
    e->used = ++cache->now;
    e->values = download(m->device, &e->arena, y);
    if (pooled.p) e->pooled = download(m->device, &e->arena, pooled);
    unsigned char *key = arena_alloc(&e->arena, p->key_bytes);
    memcpy(key, p->key, p->key_bytes);
    e->key_bytes = p->key_bytes;
    e->key = key;
}

void prompt_encode_apart(struct model *m, const struct prompt *p) {
    struct device *dev = m->device;
    if (!p->n || (!dev->planning && find(m, p))) return;
    stage_begin(m, STAGE_TEXT);
    size_t mark = arena_mark(dev);
    struct view y = view_alloc(dev, 1, 1, p->n * m->n_tokens, m->context_dim);
    struct view pooled = m->pooled_dim ? view_alloc(dev, 1, 1, 1, m->pooled_dim) : no_view;
    prompt_encode(m, p, y, pooled);
    if (!dev->planning) prompt_remember(m, p, y, pooled);
    arena_release(dev, mark);
}

void prompt_cache_free(struct prompt_cache *cache) {
    for (int i = 0; i < PROMPTS_KEPT; i++) {
        arena_free(&cache->encoded[i].arena);
        cache->encoded[i].key = NULL;
        cache->encoded[i].used = 0;
    }
}
