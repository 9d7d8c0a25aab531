/* Text from strangers: escaping, UTF-8, strict numbers that no locale changes. */
#ifndef ENGINE_BASE_TEXT_H
#define ENGINE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies n bytes of src as one printable line: C0, C1, DEL, bidi and other invisible controls, line separators and invalid UTF-8 become
 * \xNN of each byte. Writes at most cap - 1 bytes and a NUL, "…" at the end where it was cut; returns the length. */
size_t escape_text(char *dst, size_t cap, const char *src, size_t n);

/* True if all n bytes are UTF-8 (no overlong forms, no surrogates); else *bad_at receives the offset of the first bad byte. */
bool utf8_valid(const char *s, size_t n, size_t *bad_at);
/* Decodes one code point of valid UTF-8 at s and returns its length. */
int utf8_decode(const char *s, uint32_t *cp);
/* Encodes cp into at most 4 bytes and returns the length. */
int utf8_encode(char *s, uint32_t cp);

/* 0 to 15, or -1 if c is not a hex digit. */
int hex_value(int c);
/* The whole string, digits only (parse_u64 also takes 0x…), an optional '-' for i64; no blanks, no '+'. False if not so or out of range. */
bool parse_u64(const char *s, uint64_t *value);
bool parse_i64(const char *s, int64_t *value);
/* Decimal or scientific, '.' whatever the locale, finite. */
bool parse_double(const char *s, double *value);

/* The candidate nearest to name (edit distance at most a third of its length, case ignored), or NULL. candidates end with NULL. */
const char *suggest(const char *name, const char *const *candidates);

#endif
