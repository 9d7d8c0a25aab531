#include "engine/files/dialect.h"

#include <stdlib.h>
#include <string.h>
#include "engine/base/buffer.h"

enum { NUMBERS_MAX = 4, DIGITS_MAX = 6 };

/* Bytes of text that the pattern matches at its beginning, or 0. */
static size_t match(const char *pattern, const char *text, int numbers[NUMBERS_MAX]) {
    const char *at = text;
    for (int n = 0; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*at++ != *pattern) return 0;
            continue;
        }
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > DIGITS_MAX || n == NUMBERS_MAX) return 0;
        numbers[n++] = atoi(at);
        at += digits;
    }
    return (size_t)(at - text);
}

/* The sum behind a '{'; *end receives what follows its '}'. */
static long evaluate(const char *sum, const int numbers[NUMBERS_MAX], const char **end) {
    long value = 0;
    while (*sum != '}') {
        long sign = *sum == '-' ? -1 : 1, factor = 1;
        if (*sum == '+' || *sum == '-') sum++;
        bool constant = *sum >= '0' && *sum <= '9';
        if (constant) factor = strtol(sum, (char **)&sum, 10);
        if (*sum >= 'a' && *sum < 'a' + NUMBERS_MAX) factor *= numbers[*sum++ - 'a'];
        value += sign * factor;
    }
    *end = sum + 1;
    return value;
}

/* False where a sum is negative: they have no such tensor. */
static bool put_theirs(struct buffer *b, const char *theirs, const int numbers[NUMBERS_MAX]) {
    while (*theirs) {
        size_t plain = strcspn(theirs, "{");
        buffer_add(b, theirs, plain);
        theirs += plain;
        if (!*theirs) break;
        long value = evaluate(theirs + 1, numbers, &theirs);
        if (value < 0) return false;
        buffer_printf(b, "%ld", value);
    }
    return true;
}

/* The name with what the rename says in place of ours; NULL where it does not fit, *none where they have no such tensor. */
static const char *rename_by(struct arena *a, const struct rename *r, const char *name, bool *none) {
    for (const char *at = name; at; at = strchr(at, '.')) {
        int numbers[NUMBERS_MAX] = {0};
        if (*at == '.') at++;
        size_t n = match(r->ours, at, numbers);
        if (n == 0) continue;
        struct buffer b = {.arena = a};
        buffer_printf(&b, "%.*s", (int)(at - name), name);
        *none = !put_theirs(&b, r->theirs, numbers);
        buffer_printf(&b, "%s", at + n);
        return b.data;
    }
    return NULL;
}

const char *dialect_name(struct arena *a, const struct dialect *d, const char *name, enum take *take) {
    const char *theirs = name;
    bool none = false;
    *take = TAKE_ALL;
    for (const struct rename *r = d->renames; r->ours; r++) {
        const char *renamed = rename_by(a, r, theirs, &none);
        if (none) return NULL;
        if (!renamed) continue;
        theirs = renamed;
        if (r->take) *take = r->take;
    }
    if (theirs == name && !*d->prefix) return NULL;
    return arena_printf(a, "%s%s", d->prefix, theirs);
}

const struct tensor *dialect_take(struct arena *a, const struct tensor *t, enum take take) {
    if (take == TAKE_ALL) return t;
    if (take == TAKE_TRANSPOSED) return t->rank == 2 ? tensor_transpose(a, t) : NULL;
    if (t->rank == 0 || t->shape[0] % 3) return NULL;
    return tensor_rows(a, t, (take - TAKE_THIRD_1) * (t->shape[0] / 3), t->shape[0] / 3);
}
