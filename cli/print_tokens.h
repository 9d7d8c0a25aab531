/* What --tokens prints: a line for each token of a text, its chunk and its weight where there are such, or one JSON object. */
#ifndef CLI_PRINT_TOKENS_H
#define CLI_PRINT_TOKENS_H

#include "tokenizer/chunks.h"

/* text: as it was given; length: of a chunk's context (77). */
void print_tokens(const struct clip_bpe *tokenizer, const char *text, const struct chunks *c, int length, bool json, bool color);

#endif
