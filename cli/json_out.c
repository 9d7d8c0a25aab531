#include "cli/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/text.h"

/* The bytes at s that make one code point, or 0 where they are not UTF-8. */
static size_t code_point(const char *s, uint32_t *cp) {
    for (size_t n = 1; n <= 4 && s[n - 1]; n++)
        if (utf8_valid(s, n, NULL)) return (size_t)utf8_decode(s, cp);
    return 0;
}

void json_quote(struct buffer *b, const char *value) {
    static const char plain[] = "\"\\\n\r\t\b\f", escaped[] = "\"\\nrtbf";
    buffer_add(b, "\"", 1);
    for (size_t n; *value; value += n ? n : 1) {
        uint32_t cp = 0;
        n = code_point(value, &cp);
        const char *simple = strchr(plain, *value);
        if (!n) buffer_printf(b, "\xef\xbf\xbd");
        else if (simple) buffer_printf(b, "\\%c", escaped[simple - plain]);
        else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) buffer_printf(b, "\\u%04x", (unsigned)cp);
        else buffer_add(b, value, n);
    }
    buffer_add(b, "\"", 1);
}

static void begin_value(struct json_out *j, const char *key) {
    if (j->comma) buffer_add(&j->text, ",", 1);
    j->comma = true;
    if (!key) return;
    json_quote(&j->text, key);
    buffer_add(&j->text, ":", 1);
}

void json_out_open(struct json_out *j, const char *key, char bracket) {
    begin_value(j, key);
    buffer_add(&j->text, &bracket, 1);
    j->comma = false;
}

void json_out_close(struct json_out *j, char bracket) {
    buffer_add(&j->text, bracket == '{' ? "}" : "]", 1);
    j->comma = true;
}

void json_out_string(struct json_out *j, const char *key, const char *value) {
    begin_value(j, key);
    if (value) json_quote(&j->text, value);
    else buffer_printf(&j->text, "null");
}

void json_out_u64(struct json_out *j, const char *key, uint64_t value) {
    begin_value(j, key);
    buffer_printf(&j->text, "%llu", (unsigned long long)value);
}

/* No setlocale anywhere in the program: the decimal point is '.'. */
void number_text(char out[NUMBER_TEXT_MAX], double value) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, NUMBER_TEXT_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
}

void float_text(char out[NUMBER_TEXT_MAX], float value) {
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, NUMBER_TEXT_MAX, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) break;
    }
}

void json_out_number(struct json_out *j, const char *key, double value) {
    char text[NUMBER_TEXT_MAX];
    begin_value(j, key);
    number_text(text, value);
    buffer_printf(&j->text, "%s", isfinite(value) ? text : "null");
}

void json_out_float(struct json_out *j, const char *key, float value) {
    char text[NUMBER_TEXT_MAX];
    begin_value(j, key);
    float_text(text, value);
    buffer_printf(&j->text, "%s", isfinite(value) ? text : "null");
}

void json_out_bool(struct json_out *j, const char *key, bool value) {
    begin_value(j, key);
    buffer_printf(&j->text, "%s", value ? "true" : "false");
}
