/* Reading a tokenizer's JSON token by token: whatever is malformed ends the job with its place. */
#ifndef TOKENIZER_CLIP_READ_H
#define TOKENIZER_CLIP_READ_H

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "tokenizer/clip_vocab.h"

struct reader {
    struct json_scan s;
    struct arena *arena; /* for what is kept */
    const char *path;
    char string[LINE_BYTES_MAX + 1];
};

/* Keys and strings longer than string_max <= LINE_BYTES_MAX bytes are refused. */
static inline void reader_begin(struct reader *r, struct arena *a, struct json_span span, size_t string_max) {
    r->arena = a;
    r->path = span.path;
    json_scan_begin(&r->s, span.text, span.end, r->string, string_max);
    r->s.at = span.begin;
}

static inline _Noreturn void reader_fail(const struct reader *r, const char *what) {
    size_t line, column;
    json_scan_place(&r->s, r->s.at, &line, &column);
    die(FAIL_DATA, "%s: line %zu column %zu: %s", r->path, line, column, what);
}

static inline enum json_token reader_next(struct reader *r) {
    enum json_token token = json_scan_next(&r->s);
    if (token == JSON_ERROR) reader_fail(r, r->s.error);
    return token;
}

/* `what` says what was expected. */
static inline void reader_want(struct reader *r, enum json_token token, const char *what) {
    if (reader_next(r) != token) reader_fail(r, what);
}

/* Skips the next value, however long its strings are. */
static inline void reader_skip(struct reader *r) {
    r->s.buffer = NULL;
    enum json_token last = json_scan_skip(&r->s, json_scan_next(&r->s));
    r->s.buffer = r->string;
    if (last == JSON_ERROR) reader_fail(r, r->s.error);
}

#endif
