#include "tokenizer/chunks.h"

#include <string.h>
#include "engine/base/error.h"

enum { COMMA_BACK = 20 /* A1111's comma_padding_backtrack */, BREAK = -1 };

/* One text's tokens, phrase by phrase; and where its chunks begin. */
struct list {
    int n;
    struct token *items; /* id BREAK: a new chunk */
    int n_chunks;
    struct range {
        int begin, end; /* in items */
    } chunks[CHUNKS_MAX];
};

static struct list tokenize(struct arena *a, const struct clip_bpe *t, const struct phrases *p) {
    struct list l = {0};
    int *counts = arena_array(a, (size_t)p->n + 1, sizeof *counts), all = 0;
    struct clip_piece **pieces = arena_array(a, (size_t)p->n + 1, sizeof *pieces);
    const char **texts = arena_array(a, (size_t)p->n + 1, sizeof *texts);
    for (int i = 0; i < p->n; i++) {
        if (!p->items[i].breaks) {
            texts[i] = clip_bpe_convert(a, t, p->items[i].text);
            pieces[i] = clip_bpe_pieces(a, t, texts[i], &counts[i]);
        }
        all += counts[i] + p->items[i].breaks;
    }
    l.items = arena_array(a, (size_t)all + 1, sizeof *l.items);
    for (int i = 0; i < p->n; i++) {
        if (p->items[i].breaks) l.items[l.n++] = (struct token){.id = BREAK};
        for (int k = 0; k < counts[i]; k++)
            l.items[l.n++] = (struct token){pieces[i][k].id, 0, p->items[i].weight, texts[i], pieces[i][k].begin, pieces[i][k].end};
    }
    return l;
}

static void add_chunk(struct list *l, const char *what, int begin, int end, int room) {
    if (l->n_chunks == CHUNKS_MAX) die(FAIL_USAGE, "%s: more than %d chunks of %d tokens", what, CHUNKS_MAX, room);
    l->chunks[l->n_chunks++] = (struct range){begin, end};
}

/* A1111's: a chunk that is full ends behind a comma close to its end, where there is one and the next token is none itself; vectors of
 * one word stay together. */
static void cut_at_commas(struct list *l, const struct clip_bpe *t, const char *what, int room) {
    int32_t comma = clip_bpe_find(t, ",</w>");
    int begin = 0, last_comma = -1;
    for (int i = 0, n; i < l->n; i += n) {
        n = 1;
        if (l->items[i].id == BREAK) {
            add_chunk(l, what, begin, i, room);
            begin = i + 1, last_comma = -1;
            continue;
        }
        if (l->items[i].id == comma) last_comma = i;
        else if (i - begin == room && last_comma >= 0 && i - last_comma <= COMMA_BACK) {
            add_chunk(l, what, begin, last_comma + 1, room);
            begin = last_comma + 1, last_comma = -1;
        }
        n = clip_bpe_vectors(t, l->items[i].id);
        if (n > l->n - i || n > room) n = 1;
        if (i - begin + n <= room) continue;
        add_chunk(l, what, begin, i, room);
        begin = i, last_comma = -1;
    }
    if (begin < l->n || !l->n_chunks) add_chunk(l, what, begin, l->n, room);
}

static void cut_off(struct list *l, const char *what, int room) {
    add_chunk(l, what, 0, l->n < room ? l->n : room, room);
}

/* ---- terms ------------------------------------------------------------------------------------------------------- */

static int32_t *frame(struct arena *a, const struct clip_bpe *t, const struct token *tokens, int n, int length) {
    int32_t *ids = arena_array(a, (size_t)length, sizeof *ids);
    struct clip_frame f = clip_bpe_frame(t);
    ids[0] = f.bos;
    for (int i = 0; i < n; i++) ids[1 + i] = tokens[i].id;
    ids[1 + n] = f.eos;
    for (int i = n + 2; i < length; i++) ids[i] = f.pad;
    return ids;
}

static struct term *add_term(struct arena *a, struct chunk *c, const int32_t *ids) {
    struct term *terms = arena_array(a, (size_t)c->n + 1, sizeof *terms);
    for (int i = 0; i < c->n; i++) terms[i] = c->terms[i];
    c->terms = terms;
    terms[c->n] = (struct term){.ids = ids};
    return &terms[c->n++];
}

static struct chunk plain_chunk(struct arena *a, const struct clip_bpe *t, const struct list *l, int k, int length) {
    struct chunk c = {0};
    add_term(a, &c, frame(a, t, l->items + l->chunks[k].begin, l->chunks[k].end - l->chunks[k].begin, length));
    return c;
}

/* NULL where all weights are 1. */
static float *weights_of(struct arena *a, const struct list *l, int k, int length) {
    bool plain = true;
    float *w = arena_array(a, (size_t)length, sizeof *w);
    for (int i = 0; i < length; i++) {
        int at = l->chunks[k].begin + i - 1;
        w[i] = i && at < l->chunks[k].end ? (float)l->items[at].weight : 1;
        plain &= w[i] == 1;
    }
    return plain ? NULL : w;
}

static struct chunk chunk_of(struct arena *a, const struct clip_bpe *t, enum emphasis emphasis, const struct list *l, int k, int length) {
    struct chunk c = plain_chunk(a, t, l, k, length);
    if (emphasis == EMPHASIS_NONE) return c;
    c.terms->factors = weights_of(a, l, k, length);
    c.keeps_mean = c.terms->factors;
    return c;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void list_tokens(struct arena *a, struct chunks *c, const struct list *l) {
    c->tokens = arena_array(a, (size_t)l->n + 1, sizeof *c->tokens);
    for (int k = 0; k < l->n_chunks; k++)
        for (int i = l->chunks[k].begin; i < l->chunks[k].end; i++) {
            c->tokens[c->n_tokens] = l->items[i];
            c->tokens[c->n_tokens++].chunk = k;
        }
    for (int i = l->n - c->n_cut; i < l->n; i++) {
        c->tokens[c->n_tokens] = l->items[i];
        c->tokens[c->n_tokens++].chunk = l->n_chunks;
    }
}

struct chunks chunks_make(struct arena *a, const struct clip_bpe *t, const struct prompt_syntax *syntax, const char *what,
                          const char *source, struct wording wording, int length, bool chunked) {
    struct chunks c = {0};
    int room = length - 2;
    struct list l = tokenize(a, t, &wording.passages->texts[0]);
    if (chunked || syntax->chunked) cut_at_commas(&l, t, what, room);
    else cut_off(&l, what, room);
    c.n_cut = chunked || syntax->chunked ? 0 : l.n - l.chunks->end;
    if (c.n_cut) c.cut = l.items[l.chunks->end].text + l.items[l.chunks->end].begin;
    c.items = arena_array(a, CHUNKS_MAX, sizeof *c.items);
    for (int k = 0; k < l.n_chunks; k++) c.items[c.n++] = chunk_of(a, t, syntax->emphasis, &l, k, length);
    c.pooled_ids = c.items->terms->ids;
    list_tokens(a, &c, &l);
    (void)source;
    return c;
}

void chunks_fill(struct arena *a, const struct clip_bpe *t, struct chunks *c, int n, int length) {
    static const struct list empty = {.n_chunks = 1};
    while (c->n < n) c->items[c->n++] = plain_chunk(a, t, &empty, 0, length);
}
