/* Text to ids. The text is cut at the added tokens, each part normalized (clip_normal.c), cut again at those added tokens
 * that are looked for after that, then into words; a word's bytes are merged pair by pair, best rank first (Sennrich,
 * Haddow and Birch 2016). */
#include "tokenizer/clip_bpe.h"

#include <assert.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "tokenizer/clip_normal.h"
#include "tokenizer/clip_vocab.h"

int clip_bpe_vocab_size(const struct clip_bpe *t) {
    return t->vocab.n;
}
int clip_bpe_max_length(const struct clip_bpe *t) {
    return t->max_length;
}
const char *clip_bpe_token(const struct clip_bpe *t, int32_t id) {
    return vocab_token(&t->vocab, id);
}

int32_t clip_bpe_find(const struct clip_bpe *t, const char *token) {
    return vocab_find(&t->vocab, token, strlen(token));
}
struct clip_frame clip_bpe_frame(const struct clip_bpe *t) {
    return (struct clip_frame){t->bos, t->eos, t->pad};
}

/* ---- one word ---------------------------------------------------------------------------------------------------- */

struct symbol {
    int32_t id, prev, next; /* neighbours in the word; -1: none */
    uint32_t begin, bytes;  /* in the normalized text; 0 bytes: merged away */
};

/* A pair that may be merged, if it is still there when its turn comes: lowest rank first, then leftmost. */
struct candidate {
    uint64_t order; /* rank, index of the left symbol */
    int32_t id;     /* of the two together */
};

struct encoder {
    const struct clip_bpe *t;
    struct arena *a;
    struct clip_normal text; /* the part at hand, normalized */
    struct symbol *symbols;
    struct candidate *heap;
    int n_heap;
    struct clip_piece *pieces;
    int n_pieces, capacity;
};

static void push_piece(struct encoder *e, int32_t id, size_t begin, size_t end) {
    if (e->n_pieces == e->capacity) {
        struct clip_piece *old = e->pieces;
        e->capacity = e->capacity ? 2 * e->capacity : 128;
        e->pieces = arena_array(e->a, (size_t)e->capacity, sizeof *e->pieces);
        if (old) memcpy(e->pieces, old, (size_t)e->n_pieces * sizeof *old);
    }
    e->pieces[e->n_pieces++] = (struct clip_piece){id, begin, end};
}

/* Puts the pair that begins with symbol i on the heap, if it can be merged. */
static void heap_push(struct encoder *e, int32_t i) {
    const struct symbol *s = &e->symbols[i];
    const struct merge *m = s->next < 0 ? NULL : merges_find(&e->t->merges, s->id, e->symbols[s->next].id);
    if (!m) return;
    struct candidate c = {(uint64_t)m->rank << 32 | (uint32_t)i, m->id};
    int at = e->n_heap++;
    for (; at && e->heap[(at - 1) / 2].order > c.order; at = (at - 1) / 2) e->heap[at] = e->heap[(at - 1) / 2];
    e->heap[at] = c;
}

static struct candidate heap_pop(struct encoder *e) {
    struct candidate top = e->heap[0], last = e->heap[--e->n_heap];
    int at = 0;
    for (int child; (child = 2 * at + 1) < e->n_heap; at = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1].order < e->heap[child].order) child++;
        if (last.order <= e->heap[child].order) break;
        e->heap[at] = e->heap[child];
    }
    e->heap[at] = last;
    return top;
}

static void merge_with_next(struct encoder *e, struct symbol *s, int32_t id) {
    struct symbol *right = &e->symbols[s->next];
    s->id = id;
    s->bytes += right->bytes;
    right->bytes = 0;
    s->next = right->next;
    if (s->next >= 0) e->symbols[s->next].prev = (int32_t)(s - e->symbols);
}

static void merge_symbols(struct encoder *e) {
    while (e->n_heap) {
        struct candidate c = heap_pop(e);
        int32_t i = (int32_t)(uint32_t)c.order;
        struct symbol *s = &e->symbols[i];
        if (!s->bytes || s->next < 0) continue;
        const struct merge *m = merges_find(&e->t->merges, s->id, e->symbols[s->next].id);
        if (!m || m->id != c.id) continue;
        merge_with_next(e, s, c.id);
        if (s->prev >= 0) heap_push(e, s->prev);
        heap_push(e, i);
    }
}

/* n log n: every merge removes a symbol and puts at most two candidates on the heap. */
static void encode_word(struct encoder *e, size_t begin, size_t end) {
    int n = (int)(end - begin);
    for (int i = 0; i < n; i++) {
        bool last = i == n - 1;
        int32_t id = e->t->byte_id[last][(unsigned char)e->text.bytes[begin + (size_t)i]];
        e->symbols[i] = (struct symbol){id < 0 ? e->t->unk : id, i - 1, last ? -1 : i + 1, (uint32_t)begin + (uint32_t)i, 1};
    }
    for (int i = 0; i < n - 1; i++) heap_push(e, i);
    merge_symbols(e);
    for (int32_t i = 0; i >= 0; i = e->symbols[i].next) {
        const struct symbol *s = &e->symbols[i];
        push_piece(e, s->id, e->text.begin[s->begin], e->text.end[s->begin + s->bytes - 1]);
    }
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool begins_with(const char *s, size_t n, const char *word) {
    size_t m = strlen(word);
    return n >= m && memcmp(s, word, m) == 0;
}

/* Bytes of the 's 't 're 've 'm 'll 'd at s, or 0. */
static size_t contraction_bytes(const char *s, size_t n) {
    static const char *const forms[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; *s == '\'' && i < sizeof forms / sizeof *forms; i++)
        if (begins_with(s, n, forms[i])) return strlen(forms[i]);
    return 0;
}

/* Where the run of letters, the number, the blank or the run of other characters at `at` ends. */
static size_t run_end(const char *s, size_t at, size_t end, enum clip_class *class) {
    uint32_t cp;
    size_t next = at + (size_t)utf8_decode(s + at, &cp);
    *class = clip_class_of(cp);
    while ((*class == CLIP_LETTER || *class == CLIP_OTHER) && next < end) {
        int bytes = utf8_decode(s + next, &cp);
        if (clip_class_of(cp) != *class) break;
        next += (size_t)bytes;
    }
    return next;
}

/* Bytes of the <|startoftext|> or <|endoftext|> at s, or 0. */
static size_t special_bytes(const char *s, size_t n) {
    static const char *const forms[] = {"<|startoftext|>", "<|endoftext|>"};
    for (size_t i = 0; *s == '<' && i < sizeof forms / sizeof *forms; i++)
        if (begins_with(s, n, forms[i])) return strlen(forms[i]);
    return 0;
}

/* The words of the normalized text in [at, end):
 *   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
 * and ByteLevel's own pattern then divides the first two, where they are no added tokens: <| startoftext |>. */
static void encode_words(struct encoder *e, size_t at, size_t end) {
    const char *s = e->text.bytes;
    for (size_t next; at < end; at = next) {
        enum clip_class class = CLIP_OTHER;
        size_t special = special_bytes(s + at, end - at);
        if (special) {
            next = at + special;
            encode_word(e, at, at + 2);
            encode_word(e, at + 2, next - 2);
            at = next - 2;
        } else {
            next = at + contraction_bytes(s + at, end - at);
            if (next == at) next = run_end(s, at, end, &class);
        }
        if (class != CLIP_SPACE) encode_word(e, at, next);
    }
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static void encode_normalized(struct encoder *e, const char *source, size_t begin, size_t end) {
    if (begin == end) return;
    e->text = clip_normalize(e->a, source, begin, end);
    e->symbols = arena_array(e->a, e->text.n, sizeof *e->symbols);
    e->heap = arena_array(e->a, 3 * e->text.n, sizeof *e->heap);
    size_t at = 0, done = 0;
    while (at < e->text.n) {
        const struct added *x = added_match(&e->t->normalized, e->text.bytes + at, e->text.n - at);
        if (!x) {
            at++;
            continue;
        }
        encode_words(e, done, at);
        push_piece(e, x->id, e->text.begin[at], e->text.end[at + x->bytes - 1]);
        done = at += x->bytes;
    }
    encode_words(e, done, at);
}

struct clip_piece *clip_bpe_pieces(struct arena *a, const struct clip_bpe *t, const char *text, int *n) {
    struct encoder e = {.t = t, .a = a};
    size_t length = strnlen(text, TEXT_BYTES_MAX + 1), at = 0, done = 0, bad;
    if (length > TEXT_BYTES_MAX) die(FAIL_USAGE, "prompt: more than %d bytes", TEXT_BYTES_MAX);
    if (!utf8_valid(text, length, &bad)) die(FAIL_USAGE, "prompt: not UTF-8 at byte %zu", bad);
    while (at < length) {
        const struct added *x = added_match(&t->raw, text + at, length - at);
        if (!x) {
            at++;
            continue;
        }
        encode_normalized(&e, text, done, at);
        push_piece(&e, x->id, at, at + x->bytes);
        done = at += x->bytes;
    }
    encode_normalized(&e, text, done, at);
    *n = e.n_pieces;
    return e.pieces;
}

int clip_bpe_encode(struct arena *a, const struct clip_bpe *t, const char *text, int32_t *ids, int length, size_t *cut_at) {
    assert(length >= 2);
    int n, kept;
    const struct clip_piece *pieces = clip_bpe_pieces(a, t, text, &n);
    kept = n < length - 2 ? n : length - 2;
    ids[0] = t->bos;
    for (int i = 0; i < kept; i++) ids[1 + i] = pieces[i].id;
    ids[1 + kept] = t->eos;
    for (int i = kept + 2; i < length; i++) ids[i] = t->pad;
    *cut_at = kept < n ? pieces[kept].begin : strlen(text);
    return n - kept;
}
