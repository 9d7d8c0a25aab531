/* CLIP's own vocabulary, for checkpoints without one: 256 bytes, the same at the end of a word, 48 894 merges, two special tokens.
 * clip_merges.z holds the merges (test/reference/make_clip_merges.py writes it): what a merge makes is the next token, so the ids of its
 * two parts say all. The vocabulary is OpenAI's, under the MIT licence (LICENSE). */
#include <string.h>
#include <zlib.h>
#include "engine/base/error.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_vocab.h"

enum { N_BYTES = 256, N_MERGES = 48894, N_TOKENS = 2 * N_BYTES + N_MERGES + 2 };

__asm__(".pushsection .rodata\n"
        "clip_merges_begin: .incbin \"tokenizer/clip_merges.z\"\n"
        "clip_merges_end: .popsection\n");
extern const unsigned char clip_merges_begin[], clip_merges_end[];

/* planes [4][N_MERGES]: high bytes of the left ids, of the right ones, then the low bytes of both. */
static void unpack(unsigned char *planes) {
    uLongf n = 4 * N_MERGES;
    int error = uncompress(planes, &n, clip_merges_begin, (uLong)(clip_merges_end - clip_merges_begin));
    if (error == Z_MEM_ERROR) die(FAIL_MEMORY, "out of memory: %d bytes for the built-in vocabulary", 4 * N_MERGES);
    if (error != Z_OK || n != 4 * N_MERGES) die(FAIL_INTERNAL, "the built-in vocabulary is damaged");
}

/* Two texts one behind the other as the next token; its id. */
static int32_t put(struct clip_bpe *t, const char *one, const char *other) {
    size_t n = strlen(one), m = strlen(other);
    char *token = arena_alloc(t->arena, n + m + 1);
    memcpy(token, one, n);
    memcpy(token + n, other, m);
    vocab_put(&t->vocab, token, n + m, t->vocab.n);
    return t->vocab.n - 1;
}

/* Those that stand for themselves come first. */
static void put_bytes(struct clip_bpe *t, const char *end) {
    for (int seen = 1; seen >= 0; seen--)
        for (int byte = 0; byte < N_BYTES; byte++) {
            char token[CLIP_BYTE_TEXT];
            if (clip_byte_text(byte, token) == seen) put(t, token, end);
        }
}

static void put_merges(struct clip_bpe *t) {
    unsigned char *high[2] = {arena_alloc(t->arena, 4 * N_MERGES)}, *low[2];
    unpack(high[0]);
    high[1] = high[0] + N_MERGES, low[0] = high[1] + N_MERGES, low[1] = low[0] + N_MERGES;
    merges_init(&t->merges, t->arena, N_MERGES);
    for (int i = 0; i < N_MERGES; i++) {
        int32_t left = high[0][i] << 8 | low[0][i], right = high[1][i] << 8 | low[1][i];
        int32_t id = put(t, vocab_token(&t->vocab, left), vocab_token(&t->vocab, right));
        merges_put(&t->merges, left, right, (uint32_t)i, id);
    }
}

struct clip_bpe *clip_bpe_builtin(struct arena *a, const char *config) {
    struct clip_bpe *t = arena_alloc(a, sizeof *t);
    t->arena = a;
    vocab_init(&t->vocab, a, N_TOKENS + ADDED_MAX);
    put_bytes(t, "");
    put_bytes(t, "</w>");
    put_merges(t);
    put(t, "<|startoftext|>", "");
    put(t, "<|endoftext|>", "");
    clip_set_byte_ids(t);
    clip_special_builtin(t, config);
    return t;
}
