/* What --show-schedule, --list and --tokens print: an aligned table, or one JSON object. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include "schedulers/scheduler.h"
#include "tokenizer/clip_bpe.h"

void print_schedule(const struct schedule *schedule, bool json);
void print_schedulers(bool json);
/* The text's pieces, and which fall beyond a context of `length` tokens (77). */
void print_tokens(const struct clip_bpe *tokenizer, const char *text, int length, bool json, bool color);

#endif
