#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_normal.h"
#include "tokenizer/clip_vocab.h"

static struct added_set copy_set(struct arena *a, const struct added_set *s, int more) {
    struct added_set copy = *s;
    copy.items = arena_array(a, (size_t)(s->n + more), sizeof *copy.items);
    if (s->n) memcpy(copy.items, s->items, (size_t)s->n * sizeof *copy.items);
    return copy;
}

static void add(struct arena *a, struct clip_bpe *t, const char *token) {
    size_t bytes = strlen(token), bad;
    if (!bytes || bytes > TOKEN_MAX) die(FAIL_USAGE, "--embedding: expected a word of 1 to %d bytes, found %zu", TOKEN_MAX, bytes);
    if (!utf8_valid(token, bytes, &bad)) die(FAIL_USAGE, "--embedding: word: not UTF-8 at byte %zu", bad);
    int32_t id = t->vocab.n;
    if (vocab_put(&t->vocab, token, bytes, id) != VOCAB_OK)
        die_hint(FAIL_USAGE, "--embedding FILE=WORD takes another word", "--embedding: '%s' is a word of the model's tokenizer already",
                 token);
    struct clip_normal text = clip_normalize(a, token, 0, bytes);
    if (!text.n) die(FAIL_USAGE, "--embedding: '%s': nothing of it is left in normal form", token);
    t->normalized.items[t->normalized.n++] = (struct added){text.bytes, text.n, id};
    t->is_added[id] = true;
}

struct clip_bpe *clip_bpe_with(struct arena *a, const struct clip_bpe *t, const char *const *tokens, int n) {
    struct clip_bpe *more = arena_alloc(a, sizeof *more);
    int n_words = t->vocab.n;
    *more = *t;
    more->arena = a;
    vocab_init(&more->vocab, a, n_words + n);
    for (int id = 0; id < n_words; id++) {
        const char *token = vocab_token(&t->vocab, id);
        vocab_put(&more->vocab, token, strlen(token), id);
    }
    more->is_added = arena_array(a, (size_t)(n_words + n), sizeof *more->is_added);
    memcpy(more->is_added, t->is_added, (size_t)n_words * sizeof *more->is_added);
    more->normalized = copy_set(a, &t->normalized, n);
    for (int i = 0; i < n; i++) add(a, more, tokens[i]);
    added_index(&more->normalized);
    return more;
}
