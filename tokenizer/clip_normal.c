#include "tokenizer/clip_normal.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <utf8proc.h>
#include "engine/base/text.h"

/* ---- classes and cases ------------------------------------------------------------------------------------------- */

struct range {
    uint32_t first, last;
};

#define IN(cp, table) in_ranges(cp, table, sizeof(table) / sizeof *(table))
static bool in_ranges(uint32_t cp, const struct range *r, size_t n) {
    if (cp < r[0].first || cp > r[n - 1].last) return false;
    for (size_t i = 0; i < n; i++)
        if (cp >= r[i].first && cp <= r[i].last) return true;
    return false;
}

/* \p{L} and \p{N} of Unicode 15.1 and 16 */
static const struct range new_letters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3}, {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85},
    {0x10ec2, 0x10ec4}, {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5}, {0x113b7, 0x113b7},
    {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0}, {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c},
    {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed}, {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d},
};
static const struct range new_numbers[] = {
    {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x16130, 0x16139},
    {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9}, {0x1e5f1, 0x1e5fa},
};

static enum clip_class ascii_class(uint32_t cp) {
    if ((cp | 32) >= 'a' && (cp | 32) <= 'z') return CLIP_LETTER;
    if (cp >= '0' && cp <= '9') return CLIP_NUMBER;
    return cp == ' ' || (cp >= '\t' && cp <= '\r') ? CLIP_SPACE : CLIP_OTHER;
}

enum clip_class clip_class_of(uint32_t cp) {
    if (cp < 0x80) return ascii_class(cp);
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    if (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) return CLIP_LETTER;
    if (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO) return CLIP_NUMBER;
    if ((c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_ZP) || cp == 0x85) return CLIP_SPACE;
    return IN(cp, new_letters) ? CLIP_LETTER : IN(cp, new_numbers) ? CLIP_NUMBER : CLIP_OTHER;
}

/* Lower-case mappings of Unicode 16 and 17: first..last to lower, lower + 1… */
static const struct {
    uint32_t first, last, lower;
} new_cases[] = {
    {0x1c89, 0x1c89, 0x1c8a}, {0xa7cb, 0xa7cb, 0x264},  {0xa7cc, 0xa7cc, 0xa7cd}, {0xa7ce, 0xa7ce, 0xa7cf},    {0xa7d2, 0xa7d2, 0xa7d3},
    {0xa7d4, 0xa7d4, 0xa7d5}, {0xa7da, 0xa7da, 0xa7db}, {0xa7dc, 0xa7dc, 0x19b},  {0x10d50, 0x10d65, 0x10d70}, {0x16ea0, 0x16eb8, 0x16ebb},
};

int clip_lower(uint32_t cp, uint32_t lower[2]) {
    if (cp < 0x80) return lower[0] = cp >= 'A' && cp <= 'Z' ? cp + 32 : cp, 1;
    if (cp == 0x130) return lower[0] = 'i', lower[1] = 0x307, 2; /* the only one that becomes two */
    for (size_t i = 0; i < sizeof new_cases / sizeof *new_cases; i++)
        if (cp >= new_cases[i].first && cp <= new_cases[i].last) return lower[0] = new_cases[i].lower + (cp - new_cases[i].first), 1;
    return lower[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), 1;
}

/* ---- NFC --------------------------------------------------------------------------------------------------------- */

struct point {
    uint32_t cp, begin, end;
};

/* Combining since Unicode 10, so neither reordered nor composed by the reference. */
static const struct range unknown_marks[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},     {0xd3b, 0xd3c},
    {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b},
    {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11930}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
    {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef},
};

/* Whether NFC may reorder cp or compose it with what precedes it: only marks, and the vowels and finals of Hangul, ever
 * do. (U+11A7 is no final, but libutf8proc composes it.) */
static bool joins_previous(uint32_t cp) {
    if (cp < 0x300) return false;
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    bool mark = c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
    return (mark && !IN(cp, unknown_marks)) || (cp >= 0x1161 && cp <= 0x1175) || (cp >= 0x11a8 && cp <= 0x11c2);
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Canonical order: runs of combining marks sorted by class, stably. keys: room for n; n log n whatever the text. */
static void reorder_marks(int32_t *cps, size_t n, uint64_t *keys) {
    for (size_t i = 0, run = 0; i <= n; i++) {
        int class = i < n ? utf8proc_get_property(cps[i])->combining_class : 0;
        if (class) keys[run++] = (uint64_t) class << 56 | (uint64_t)i << 24 | (uint64_t)cps[i];
        if (class || !run) continue;
        if (run > 1) qsort(keys, run, sizeof *keys, compare_u64);
        for (size_t k = 0; k < run; k++) cps[i - run + k] = (int32_t)(keys[k] & 0xffffff);
        run = 0;
    }
}

struct nfc_scratch {
    int32_t *cps; /* [capacity] */
    uint64_t *keys;
    size_t capacity;
};

/* NFC of in[0..n), a character and the marks that join it. Returns the number of points written to out, which may be
 * in. */
static size_t compose_cluster(struct point *out, const struct point *in, size_t n, const struct nfc_scratch *w) {
    size_t m = 0;
    int unused = 0;
    for (size_t i = 0; i < n; i++) {
        utf8proc_ssize_t more = utf8proc_decompose_char((int32_t)in[i].cp, w->cps + m, (utf8proc_ssize_t)(w->capacity - m),
                                                        UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &unused);
        assert(more > 0 && (size_t)more <= w->capacity - m);
        m += (size_t)more;
    }
    reorder_marks(w->cps, m, w->keys);
    m = (size_t)utf8proc_normalize_utf32(w->cps, (utf8proc_ssize_t)m, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    bool same = m == n;
    for (size_t i = 0; same && i < n; i++) same = (uint32_t)w->cps[i] == in[i].cp;
    struct point whole = {0, in[0].begin, in[n - 1].end};
    for (size_t i = 0; i < m; i++) {
        out[i] = same ? in[i] : whole;
        out[i].cp = (uint32_t)w->cps[i];
    }
    return m;
}

static size_t decode_points(struct point *points, const char *source, size_t begin, size_t end) {
    size_t n = 0;
    for (size_t i = begin; i < end; n++) {
        points[n].begin = (uint32_t)i;
        i += (size_t)utf8_decode(source + i, &points[n].cp);
        points[n].end = (uint32_t)i;
    }
    return n;
}

/* NFC of in[0..n) into out; no character has a canonical decomposition longer than 4. */
static size_t compose_points(struct arena *a, struct point *out, const struct point *in, size_t n) {
    struct nfc_scratch w = {.capacity = 4 * n};
    size_t m = 0;
    for (size_t i = 0, next; i < n; i = next) {
        next = i + 1;
        if (!IN(in[i].cp, unknown_marks))
            while (next < n && joins_previous(in[next].cp)) next++;
        if (next == i + 1 && (in[i].cp < 0xc0 || IN(in[i].cp, unknown_marks))) {
            out[m++] = in[i];
            continue;
        }
        if (!w.cps) w.cps = arena_array(a, w.capacity, sizeof *w.cps), w.keys = arena_array(a, w.capacity, sizeof *w.keys);
        m += compose_cluster(out + m, in + i, next - i, &w);
    }
    return m;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void push(struct clip_normal *t, uint32_t cp, const struct point *from) {
    int length = utf8_encode(t->bytes + t->n, cp);
    for (int i = 0; i < length; i++, t->n++) t->begin[t->n] = from->begin, t->end[t->n] = from->end;
}

static struct clip_normal lower_points(struct arena *a, const struct point *points, size_t n) {
    enum { BYTES_MAX = 4 }; /* of one code point in UTF-8; U+0130 has 3 as two */
    struct clip_normal t = {arena_alloc(a, n * BYTES_MAX), arena_array(a, n * BYTES_MAX, sizeof *t.begin),
                            arena_array(a, n * BYTES_MAX, sizeof *t.end), 0};
    bool in_space = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t lower[2];
        bool space = clip_class_of(points[i].cp) == CLIP_SPACE;
        if (space && in_space) t.end[t.n - 1] = points[i].end;
        else if (space) push(&t, ' ', &points[i]);
        else
            for (int k = 0, m = clip_lower(points[i].cp, lower); k < m; k++) push(&t, lower[k], &points[i]);
        in_space = space;
    }
    return t;
}

struct clip_normal clip_normalize(struct arena *a, const char *source, size_t begin, size_t end) {
    assert(end <= UINT32_MAX);
    struct point *decoded = arena_array(a, end - begin, sizeof *decoded);
    size_t n = decode_points(decoded, source, begin, end);
    struct point *composed = arena_array(a, 4 * n, sizeof *composed);
    n = compose_points(a, composed, decoded, n);
    return lower_points(a, composed, n);
}
