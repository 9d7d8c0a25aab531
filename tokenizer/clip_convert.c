/* Tokens of several vectors, as textual inversion learns them (Gal et al. 2022): <cat-toy>, <cat-toy>_1, <cat-toy>_2 … stand for one word.
 */
#include <string.h>
#include "engine/base/error.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_vocab.h"

/* The id of the added token `token`_i, or -1. */
static int32_t vector_id(const struct clip_bpe *t, const char *token, int i) {
    char name[TOKEN_MAX + 16];
    size_t n = strlen(token);
    if (n > TOKEN_MAX) return -1;
    memcpy(name, token, n);
    name[n++] = '_';
    char digits[12];
    size_t n_digits = 0;
    for (int rest = i; rest; rest /= 10) digits[n_digits++] = (char)('0' + rest % 10);
    while (n_digits) name[n++] = digits[--n_digits];
    int32_t id = vocab_find(&t->vocab, name, n);
    return id >= 0 && t->is_added[id] ? id : -1;
}

int clip_bpe_vectors(const struct clip_bpe *t, int32_t id) {
    int n = 1;
    while (t->is_added[id] && vector_id(t, vocab_token(&t->vocab, id), n) >= 0) n++;
    return n;
}

/* "<cat-toy> <cat-toy>_1 …", or NULL for a token of one vector. */
static const char *all_vectors(struct arena *a, const struct clip_bpe *t, const char *token) {
    size_t n = strlen(token), room = n + 1;
    int n_vectors = 1;
    for (int32_t id; (id = vector_id(t, token, n_vectors)) >= 0; n_vectors++) room += 1 + strlen(vocab_token(&t->vocab, id));
    if (n_vectors == 1) return NULL;
    char *all = arena_alloc(a, room), *end = all;
    memcpy(end, token, n);
    end += n;
    for (int i = 1; i < n_vectors; i++) {
        const char *name = vocab_token(&t->vocab, vector_id(t, token, i));
        *end++ = ' ';
        memcpy(end, name, strlen(name));
        end += strlen(name);
    }
    *end = 0;
    return all;
}

static const char *replace(struct arena *a, const char *text, const char *from, const char *to) {
    size_t n = strlen(text), n_from = strlen(from), n_to = strlen(to), count = 0;
    for (const char *p = text; (p = strstr(p, from)); p += n_from) count++;
    if (n + count * n_to > TEXT_BYTES_MAX) die(FAIL_USAGE, "prompt: more than %d bytes with all vectors of '%s'", TEXT_BYTES_MAX, from);
    char *result = arena_alloc(a, n + count * n_to + 1), *end = result;
    for (const char *found; (found = strstr(text, from)); text = found + n_from) {
        memcpy(end, text, (size_t)(found - text));
        end += found - text;
        memcpy(end, to, n_to);
        end += n_to;
    }
    strcpy(end, text);
    return result;
}

const char *clip_bpe_convert(struct arena *a, const struct clip_bpe *t, const char *text) {
    int n;
    const struct clip_piece *pieces = clip_bpe_pieces(a, t, text, &n);
    bool *seen = arena_array(a, (size_t)t->vocab.n, sizeof *seen);
    for (int i = 0; i < n; i++) {
        int32_t id = pieces[i].id;
        if (!t->is_added[id] || seen[id]) continue;
        seen[id] = true;
        const char *token = vocab_token(&t->vocab, id), *all = all_vectors(a, t, token);
        if (all) text = replace(a, text, token, all);
    }
    return text;
}
