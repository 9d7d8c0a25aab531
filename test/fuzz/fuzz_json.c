/* The JSON readers: the pull reader over the raw text, then the tree and every getter on every key of what was
 * accepted. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/text.h"

static void scan_all(struct arena *a, const char *text, size_t n) {
    struct json_scan s;
    json_scan_begin(&s, text, n, arena_alloc(a, 17), 16);
    enum json_token token;
    size_t steps = 0;
    do {
        uint64_t value;
        token = json_scan_next(&s);
        if (token == JSON_NUMBER) json_scan_u64(&s, &value);
        if (token == JSON_ARRAY) token = json_scan_skip(&s, token);
        assert(s.at <= n && s.depth >= 0 && s.depth <= JSON_DEPTH_MAX && ++steps <= n + 1);
        if (token == JSON_KEY || token == JSON_STRING) assert(strlen(s.string) == s.string_length && s.string_length <= 16);
    } while (token != JSON_END && token != JSON_ERROR);
}

/* Each getter dies on a value of another type; that ends its job and nothing else. */
#define TRY(expression)                                                                             \
    do {                                                                                            \
        struct job job;                                                                             \
        if (job_enter(&job)) {                                                                      \
            expression;                                                                             \
            job_leave(&job);                                                                        \
        } else assert(job.code == FAIL_DATA && utf8_valid(job.message, strlen(job.message), NULL)); \
    } while (0)

static void get_one(struct arena *a, const struct json *o, const char *key) {
    static int64_t integers[8];
    static double numbers[8];
    static const char *strings[8];
    assert(json_has(o, key));
    TRY(json_int(o, key, 0, -100, INT64_MAX));
    TRY(assert(!isnan(json_number(o, key, 0, -INFINITY, INFINITY))));
    TRY(json_bool(o, key, false));
    TRY(json_string(o, key, ""));
    TRY(json_int_array(o, key, integers, 8, 0, 1000, true));
    TRY(json_number_array(o, key, numbers, 8));
    TRY(json_string_array(o, key, strings, 8));
    TRY(struct json *inner = json_object(a, o, key); if (inner) json_n_keys(inner));
}

static void get_all(struct arena *a, const struct json *o) {
    for (int i = 0, n = json_n_keys(o); i < n && i < 64; i++) get_one(a, o, json_key(o, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    scan_all(&arena, (const char *)data, n);
    if (job_enter(&job)) {
        get_all(&arena, json_parse(&arena, (const char *)data, n, "fuzz"));
        job_leave(&job);
    } else {
        assert(job.code == FAIL_DATA);
    }
    arena_free(&arena);
    return 0;
}
