#include "tokenizer/clip_vocab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "engine/base/error.h"

/* ---- SipHash-1-3 (Aumasson and Bernstein 2012) ------------------------------------------------------------------- */

static inline uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* The 0 to 7 bytes at p as a little-endian number. */
static inline uint64_t load_tail(const unsigned char *p, size_t n) {
    uint32_t low, high;
    if (!n) return 0;
    if (n < 4) return p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) | (uint64_t)p[n - 1] << 8 * (n - 1);
    memcpy(&low, p, 4);
    memcpy(&high, p + n - 4, 4);
    return low | (uint64_t)high << 8 * (n - 4);
}

static inline uint64_t sip_hash(struct hash_key key, const void *data, size_t n) {
    uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
    uint64_t word, length = (uint64_t)n << 56;
    const unsigned char *p = data;
    for (; n >= 8; n -= 8, p += 8) memcpy(&word, p, 8), sip_word(v, word);
    sip_word(v, length | load_tail(p, n));
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct hash_key random_key(void) {
    struct hash_key key;
    if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key) die(FAIL_INTERNAL, "no random bytes from the system");
    return key;
}

/* At most 7/8 full: small enough to stay in the cache counts for more than few probes. */
static size_t table_mask(size_t capacity) {
    size_t size = 16;
    while (size / 8 * 7 < capacity) size *= 2;
    return size - 1;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

void vocab_init(struct vocab *v, struct arena *a, int capacity) {
    *v = (struct vocab){.capacity = capacity, .mask = table_mask((size_t)capacity), .key = random_key()};
    v->tokens = arena_array(a, (size_t)capacity, sizeof *v->tokens);
    v->slots = arena_array(a, v->mask + 1, sizeof *v->slots);
}

bool vocab_is(const struct vocab *v, int32_t id, const char *token, size_t bytes) {
    if (id < 0 || id >= v->capacity || !v->tokens[id]) return false;
    return strncmp(v->tokens[id], token, bytes) == 0 && !v->tokens[id][bytes];
}

/* The slot that holds the token, or the empty one where it belongs. */
static uint64_t *find_slot(const struct vocab *v, const char *token, size_t bytes, uint64_t hash) {
    for (size_t i = hash & v->mask;; i = (i + 1) & v->mask) {
        uint64_t slot = v->slots[i];
        if (!slot) return &v->slots[i];
        if (slot >> 32 != hash >> 32) continue;
        if (vocab_is(v, (int32_t)(uint32_t)slot - 1, token, bytes)) return &v->slots[i];
    }
}

enum vocab_put vocab_put_sought(struct vocab *v, const struct vocab_query *q) {
    assert(q->id >= 0 && q->id < v->capacity);
    uint64_t *slot = find_slot(v, q->token, q->bytes, q->hash);
    if (*slot) return VOCAB_TOKEN_TWICE;
    if (v->tokens[q->id]) return VOCAB_ID_TWICE;
    v->tokens[q->id] = q->token;
    v->n++;
    *slot = (q->hash >> 32 << 32) | (uint32_t)(q->id + 1);
    return VOCAB_OK;
}

enum vocab_put vocab_put(struct vocab *v, const char *token, size_t bytes, int32_t id) {
    return vocab_put_sought(v, &(struct vocab_query){token, bytes, sip_hash(v->key, token, bytes), id});
}

int32_t vocab_find(const struct vocab *v, const char *token, size_t bytes) {
    return (int32_t)(uint32_t)*find_slot(v, token, bytes, sip_hash(v->key, token, bytes)) - 1;
}

void vocab_seek(const struct vocab *v, struct vocab_query *q, int n) {
    for (int i = 0; i < n; i++) {
        q[i].hash = sip_hash(v->key, q[i].token, q[i].bytes);
        __builtin_prefetch(&v->slots[q[i].hash & v->mask]);
    }
}

/* The id of the first token where q's would stand, or -1. */
static int32_t likely_id(const struct vocab *v, const struct vocab_query *q) {
    return (int32_t)(uint32_t)v->slots[q->hash & v->mask] - 1;
}

void vocab_find_all(const struct vocab *v, struct vocab_query *q, int n) {
    vocab_seek(v, q, n);
    for (int i = 0; i < n; i++)
        if (likely_id(v, &q[i]) >= 0) __builtin_prefetch(&v->tokens[likely_id(v, &q[i])]);
    for (int i = 0; i < n; i++)
        if (likely_id(v, &q[i]) >= 0) __builtin_prefetch(v->tokens[likely_id(v, &q[i])]);
    for (int i = 0; i < n; i++) q[i].id = (int32_t)(uint32_t)*find_slot(v, q[i].token, q[i].bytes, q[i].hash) - 1;
}

const char *vocab_token(const struct vocab *v, int32_t id) {
    assert(id >= 0 && id < v->n);
    return v->tokens[id];
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

void merges_init(struct merges *m, struct arena *a, size_t capacity) {
    *m = (struct merges){.mask = table_mask(capacity), .key = random_key()};
    m->slots = arena_array(a, m->mask + 1, sizeof *m->slots);
}

static uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t)(left + 1) << 32 | (uint32_t)(right + 1);
}

void merges_prefetch(const struct merges *m, int32_t left, int32_t right) {
    uint64_t pair = pair_of(left, right);
    __builtin_prefetch(&m->slots[sip_hash(m->key, &pair, sizeof pair) & m->mask]);
}

static struct merge *find_merge(const struct merges *m, uint64_t pair) {
    size_t i = sip_hash(m->key, &pair, sizeof pair) & m->mask;
    while (m->slots[i].pair && m->slots[i].pair != pair) i = (i + 1) & m->mask;
    return &m->slots[i];
}

bool merges_put(struct merges *m, int32_t left, int32_t right, uint32_t rank, int32_t id) {
    uint64_t pair = pair_of(left, right);
    struct merge *slot = find_merge(m, pair);
    if (slot->pair) return false;
    *slot = (struct merge){pair, rank, id};
    return true;
}

const struct merge *merges_find(const struct merges *m, int32_t left, int32_t right) {
    const struct merge *slot = find_merge(m, pair_of(left, right));
    return slot->pair ? slot : NULL;
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static int compare_added(const void *a, const void *b) {
    const struct added *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
    return order ? order : x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

void added_index(struct added_set *s) {
    qsort(s->items, (size_t)s->n, sizeof *s->items, compare_added);
    for (int b = 0, i = 0; b <= 256; b++) {
        while (i < s->n && (unsigned char)s->items[i].text[0] < b) i++;
        s->first[b] = i;
    }
}

/* The first of items[low, high), which agree before byte `at` and are in order, whose byte there is at least c; one that ends there comes
 * before all. */
static int lower_bound(const struct added_set *s, int low, int high, size_t at, int c) {
    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct added *x = &s->items[middle];
        if (x->bytes > at && (unsigned char)x->text[at] >= c) high = middle;
        else low = middle + 1;
    }
    return low;
}

static bool has_byte(const struct added *x, size_t at, int c) {
    return x->bytes > at && (unsigned char)x->text[at] == c;
}

/* Byte by byte, those that agree so far: time in the length of what agrees, whatever their number. */
const struct added *added_match(const struct added_set *s, const char *text, size_t n) {
    const struct added *best = NULL;
    int low = s->first[(unsigned char)text[0]], high = s->first[(unsigned char)text[0] + 1];
    for (size_t at = 1; low < high; at++) {
        if (s->items[low].bytes == at) best = &s->items[low]; /* the first declared of equal ones */
        if (at == n) break;
        int c = (unsigned char)text[at];
        if (has_byte(&s->items[low], at, c) && has_byte(&s->items[high - 1], at, c)) continue;
        low = lower_bound(s, low, high, at, c);
        high = lower_bound(s, low, high, at, c + 1);
    }
    return best;
}
