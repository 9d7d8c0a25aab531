#include "tokenizer/chunks.h"

#include <math.h>
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
            l.items[l.n++] =
                (struct token){pieces[i][k].id, 0, 0, i, p->items[i].weight, 1, texts[i], pieces[i][k].begin, pieces[i][k].end};
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

/* Where a chunk of at most `room` tokens ends that begins at the first of n: behind the last of them that is one of the stops. */
static int last_stop(const struct clip_bpe *t, const struct token *tokens, int room, const char *const *stops) {
    for (int i = room; i > 0; i--) {
        const char *text = clip_bpe_token(t, tokens[i - 1].id), *end = strstr(text, "</w>");
        for (const char *const *stop = stops; *stop; stop++)
            if (**stop ? !strcmp(text, *stop) : end && !end[4]) return i;
    }
    return 0;
}

/* compel's: behind a full stop, else any stop, else a word, else anywhere. */
static void cut_at_sentences(struct list *l, const struct clip_bpe *t, const char *what, int room) {
    static const char *const full[] = {".</w>", NULL}, *const any[] = {".</w>", ",</w>", ";</w>", ":</w>", NULL},
                             *const word[] = {"", NULL}, *const *const kinds[] = {full, any, word};
    int begin = 0;
    while (l->n - begin > room && room > 0) {
        int n = 0;
        for (int i = 0; i < 3 && !n; i++) n = last_stop(t, l->items + begin, room, kinds[i]);
        if (!n) n = room;
        add_chunk(l, what, begin, begin + n, room);
        begin += n;
    }
    add_chunk(l, what, begin, l->n, room);
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

static int32_t *ids_of(struct arena *a, const struct clip_bpe *t, const struct list *l, int k, int length) {
    return frame(a, t, l->items + l->chunks[k].begin, l->chunks[k].end - l->chunks[k].begin, length);
}

/* Of each token of the k-th chunk. */
static float *weights_of(struct arena *a, const struct list *l, int k, int length) {
    float *w = arena_array(a, (size_t)length, sizeof *w);
    for (int i = 0; i < length; i++) {
        int at = l->chunks[k].begin + i - 1;
        w[i] = i && at < l->chunks[k].end ? (float)l->items[at].weight : 1;
    }
    return w;
}

/* Factors that are all the same number are that; NULL where it is 1. */
static const float *unless_one(const float *factors, int n) {
    for (int i = 0; i < n; i++)
        if (factors[i] != 1) return factors;
    return NULL;
}

static struct chunk chunk_of(struct arena *a, const struct clip_bpe *t, enum emphasis emphasis, const struct list *l, int k, int length) {
    struct chunk c = {0};
    struct term *term = add_term(a, &c, ids_of(a, t, l, k, length));
    if (emphasis == EMPHASIS_MEAN) term->factors = unless_one(weights_of(a, l, k, length), length);
    c.keeps_mean = term->factors;
    return c;
}

/* ---- compel's ---------------------------------------------------------------------------------------------------- */

/* The tokens of a phrase weighted below 1: places in chunks, [from, to]. */
struct faint {
    int from_chunk, from, to_chunk, to;
    double lerp;
};

/* compel hides each of them in an encoding of its own, which counts tan of what it lacks of 1. */
static int list_faint(struct list *l, const struct phrases *p, struct faint *faint) {
    int n = 0, at = 0, chunk = 0;
    for (int i = 0; i < p->n; i++) {
        int begin = at;
        while (at < l->n && l->items[at].phrase == i) at++;
        if (at == begin || p->items[i].weight >= 1) continue;
        struct faint *f = &faint[n++];
        while (begin >= l->chunks[chunk].end) chunk++;
        f->from_chunk = chunk;
        f->from = begin - l->chunks[chunk].begin + 1;
        int last = chunk;
        while (at - 1 >= l->chunks[last].end) last++;
        f->to_chunk = last;
        f->to = at - 1 - l->chunks[last].begin + 1;
        f->lerp = tan((1 - fmax(1e-5, p->items[i].weight)) * 3.14159265358979323846 / 2);
    }
    return n;
}

/* What of the k-th chunk it hides; n 0: nothing. The first token and the last stay. */
static struct term hidden_in(const struct faint *f, int k, int length) {
    if (k < f->from_chunk || k > f->to_chunk) return (struct term){0};
    int from = k == f->from_chunk ? f->from : 1, to = k == f->to_chunk ? f->to : length - 2;
    return (struct term){.hidden = from, .n_hidden = to - from + 1};
}

static float *scaled(struct arena *a, const float *w, double by, int n) {
    float *y = arena_array(a, (size_t)n, sizeof *y);
    for (int i = 0; i < n; i++) y[i] = (float)(by * (double)w[i]);
    return y;
}

/* Adds `by` times the text's k-th chunk to c, and what is "" of it to empty [T]. */
static void add_text(struct arena *a, const struct clip_bpe *t, struct chunk *c, float *empty, const struct list *l,
                     const struct faint *faint, int n_faint, int k, double by, int length) {
    const int32_t *ids = ids_of(a, t, l, k, length);
    const float *w = weights_of(a, l, k, length);
    double sum = 1, plain = 1;
    for (int i = 0; i < n_faint; i++) sum += faint[i].lerp;
    for (int i = 0; i < n_faint; i++)
        if (!hidden_in(&faint[i], k, length).n_hidden) plain += faint[i].lerp;
    add_term(a, c, ids)->factors = scaled(a, w, by * plain / sum, length);
    for (int i = 0; i < n_faint; i++) {
        struct term hidden = hidden_in(&faint[i], k, length);
        if (!hidden.n_hidden) continue;
        hidden.ids = ids;
        hidden.factors = scaled(a, w, by * faint[i].lerp / sum, length);
        *add_term(a, c, ids) = hidden;
    }
    for (int i = 0; i < length; i++) empty[i] += (float)(by * (1 - (double)w[i]));
}

static void finish_chunk(struct arena *a, const struct clip_bpe *t, struct chunk *c, const float *empty, int length) {
    bool any = false;
    for (int i = 0; i < length; i++) any |= empty[i] != 0;
    if (any || !c->n) add_term(a, c, frame(a, t, NULL, 0, length))->factors = empty;
    for (int i = 0; i < c->n; i++) c->terms[i].factors = unless_one(c->terms[i].factors, length);
}

/* Appends the passage's chunks: of its texts the shorter are filled up with "". */
static void add_passage(struct arena *a, const struct clip_bpe *t, struct chunks *c, const struct passage *p, struct list *lists,
                        const char *what, int length) {
    int n = 0, room = length - 2;
    for (int j = 0; j < p->n; j++) n = lists[j].n_chunks > n ? lists[j].n_chunks : n;
    if (c->n + n > CHUNKS_MAX) die(FAIL_USAGE, "%s: more than %d chunks of %d tokens", what, CHUNKS_MAX, room);
    for (int k = 0; k < n; k++) {
        struct chunk *chunk = &c->items[c->n++];
        float *empty = arena_array(a, (size_t)length, sizeof *empty);
        for (int i = 0; i < length; i++) empty[i] = (float)(1 - p->weight);
        for (int j = 0; j < p->n; j++) {
            double by = p->weight * p->texts[j].weight;
            struct faint *faint = arena_array(a, (size_t)p->texts[j].n + 1, sizeof *faint);
            int n_faint = list_faint(&lists[j], &p->texts[j], faint);
            if (k < lists[j].n_chunks) add_text(a, t, chunk, empty, &lists[j], faint, n_faint, k, by, length);
            else
                for (int i = 0; i < length; i++) empty[i] += (float)by;
        }
        finish_chunk(a, t, chunk, empty, length);
    }
}

static void check_terms(const struct chunks *c, const char *what) {
    int n = 0;
    for (int k = 0; k < c->n; k++) n += c->items[k].n;
    if (n > TERMS_MAX) die(FAIL_USAGE, "%s: %d encodings for its weights and blends; expected at most %d", what, n, TERMS_MAX);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* The list's chunks are the first-th and on; it is a passage's text with that number and share. */
static void list_tokens(struct arena *a, struct chunks *c, const struct list *l, int first, int blended, double share) {
    struct token *all = arena_array(a, (size_t)(c->n_tokens + l->n) + 1, sizeof *all);
    if (c->n_tokens) memcpy(all, c->tokens, (size_t)c->n_tokens * sizeof *all);
    c->tokens = all;
    for (int k = 0; k < l->n_chunks; k++)
        for (int i = l->chunks[k].begin; i < l->chunks[k].end; i++) {
            all[c->n_tokens] = l->items[i];
            all[c->n_tokens].blended = blended;
            all[c->n_tokens].share = share;
            all[c->n_tokens++].chunk = first + k;
        }
    for (int i = l->n - c->n_cut; i < l->n; i++) {
        all[c->n_tokens] = l->items[i];
        all[c->n_tokens++].chunk = l->n_chunks;
    }
}

/* The whole text's ids, cut off. */
static int32_t *source_ids(struct arena *a, const struct clip_bpe *t, const char *source, int length) {
    size_t cut;
    int32_t *ids = arena_array(a, (size_t)length, sizeof *ids);
    clip_bpe_encode(a, t, clip_bpe_convert(a, t, source), ids, length, &cut);
    return ids;
}

static struct list *tokenize_passage(struct arena *a, const struct clip_bpe *t, const struct passage *p, const char *what, int room) {
    struct list *lists = arena_array(a, (size_t)p->n, sizeof *lists);
    for (int j = 0; j < p->n; j++) {
        lists[j] = tokenize(a, t, &p->texts[j]);
        cut_at_sentences(&lists[j], t, what, room);
    }
    return lists;
}

static struct chunks make_passages(struct arena *a, const struct clip_bpe *t, const char *what, const struct wording *w, int length) {
    struct chunks c = {.items = arena_array(a, CHUNKS_MAX, sizeof *c.items)};
    for (int i = 0; i < w->n; i++) {
        int before = c.n;
        struct list *lists = tokenize_passage(a, t, &w->passages[i], what, length - 2);
        add_passage(a, t, &c, &w->passages[i], lists, what, length);
        const struct passage *p = &w->passages[i];
        for (int j = 0; j < p->n; j++) list_tokens(a, &c, &lists[j], before, j, p->weight * p->texts[j].weight);
    }
    check_terms(&c, what);
    return c;
}

static struct chunks make_plain(struct arena *a, const struct clip_bpe *t, enum emphasis emphasis, const char *what,
                                const struct wording *w, int length, bool chunked) {
    struct chunks c = {.items = arena_array(a, CHUNKS_MAX, sizeof *c.items)};
    struct list l = tokenize(a, t, &w->passages->texts[0]);
    if (chunked) cut_at_commas(&l, t, what, length - 2);
    else cut_off(&l, what, length - 2);
    c.n_cut = chunked ? 0 : l.n - l.chunks->end;
    if (c.n_cut) c.cut = l.items[l.chunks->end].text + l.items[l.chunks->end].begin;
    for (int k = 0; k < l.n_chunks; k++) c.items[c.n++] = chunk_of(a, t, emphasis, &l, k, length);
    list_tokens(a, &c, &l, 0, 0, 1);
    return c;
}

struct chunks chunks_make(struct arena *a, const struct clip_bpe *t, const struct prompt_syntax *syntax, const char *what,
                          const char *source, struct wording wording, int length, bool chunked) {
    struct chunks c = syntax->cut == CUT_SENTENCE ? make_passages(a, t, what, &wording, length)
                                                  : make_plain(a, t, syntax->emphasis, what, &wording, length, chunked || syntax->chunked);
    c.pooled_ids = syntax->pools_source ? source_ids(a, t, source, length) : c.items->terms->ids;
    return c;
}

void chunks_fill(struct arena *a, const struct clip_bpe *t, struct chunks *c, int n, int length) {
    for (; c->n < n; c->n++) {
        struct chunk empty = {0};
        add_term(a, &empty, frame(a, t, NULL, 0, length));
        c->items[c->n] = empty;
    }
}
