#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "tokenizer/clip_normal.h"
#include "tokenizer/prompt_syntax.h"

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool is_word(uint32_t cp) {
    enum clip_class class = clip_class_of(cp);
    return class == CLIP_LETTER || class == CLIP_NUMBER || cp == '_';
}

static bool is_space(uint32_t cp) {
    return clip_class_of(cp) == CLIP_SPACE || (cp >= 0x1c && cp <= 0x1f);
}

/* The code point that ends before s[at], at > 0. */
static uint32_t code_before(const char *s, size_t at) {
    uint32_t cp;
    do at--;
    while (at && ((unsigned char)s[at] & 0xc0) == 0x80);
    utf8_decode(s + at, &cp);
    return cp;
}

/* Where the word stands by itself in s[from, n), or n. */
static size_t find_word(const char *s, size_t from, size_t n, const char *word) {
    size_t m = strlen(word);
    for (size_t at = from; at + m <= n; at++) {
        uint32_t after = 0;
        if (memcmp(s + at, word, m) != 0) continue;
        if (at + m < n) utf8_decode(s + at + m, &after);
        if ((at == 0 || !is_word(code_before(s, at))) && (at + m == n || !is_word(after))) return at;
    }
    return n;
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

/* Of ":0.5]", the colon's place before the bracket at s[end]; else end. */
static size_t number_before(const char *s, size_t begin, size_t end) {
    size_t at = end;
    while (at > begin && strchr("0123456789.", s[at - 1])) at--;
    if (at == end) return end;
    if (at > begin && strchr("+-", s[at - 1])) at--;
    while (at > begin && strchr(" \t\n\r", s[at - 1])) at--;
    return at > begin && s[at - 1] == ':' ? at - 1 : end;
}

/* [from:to:when] and [a|b], which change the prompt while it is drawn. */
static void refuse_editing(struct arena *a, const char *what, const char *s) {
    size_t n = strlen(s), depth = 0;
    struct open {
        size_t at;
        bool alternates;
    } *open = arena_array(a, n + 1, sizeof *open);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && s[i + 1]) i++;
        else if (s[i] == '(' || s[i] == '[') open[depth++] = (struct open){i, false};
        else if (s[i] == '|' && depth) open[depth - 1].alternates = true;
        else if ((s[i] == ')' || s[i] == ']') && depth) {
            struct open o = open[--depth];
            if (s[o.at] != '[' || s[i] != ']') continue;
            if (o.alternates || number_before(s, o.at, i) < i)
                die(FAIL_USAGE, "%s: '%.*s': prompts that change from step to step are not supported", what, (int)(i + 1 - o.at), s + o.at);
        }
    }
}

static void refuse_others(struct arena *a, const char *what, const char *s) {
    static const char *const tags[] = {"<lora:", "<lyco:", "<hypernet:"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (strstr(s, tags[i]))
            die_hint(FAIL_USAGE, i ? NULL : "--lora-dir DIR says where they are", "%s: %s…> is not supported here", what, tags[i]);
    if (find_word(s, 0, strlen(s), "AND") < strlen(s))
        die(FAIL_USAGE, "%s: AND, which draws by several prompts at once, is not supported", what);
    refuse_editing(a, what, s);
}

/* ---- the grammar ------------------------------------------------------------------------------------------------- */

struct parser {
    struct arena *arena;
    const char *what;
    struct phrase *items; /* [capacity] */
    int n, capacity;
    int *round, *square; /* where each open bracket's phrases begin */
    int n_round, n_square;
};

static void push(struct parser *p, const char *text, size_t n, double weight) {
    p->items[p->n++] = (struct phrase){arena_printf(p->arena, "%.*s", (int)n, text), weight, false};
}

static void multiply(struct parser *p, int from, double by) {
    for (int i = from; i < p->n; i++) p->items[i].weight *= by;
}

/* Bytes of the ":1.3)" at s, or 0. */
static size_t weight_bytes(const char *s) {
    size_t sign = s[0] == ':' && s[1] && strchr("+-", s[1]), n = s[0] == ':' ? strspn(s + 1 + sign, ".0123456789") : 0;
    return n && s[1 + sign + n] == ')' ? 2 + sign + n : 0;
}

static double read_weight(const struct parser *p, const char *s, size_t n) {
    const char *text = arena_printf(p->arena, "%.*s", (int)n - 2, s + 1);
    double weight;
    if (!parse_double(*text == '+' ? text + 1 : text, &weight) || !isfinite(weight))
        die(FAIL_USAGE, "%s: '%.*s': expected a number before the bracket", p->what, (int)n, s);
    return weight;
}

/* Text without brackets, and the BREAKs in it, which take the blanks around them away. */
static void push_text(struct parser *p, const char *s, size_t n) {
    static const char word[] = "BREAK";
    size_t begin = 0, at;
    uint32_t cp;
    for (; (at = find_word(s, begin, n, word)) < n; begin = at) {
        size_t end = at;
        while (end > begin && is_space(code_before(s, end))) do
                end--;
            while (((unsigned char)s[end] & 0xc0) == 0x80);
        push(p, s + begin, end - begin, 1);
        push(p, word, sizeof word - 1, -1);
        at += sizeof word - 1;
        for (int bytes; at < n && (bytes = utf8_decode(s + at, &cp), is_space(cp)); at += (size_t)bytes) continue;
    }
    push(p, s + begin, n - begin, 1);
}

/* The next token at s: an escape, a bracket, a weight and its bracket, a colon, or text up to one of these. */
static size_t take(struct parser *p, const char *s) {
    size_t n = weight_bytes(s);
    if (*s == '\\') {
        bool bracket = s[1] && strchr("()[]\\", s[1]);
        push(p, s + 1, bracket, 1);
        return 1 + bracket;
    }
    if (*s == '(') p->round[p->n_round++] = p->n;
    else if (*s == '[') p->square[p->n_square++] = p->n;
    else if (n && p->n_round) {
        multiply(p, p->round[--p->n_round], read_weight(p, s, n));
        return n;
    } else if (*s == ')' && p->n_round) multiply(p, p->round[--p->n_round], 1.1);
    else if (*s == ']' && p->n_square) multiply(p, p->square[--p->n_square], 1 / 1.1);
    else {
        n = n ? n : strchr("):]", *s) ? 1 : strcspn(s, "\\()[]:");
        push_text(p, s, n);
        return n;
    }
    return 1;
}

/* Neighbours of one weight are one phrase. */
static void join(struct parser *p) {
    int n = 0;
    for (int i = 0, next; i < p->n; i = next) {
        size_t bytes = 0;
        for (next = i; next < p->n && p->items[next].weight == p->items[i].weight; next++) bytes += strlen(p->items[next].text);
        char *text = arena_alloc(p->arena, bytes + 1), *end = text;
        for (int k = i; k < next; k++) {
            size_t length = strlen(p->items[k].text);
            memcpy(end, p->items[k].text, length);
            end += length;
        }
        double weight = p->items[i].weight;
        p->items[n++] = (struct phrase){text, weight, weight == -1 && !strcmp(text, "BREAK")};
    }
    p->n = n;
}

struct wording wording_a1111(struct arena *a, const char *what, const char *text) {
    size_t n = strlen(text), bad;
    struct wording w = wording_plain(a, "");
    if (!utf8_valid(text, n, &bad)) die(FAIL_USAGE, "%s: not UTF-8 at byte %zu", what, bad);
    refuse_others(a, what, text);
    struct parser p = {a, what, arena_array(a, 2 * n + 2, sizeof *p.items), 0, 0, NULL, NULL, 0, 0};
    p.round = arena_array(a, n + 1, sizeof *p.round);
    p.square = arena_array(a, n + 1, sizeof *p.square);
    for (const char *s = text; *s;) s += take(&p, s);
    for (int i = 0; i < p.n_round; i++) multiply(&p, p.round[i], 1.1);
    for (int i = 0; i < p.n_square; i++) multiply(&p, p.square[i], 1 / 1.1);
    join(&p);
    if (p.n) w.passages->texts[0] = (struct phrases){p.n, p.items, 1};
    return w;
}
