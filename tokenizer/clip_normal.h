/* What CLIP does to a text before it looks for words: NFC, runs of white space to one blank, lower case per code point;
 * every byte of the result remembers the bytes of the source it came from. Classes, cases and combining marks are those
 * of the tokenizers library (0.23: Oniguruma with Unicode 16, Rust's Unicode 17, NFC of Unicode 9), where libutf8proc
 * has another Unicode version. */
#ifndef TOKENIZER_CLIP_NORMAL_H
#define TOKENIZER_CLIP_NORMAL_H

#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct clip_normal {
    char *bytes;           /* [n] UTF-8 */
    uint32_t *begin, *end; /* [n] byte range of the source behind each byte */
    size_t n;
};

/* Normalizes source[begin..end), valid UTF-8 below 4 GiB. A character that NFC changed stands for its whole combining
 * sequence. */
struct clip_normal clip_normalize(struct arena *a, const char *source, size_t begin, size_t end);

enum clip_class { CLIP_SPACE, CLIP_LETTER, CLIP_NUMBER, CLIP_OTHER }; /* \s, \p{L}, \p{N}, the rest */

enum clip_class clip_class_of(uint32_t cp);
/* The lower case of cp in lower[0..result), 1 or 2 code points. */
int clip_lower(uint32_t cp, uint32_t lower[2]);

#endif
