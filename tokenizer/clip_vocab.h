/* The tables behind the CLIP tokenizer: tokens by text and by id, merges by pair, tokens found in the text as they
 * stand. */
#ifndef TOKENIZER_CLIP_VOCAB_H
#define TOKENIZER_CLIP_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

enum {
    VOCAB_MAX = 1 << 20,        /* tokens, and merges */
    VOCAB_BYTES_MAX = 32 << 20, /* of vocab.json and of merges.txt */
    TOKEN_MAX = 512,            /* bytes */
    ADDED_MAX = 4096,           /* tokens beside the vocabulary */
    LINE_BYTES_MAX = 1024,      /* of merges.txt */
    TEXT_BYTES_MAX = 64 << 10,  /* of a prompt */
};

/* Hash tables are keyed (SipHash-1-3) with random bytes, so no file can choose its collisions. */
struct hash_key {
    uint64_t k0, k1;
};

struct vocab {
    const char **tokens; /* [capacity] by id; NULL: no such id */
    uint64_t *slots;     /* [mask + 1] open addressing: 0 or the hash's upper half, id + 1 */
    size_t mask;
    int n, capacity;
    struct hash_key key;
};

void vocab_init(struct vocab *v, struct arena *a, int capacity);
enum vocab_put { VOCAB_OK, VOCAB_TOKEN_TWICE, VOCAB_ID_TWICE };
/* 0 <= id < capacity; the token, with a NUL behind, stays the caller's. */
enum vocab_put vocab_put(struct vocab *v, const char *token, size_t bytes, int32_t id);
/* The id, or -1. */
int32_t vocab_find(const struct vocab *v, const char *token, size_t bytes);

/* Many tokens at once, none waiting for another's way through memory: vocab_seek hashes n and has their places in the cache soon. */
enum { VOCAB_AT_ONCE = 32 };
struct vocab_query {
    const char *token;
    size_t bytes;
    uint64_t hash; /* vocab_seek's */
    int32_t id;
};
void vocab_seek(const struct vocab *v, struct vocab_query *q, int n);
enum vocab_put vocab_put_sought(struct vocab *v, const struct vocab_query *q);
/* Each one's id, or -1; sought by it. */
void vocab_find_all(const struct vocab *v, struct vocab_query *q, int n);
/* Whether the token with this id, if there is one, is the given. */
bool vocab_is(const struct vocab *v, int32_t id, const char *token, size_t bytes);
const char *vocab_token(const struct vocab *v, int32_t id);

struct merge {
    uint64_t pair; /* left id + 1, right id + 1; 0: empty */
    uint32_t rank;
    int32_t id; /* of the two together */
};

struct merges {
    struct merge *slots; /* [mask + 1] */
    size_t mask;
    struct hash_key key;
};

void merges_init(struct merges *m, struct arena *a, size_t capacity);
/* Has the pair's place in the cache soon. */
void merges_prefetch(const struct merges *m, int32_t left, int32_t right);
/* False if the pair is there already. */
bool merges_put(struct merges *m, int32_t left, int32_t right, uint32_t rank, int32_t id);
const struct merge *merges_find(const struct merges *m, int32_t left, int32_t right);

/* Tokens recognized in the text itself: sorted by text, earlier declared first. */
struct added {
    const char *text;
    size_t bytes;
    int32_t id;
};
struct added_set {
    struct added *items; /* [n] */
    int n, first[257];   /* those that begin with byte b are items[first[b]..first[b + 1]) */
};
/* Puts its items in order. */
void added_index(struct added_set *s);
/* The longest one text[0..n) begins with, or NULL. */
const struct added *added_match(const struct added_set *s, const char *text, size_t n);

struct clip_bpe {
    struct arena *arena;
    struct vocab vocab;
    struct merges merges;
    int32_t byte_id[2][256]; /* of a byte inside and at the end of a word; -1: unknown */
    int32_t bos, eos, pad, unk;
    int max_length;
    bool *is_added;                   /* [vocab.capacity] by id */
    struct added_set raw, normalized; /* looked for before and after normalization */
};

/* A piece of a JSON file, [begin, end) of text; none where text is NULL. */
struct json_span {
    const char *path, *text;
    size_t begin, end;
};

/* clip_load.c: GPT-2's printable stand-in for a byte: itself where it can be seen, which is returned, else U+0100 and on, in order. */
enum { CLIP_BYTE_TEXT = 4 };
bool clip_byte_text(int byte, char text[CLIP_BYTE_TEXT]);
/* Looks all of them up in the vocabulary. */
void clip_set_byte_ids(struct clip_bpe *t);

/* clip_special.c: reads special_tokens_map.json, tokenizer_config.json and added_tokens.json of dir, and added_tokens
 * of tokenizer.json; sets bos, eos, pad, unk, max_length and the added sets. The vocabulary is loaded. */
void clip_special_load(struct clip_bpe *t, const char *dir, struct json_span json_added);
/* The same by the text of a tokenizer_config.json alone. */
void clip_special_builtin(struct clip_bpe *t, const char *config);

#endif
