/* RFC 8259 as a pull reader: one token a call, a bit per level instead of recursion. */
#include "engine/base/json.h"

#include <string.h>
#include "engine/base/text.h"

enum expect { VALUE, VALUE_OR_END, KEY_OR_END, COMMA_OR_END, NOTHING, FAILED };

void json_scan_begin(struct json_scan *s, const char *text, size_t length, char *buffer, size_t string_max) {
    *s = (struct json_scan){.text = text, .length = length, .buffer = buffer, .string_max = string_max, .expect = VALUE};
}

static enum json_token fail(struct json_scan *s, const char *error) {
    s->error = error;
    s->expect = FAILED;
    return JSON_ERROR;
}

/* The next byte, or -1 at the end. */
static int peek(const struct json_scan *s) {
    return s->at < s->length ? (unsigned char)s->text[s->at] : -1;
}

static void skip_blanks(struct json_scan *s) {
    for (int c = peek(s); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(s)) s->at++;
}

/* What may follow a value, given the level we are back on. */
static enum json_token value_done(struct json_scan *s, enum json_token token) {
    s->expect = s->depth ? COMMA_OR_END : NOTHING;
    return token;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static bool keep(struct json_scan *s, const char *bytes, size_t n) {
    if (!s->buffer) return true;
    if (n > s->string_max - s->string_length) return fail(s, "string too long"), false;
    memcpy(s->buffer + s->string_length, bytes, n);
    s->string_length += n;
    return true;
}

static bool read_hex4(struct json_scan *s, uint32_t *value) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int digit = hex_value(peek(s));
        if (digit < 0) return fail(s, "bad \\u escape"), false;
        v = v << 4 | (uint32_t)digit;
    }
    *value = v;
    return true;
}

/* XXXX of \uXXXX, with the second half of a surrogate pair. */
static bool read_unicode(struct json_scan *s) {
    uint32_t cp, low;
    if (!read_hex4(s, &cp)) return false;
    if (cp == 0) return fail(s, "\\u0000 in a string"), false;
    if (cp >= 0xd800 && cp <= 0xdfff) {
        if (cp > 0xdbff || s->length - s->at < 6 || memcmp(s->text + s->at, "\\u", 2) != 0) return fail(s, "half a surrogate pair"), false;
        s->at += 2;
        if (!read_hex4(s, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return fail(s, "half a surrogate pair"), false;
        cp = 0x10000 + ((cp - 0xd800) << 10 | (low - 0xdc00));
    }
    char utf8[4];
    return keep(s, utf8, (size_t)utf8_encode(utf8, cp));
}

static bool read_escape(struct json_scan *s) {
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    int c = peek(s);
    s->at++;
    if (c == 'u') return read_unicode(s);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter) return s->at--, fail(s, "bad escape"), false;
    return keep(s, bytes + (letter - letters), 1);
}

/* From the opening quote to the closing one. */
static bool read_string(struct json_scan *s) {
    s->string = s->buffer;
    s->string_length = 0;
    s->at++;
    for (;;) {
        size_t begin = s->at, bad;
        bool ascii = true;
        int c;
        while ((c = peek(s)) >= 0x20 && c != '"' && c != '\\') ascii &= c < 0x80, s->at++;
        if (!ascii && !utf8_valid(s->text + begin, s->at - begin, &bad)) return s->at = begin + bad, fail(s, "not UTF-8"), false;
        if (!keep(s, s->text + begin, s->at - begin)) return false;
        if (c < 0) return fail(s, "string without end"), false;
        if (c < 0x20) return fail(s, "control character in a string"), false;
        s->at++;
        if (c == '"') break;
        if (!read_escape(s)) return false;
    }
    if (s->buffer) s->buffer[s->string_length] = 0;
    return true;
}

/* ---- other scalars ----------------------------------------------------------------------------------------------- */

static bool read_digits(struct json_scan *s) {
    size_t begin = s->at;
    while (peek(s) >= '0' && peek(s) <= '9') s->at++;
    return s->at > begin;
}

static bool read_word(struct json_scan *s, const char *word) {
    size_t n = strlen(word);
    if (s->length - s->at < n || memcmp(s->text + s->at, word, n) != 0) return false;
    s->at += n;
    return true;
}

static enum json_token read_number(struct json_scan *s) {
    s->number_begin = s->at;
    if (peek(s) == '-') s->at++;
    if (!(s->infinity && read_word(s, "Infinity"))) {
        if (peek(s) == '0') s->at++; /* no digit may follow: 007 is refused as two values */
        else if (!read_digits(s)) return fail(s, "bad number");
        if (peek(s) == '.' && (s->at++, !read_digits(s))) return fail(s, "bad number");
        if (peek(s) == 'e' || peek(s) == 'E') {
            s->at++;
            if (peek(s) == '+' || peek(s) == '-') s->at++;
            if (!read_digits(s)) return fail(s, "bad number");
        }
    }
    s->number_end = s->at;
    return value_done(s, JSON_NUMBER);
}

bool json_scan_u64(const struct json_scan *s, uint64_t *value) {
    uint64_t v = 0;
    for (size_t i = s->number_begin; i < s->number_end; i++) {
        if (s->text[i] < '0' || s->text[i] > '9') return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s->text[i] - '0'), &v)) return false;
    }
    *value = v;
    return true;
}

/* ---- structure --------------------------------------------------------------------------------------------------- */

static enum json_token open_level(struct json_scan *s, bool object) {
    if (s->depth == JSON_DEPTH_MAX) return fail(s, "nested too deeply");
    s->at++;
    uint32_t bit = 1u << s->depth++;
    s->is_object = object ? s->is_object | bit : s->is_object & ~bit;
    s->expect = object ? KEY_OR_END : VALUE_OR_END;
    return object ? JSON_OBJECT : JSON_ARRAY;
}

static bool in_object(const struct json_scan *s) {
    return s->is_object >> (s->depth - 1) & 1;
}

static enum json_token close_level(struct json_scan *s, bool object) {
    s->at++;
    s->depth--;
    return value_done(s, object ? JSON_OBJECT_END : JSON_ARRAY_END);
}

static enum json_token read_key(struct json_scan *s) {
    if (peek(s) != '"') return fail(s, "expected a key");
    if (!read_string(s)) return JSON_ERROR;
    skip_blanks(s);
    if (peek(s) != ':') return fail(s, "expected ':'");
    s->at++;
    s->expect = VALUE;
    return JSON_KEY;
}

static enum json_token read_value(struct json_scan *s) {
    int c = peek(s);
    if (c == '{' || c == '[') return open_level(s, c == '{');
    if (c == '"') return read_string(s) ? value_done(s, JSON_STRING) : JSON_ERROR;
    if (c == '-' || (c >= '0' && c <= '9') || (c == 'I' && s->infinity)) return read_number(s);
    if (read_word(s, "true")) return value_done(s, JSON_TRUE);
    if (read_word(s, "false")) return value_done(s, JSON_FALSE);
    if (read_word(s, "null")) return value_done(s, JSON_NULL);
    if (c == 0xef) return fail(s, "expected a value, found a byte order mark or other text");
    return fail(s, c < 0 ? "ends too soon" : "expected a value");
}

enum json_token json_scan_next(struct json_scan *s) {
    if (s->expect == FAILED) return JSON_ERROR;
    skip_blanks(s);
    int c = peek(s);
    switch (s->expect) {
    case NOTHING: return c < 0 ? JSON_END : fail(s, "something follows the end");
    case KEY_OR_END: return c == '}' ? close_level(s, true) : read_key(s);
    case VALUE_OR_END: return c == ']' ? close_level(s, false) : read_value(s);
    case COMMA_OR_END:
        if (c == (in_object(s) ? '}' : ']')) return close_level(s, in_object(s));
        if (c != ',') return fail(s, c < 0 ? "ends too soon" : in_object(s) ? "expected ',' or '}'" : "expected ',' or ']'");
        s->at++;
        skip_blanks(s);
        return in_object(s) ? read_key(s) : read_value(s);
    default: return read_value(s);
    }
}

enum json_token json_scan_skip(struct json_scan *s, enum json_token first) {
    char *buffer = s->buffer;
    int outer = s->depth - (first == JSON_OBJECT || first == JSON_ARRAY);
    s->buffer = NULL;
    while (s->depth > outer && first != JSON_ERROR) first = json_scan_next(s);
    s->buffer = buffer;
    return first;
}

void json_scan_place(const struct json_scan *s, size_t at, size_t *line, size_t *column) {
    *line = *column = 1;
    for (size_t i = 0; i < at && i < s->length; i++) {
        ++*column;
        if (s->text[i] == '\n') ++*line, *column = 1;
    }
}
