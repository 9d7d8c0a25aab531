/* CLIP's byte-pair tokenizer exactly as transformers >= 5 runs it (the "fast" dialect): NFC, lower case per code point,
 * no control stripping, no CJK spacing; words split by 's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+ and
 * ByteLevel. */
#ifndef TOKENIZER_CLIP_BPE_H
#define TOKENIZER_CLIP_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct clip_bpe;

/* Reads DIR/tokenizer.json where there is one, as transformers does, else DIR/vocab.json and merges.txt; and
 * special_tokens_map.json, tokenizer_config.json and added_tokens.json, where they are. Everything is checked: ids
 * 0..n-1 once, merges within the vocabulary, each pair once, special tokens present. Dies FAIL_INPUT, FAIL_DATA, or
 * FAIL_UNSUPPORTED where the files ask for another tokenizer than CLIP's or an option we do not have (left padding,
 * single_word …). */
struct clip_bpe *clip_bpe_open(struct arena *a, const char *dir);

/* The one CLIP was released with, which all models of the Stable Diffusion family share but for the padding; it is part of the program.
 * config: the text of a tokenizer_config.json. */
struct clip_bpe *clip_bpe_builtin(struct arena *a, const char *config);

int clip_bpe_vocab_size(const struct clip_bpe *t);
/* model_max_length of the tokenizer, or 0 where it says none (transformers writes 1e30). */
int clip_bpe_max_length(const struct clip_bpe *t);

/* One token and the bytes of the text it came from. */
struct clip_piece {
    int32_t id;
    size_t begin, end; /* byte range in the prompt as given */
};

/* All pieces of the UTF-8 text, without bos/eos, untruncated; *n receives their number. Dies FAIL_USAGE on invalid
 * UTF-8 or more than 64 KiB. Time O(bytes log bytes). */
struct clip_piece *clip_bpe_pieces(struct arena *a, const struct clip_bpe *t, const char *text, int *n);

/* A tokenizer with n tokens more at the end of the vocabulary, in order, which are found in texts as diffusers' (tokenizer.add_tokens) are:
 * after normal form and lower case, their own as well. t stays as it is, and must outlive it. Dies FAIL_USAGE where there is one already,
 * or one is empty or longer than a token may be. */
struct clip_bpe *clip_bpe_with(struct arena *a, const struct clip_bpe *t, const char *const *tokens, int n);

/* The text with every added token of several vectors, <x>, <x>_1, <x>_2 …, written out: "<x> <x>_1 <x>_2" for "<x>", as diffusers does
 * before it encodes (maybe_convert_prompt). Dies as clip_bpe_pieces, and where that makes it longer than 64 KiB. */
const char *clip_bpe_convert(struct arena *a, const struct clip_bpe *t, const char *text);

/* What stands around a text's tokens. */
struct clip_frame {
    int32_t bos, eos, pad;
};
struct clip_frame clip_bpe_frame(const struct clip_bpe *t);
/* The id of a token by its text as in the vocabulary, or -1. */
int32_t clip_bpe_find(const struct clip_bpe *t, const char *token);
/* How many vectors the word has that begins with this token: 1 but for an added one of several. */
int clip_bpe_vectors(const struct clip_bpe *t, int32_t id);

/* ids[0..length) = bos, pieces, eos, padding, truncated as transformers does (padding="max_length", truncation=True).
 * Returns the number of pieces cut off; *cut_at receives the byte offset in the text of the first of them, or the
 * text's length. length >= 2. */
int clip_bpe_encode(struct arena *a, const struct clip_bpe *t, const char *text, int32_t *ids, int length, size_t *cut_at);

/* The token's own text as in the vocabulary ("cat</w>", bytes as GPT-2's printable stand-ins), in the tokenizer's
 * arena. */
const char *clip_bpe_token(const struct clip_bpe *t, int32_t id);

#endif
