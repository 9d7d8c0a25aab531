/* JSON from strangers, strictly.
 *
 * json_scan is a pull reader: no tree, no recursion, linear time, exact integers; it reads safetensors headers, shard indexes and
 * vocabularies of any legal size. json_parse builds a tree for small configuration files: the scan checks it first (UTF-8, no \u0000, no
 * duplicate keys, size <= 1 MiB, depth <= 16, <= 20 000 nodes, nothing after the end), then cJSON parses it.
 * The getters die with "FILE: field 'KEY': expected …, found …". */
#ifndef ENGINE_BASE_JSON_H
#define ENGINE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

/* ---- pull reader ------------------------------------------------------------------------------------------------- */

enum json_token {
    JSON_END,
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_ERROR
};

enum { JSON_DEPTH_MAX = 16 };

struct json_scan {
    const char *text;
    size_t length, at; /* at: byte offset of the next character, or of the error */
    const char *error; /* after JSON_ERROR: what is wrong */
    char *string;      /* after JSON_KEY and JSON_STRING: unescaped, NUL-terminated, in `buffer` */
    size_t string_length;
    size_t number_begin, number_end; /* after JSON_NUMBER: its text */
    int depth;
    uint32_t is_object; /* bit d: level d is an object */
    int expect;
    char *buffer; /* the caller's, string_max + 1 bytes; a longer string is an error. NULL: strings are checked, not kept */
    size_t string_max;
    bool infinity; /* Infinity and -Infinity are numbers, as Python's json writes them */
};

void json_scan_begin(struct json_scan *s, const char *text, size_t length, char *buffer, size_t string_max);
enum json_token json_scan_next(struct json_scan *s);
/* The number just read as an unsigned integer written as digits only; false if it is not one or does not fit. */
bool json_scan_u64(const struct json_scan *s, uint64_t *value);
/* Line and column (in bytes) of an offset, from 1. */
void json_scan_place(const struct json_scan *s, size_t at, size_t *line, size_t *column);
/* Skips the value whose first token was just returned. */
enum json_token json_scan_skip(struct json_scan *s, enum json_token first); /* its last token, or JSON_ERROR */

/* ---- small documents --------------------------------------------------------------------------------------------- */

struct json; /* an object, with its file's path for messages; lives in the arena it was parsed into */

/* The whole file must be one JSON object. Infinity and -Infinity are numbers here: schedulers' configs have them. Dies FAIL_INPUT (missing,
 * not a regular file), FAIL_DATA (malformed: "line L column C"). */
struct json *json_load(struct arena *a, const char *path);
struct json *json_parse(struct arena *a, const char *text, size_t length, const char *path);
/* One line of a file, place being "FILE: line N": what is malformed, and a field of another type, is "FILE: line N column C". */
struct json *json_parse_line(struct arena *a, const char *text, size_t length, const char *place);

const char *json_path(const struct json *o);
/* What a message about a key there begins with: json_path, and of one line, "FILE: line N column C", where the key stands, in bytes,
 * from 1. */
const char *json_place(struct arena *a, const struct json *o, const char *key);
bool json_has(const struct json *o, const char *key); /* present, null included */
bool json_is_string(const struct json *o, const char *key);
bool json_is_null(const struct json *o, const char *key); /* absent or null */

/* Absent or null gives the default; a wrong type or range dies FAIL_DATA. */
int64_t json_int(const struct json *o, const char *key, int64_t fallback, int64_t min, int64_t max);
double json_number(const struct json *o, const char *key, double fallback, double min, double max);
/* The number under `key` of the outermost object, digit for digit: a double is exact below 2^53 alone. */
const char *json_number_text(struct arena *a, const struct json *o, const char *key);
/* Null is false, whatever the default: as Python's None, which a config hands on, counts where a flag is asked for. */
bool json_bool(const struct json *o, const char *key, bool fallback);
const char *json_string(const struct json *o, const char *key, const char *fallback);
/* The nested object, or NULL if absent or null. */
struct json *json_object(struct arena *a, const struct json *o, const char *key);
/* Arrays of at most max_n items; returns the number read, -1 if absent or null. A scalar counts as an array of one where scalar_ok. */
int json_int_array(const struct json *o, const char *key, int64_t *values, int max_n, int64_t min, int64_t max, bool scalar_ok);
/* A list whose items are integers or lists of at most max_m of them: item i is values[i*max_m…]; counts[i] of a list, 0 where it is a lone
 * integer. Returns the number of items as above. */
int json_int_lists(const struct json *o, const char *key, int64_t *values, int *counts, int max_n, int max_m, int64_t min, int64_t max);
int json_bool_array(const struct json *o, const char *key, bool *values, int max_n, bool scalar_ok);
int json_number_array(const struct json *o, const char *key, double *values, int max_n);
/* values[i] NULL for a null item */
int json_string_array(const struct json *o, const char *key, const char **values, int max_n);
bool json_is_array(const struct json *o, const char *key);
bool json_is_object(const struct json *o, const char *key);
/* The keys of the object in order, for "unknown key" checks. */
int json_n_keys(const struct json *o);
const char *json_key(const struct json *o, int i);

#endif
