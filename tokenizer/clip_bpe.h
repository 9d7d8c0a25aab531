/* CLIP's byte-pair tokenizer exactly as transformers >= 5 runs it (the "fast" dialect): NFC, lower case per code point, no control
 * stripping, no CJK spacing; words split by 's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+ and ByteLevel. */
#ifndef TOKENIZER_CLIP_BPE_H
#define TOKENIZER_CLIP_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/arena.h"

struct clip_bpe;

/* Reads DIR/vocab.json, merges.txt, special_tokens_map.json, tokenizer_config.json, added_tokens.json (the last three optional), or
 * DIR/tokenizer.json where there are no vocab.json and merges.txt (only the normalizer and pre-tokenizer CLIP uses; others FAIL_UNSUPPORTED).
 * Everything is checked: ids 0..n-1 once, merges within the vocabulary, special tokens present. Dies FAIL_INPUT, FAIL_DATA. */
struct clip_bpe *clip_bpe_open(struct arena *a, const char *dir);

int clip_bpe_vocab_size(const struct clip_bpe *t);
/* model_max_length of the tokenizer, or 0 where it says none (transformers writes 1e30). */
int clip_bpe_max_length(const struct clip_bpe *t);
int clip_bpe_eos(const struct clip_bpe *t);
int clip_bpe_pad(const struct clip_bpe *t);

/* One token and the bytes of the text it came from. */
struct clip_piece {
    int32_t id;
    size_t begin, end; /* byte range in the prompt as given */
};

/* All pieces of the UTF-8 text, without bos/eos, untruncated; *n receives their number. Dies FAIL_USAGE on invalid UTF-8 or more than
 * 64 KiB. Time O(bytes log bytes). */
struct clip_piece *clip_bpe_pieces(struct arena *a, const struct clip_bpe *t, const char *text, int *n);

/* ids[0..length) = bos, pieces, eos, padding, truncated as transformers does (padding="max_length", truncation=True).
 * Returns the number of pieces cut off; *cut_at receives the byte offset in the text of the first of them. */
int clip_bpe_encode(struct arena *a, const struct clip_bpe *t, const char *text, int32_t *ids, int length, size_t *cut_at);

/* The token's own text as printable UTF-8 ("cat</w>"), in the tokenizer's arena. */
const char *clip_bpe_token(const struct clip_bpe *t, int32_t id);

#endif
