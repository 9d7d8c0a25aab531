#include "engine/base/text.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- UTF-8 (RFC 3629) -------------------------------------------------------------------------------------------- */

/* Length of the sequence at s, of which n > 0 bytes exist, or 0 if it is not UTF-8. */
static int utf8_length(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) return 1;
    int length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (size_t)length > n) return 0;
    for (int i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0; /* overlong */
    if (s[0] == 0xed && s[1] > 0x9f) return 0; /* surrogates */
    if (s[0] == 0xf0 && s[1] < 0x90) return 0; /* overlong */
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0; /* beyond U+10FFFF */
    return length;
}

bool utf8_valid(const char *s, size_t n, size_t *bad_at) {
    for (size_t i = 0; i < n;) {
        int length = utf8_length((const unsigned char *)s + i, n - i);
        if (!length) {
            if (bad_at) *bad_at = i;
            return false;
        }
        i += (size_t)length;
    }
    return true;
}

int utf8_decode(const char *s, uint32_t *cp) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) return *cp = u[0], 1;
    if (u[0] < 0xe0) return *cp = (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu), 2;
    if (u[0] < 0xf0) return *cp = (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu), 3;
    return *cp = (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu), 4;
}

int utf8_encode(char *s, uint32_t cp) {
    if (cp < 0x80) return s[0] = (char)cp, 1;
    int length = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, cp >>= 6) s[i] = (char)(0x80 | (cp & 0x3f));
    s[0] = (char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | cp);
    return length;
}

/* ---- escaping ---------------------------------------------------------------------------------------------------- */

/* Code points that move the cursor, change direction or cannot be seen. */
static bool invisible(uint32_t cp) {
    static const uint32_t ranges[][2] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x115f, 0x1160}, {0x180e, 0x180e}, {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (cp >= ranges[i][0] && cp <= ranges[i][1]) return true;
    return false;
}

/* The escaped form of the character at s, at most 16 bytes; *used receives the bytes of s it took. */
static size_t escape_one(char out[16], const char *s, size_t n, size_t *used) {
    int length = utf8_length((const unsigned char *)s, n);
    uint32_t cp = 0;
    if (length) utf8_decode(s, &cp);
    *used = length ? (size_t)length : 1;
    if (length && !invisible(cp)) return memcpy(out, s, *used), *used;
    for (size_t i = 0; i < *used; i++) {
        static const char hex[] = "0123456789abcdef";
        unsigned char byte = (unsigned char)s[i];
        memcpy(out + 4 * i, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
    }
    return 4 * *used;
}

size_t escape_text(char *dst, size_t cap, const char *src, size_t n) {
    static const char cut_mark[] = "…";
    const size_t mark = sizeof cut_mark - 1;
    size_t at = 0, fits = 0; /* fits: where the text may be cut so that the mark still fits behind it */
    for (size_t i = 0, used; i < n; i += used) {
        char one[16];
        size_t length = escape_one(one, src + i, n - i, &used);
        if (at + length + 1 > cap) {
            if (fits + mark + 1 <= cap) memcpy(dst + fits, cut_mark, mark), at = fits + mark;
            break;
        }
        memcpy(dst + at, one, length);
        at += length;
        if (at + mark + 1 <= cap) fits = at;
    }
    if (cap) dst[at] = 0;
    return at;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The digits of s in the given base, all of s; at least one. */
static bool parse_digits(const char *s, unsigned base, uint64_t *value) {
    uint64_t v = 0;
    if (!*s) return false;
    for (; *s; s++) {
        int digit = hex_value(*s);
        if (digit < 0 || (unsigned)digit >= base) return false;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t)digit, &v)) return false;
    }
    *value = v;
    return true;
}

bool parse_u64(const char *s, uint64_t *value) {
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) return parse_digits(s + 2, 16, value);
    return parse_digits(s, 10, value);
}

bool parse_i64(const char *s, int64_t *value) {
    bool negative = *s == '-';
    uint64_t v;
    if (!parse_digits(s + negative, 10, &v) || v > (uint64_t)INT64_MAX + negative) return false;
    *value = (int64_t)(negative ? 0 - v : v);
    return true;
}

static const char *skip_digits(const char *s) {
    while (*s >= '0' && *s <= '9') s++;
    return s;
}

/* [-]digits[.digits][e[+-]digits], with a digit before or after the point */
static bool is_decimal(const char *s) {
    s += *s == '-';
    const char *p = skip_digits(s);
    long n_digits = p - s;
    if (*p == '.') s = p + 1, p = skip_digits(s), n_digits += p - s;
    if (!n_digits) return false;
    if (*p == 'e' || *p == 'E') {
        s = p + 1 + (p[1] == '+' || p[1] == '-');
        p = skip_digits(s);
        if (p == s) return false;
    }
    return !*p;
}

bool parse_double(const char *s, double *value) {
    static locale_t c_locale;
    if (!is_decimal(s)) return false;
    if (!c_locale) c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double v = c_locale ? strtod_l(s, NULL, c_locale) : strtod(s, NULL);
    if (!isfinite(v)) return false;
    *value = v;
    return true;
}

/* ---- suggestions ------------------------------------------------------------------------------------------------- */

enum { SUGGEST_MAX = 128 };

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Levenshtein 1966 with Damerau's exchange of neighbours as one edit, ASCII case ignored; a, b at most SUGGEST_MAX bytes. */
static size_t edit_distance(const char *a, const char *b) {
    size_t rows[3][SUGGEST_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2], n = strlen(b);
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *free_row = before;
        before = last, last = row, row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = last[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            size_t step = (row[j - 1] < last[j] ? row[j - 1] : last[j]) + 1;
            row[j] = change < step ? change : step;
            bool exchanged = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]);
            if (exchanged && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
        }
    }
    return row[n];
}

const char *suggest(const char *name, const char *const *candidates) {
    const char *best = NULL;
    size_t length = strlen(name), best_distance = length / 3 + 1;
    if (length > SUGGEST_MAX) return NULL;
    for (; *candidates; candidates++) {
        if (strlen(*candidates) > SUGGEST_MAX) continue;
        size_t distance = edit_distance(name, *candidates);
        if (distance < best_distance) best = *candidates, best_distance = distance;
    }
    return best;
}
