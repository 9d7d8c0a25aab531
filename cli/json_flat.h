/* A JSON object from a stranger as a list of its values by path, numbers as they were written. */
#ifndef CLI_JSON_FLAT_H
#define CLI_JSON_FLAT_H

#include <stdbool.h>
#include "engine/base/arena.h"

enum { JSON_FLAT_MAX = 4096 };

struct json_value {
    const char *path; /* "3.inputs.positive.0": keys and places in lists */
    const char *text; /* a string's, a number's, "true", "false", "null" */
    bool is_string, is_null;
};

struct json_flat {
    int n;
    struct json_value *values; /* in order */
};

/* name: for messages. Dies FAIL_DATA: malformed ("line L column C"), a path that stands twice, more than JSON_FLAT_MAX values. */
struct json_flat json_flatten(struct arena *a, const char *text, const char *name);
/* NULL: absent or null. */
const char *json_flat_text(const struct json_flat *f, const char *path);

#endif
