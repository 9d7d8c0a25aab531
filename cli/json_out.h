/* Writing JSON: one line, valid whatever the strings hold. */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buffer.h"

struct json_out {
    struct buffer text;
    bool comma; /* a value stands before the next one */
};

/* key NULL: an item of an array, or the whole document. bracket: '{' or '[', the same to open and to close. */
void json_out_open(struct json_out *j, const char *key, char bracket);
void json_out_close(struct json_out *j, char bracket);
/* NULL becomes null; bytes that are not UTF-8 become U+FFFD; control characters are escaped, DEL and C1 too. */
void json_out_string(struct json_out *j, const char *key, const char *value);
void json_out_u64(struct json_out *j, const char *key, uint64_t value);
/* The shortest text that reads back as the same double (float); not finite becomes null. */
void json_out_number(struct json_out *j, const char *key, double value);
void json_out_float(struct json_out *j, const char *key, float value);
void json_out_bool(struct json_out *j, const char *key, bool value);

enum { NUMBER_TEXT_MAX = 32 };
void number_text(char out[NUMBER_TEXT_MAX], double value);
void float_text(char out[NUMBER_TEXT_MAX], float value);
/* The quoted form alone. */
void json_quote(struct buffer *b, const char *value);

#endif
