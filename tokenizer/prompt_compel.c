#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "tokenizer/prompt_syntax.h"

/* A parsing expression grammar: the first alternative that matches is taken, and never reconsidered. What a bracket at some place holds is
 * found once, so that nesting costs no more than its length.
 *
 *   whole    = "(" item ("," item)* ")" (".and" | ".add" | ".blend") "(" options ")" | prompt
 *   prompt   = (attention | quoted | bracket | any word)*
 *   bracket  = "(" inner ")"            quoted = '"' inner '"'
 *   inner    = (attention | bracket | quoted | word | "," | ".")*
 *   attention = (quoted | bracket | word) ".attend" "(" weight ")" | (quoted | bracket) weight | word ("+"+ | "-"+)
 *   word     = characters that are no syntax, which \ makes of those that are */

struct span {
    size_t end; /* 0: no match */
    int n;
    struct phrase *items;
};

struct parser {
    struct arena *arena;
    const char *what, *text;
    size_t n;
    bool *bracketed;       /* [n] is it known what the bracket here holds … */
    struct span *brackets; /* [n] … this */
    int depth;
};

enum { DEPTH_MAX = 64 };

static struct span inner(struct parser *p, size_t at);

static bool is_blank(char c) {
    return c && strchr(" \t\n\r\v\f", c);
}

static size_t skip(const struct parser *p, size_t at) {
    while (is_blank(p->text[at])) at++;
    return at;
}

/* Behind the literal, after blanks; 0: it is not there. */
static size_t literal(const struct parser *p, size_t at, const char *word) {
    at = skip(p, at);
    size_t n = strlen(word);
    return strncmp(p->text + at, word, n) ? 0 : at + n;
}

/* ---- phrases ----------------------------------------------------------------------------------------------------- */

static void append(struct parser *p, struct span *s, const struct phrase *items, int n) {
    struct phrase *all = s->items;
    int room = s->n ? 1 : 0;
    while (room && room < s->n) room *= 2;
    if (s->n + n > room) {
        while (room < s->n + n) room = room ? 2 * room : 1;
        all = arena_array(p->arena, (size_t)room, sizeof *all);
        if (s->n) memcpy(all, s->items, (size_t)s->n * sizeof *all);
    }
    if (n) memcpy(all + s->n, items, (size_t)n * sizeof *all);
    s->items = all;
    s->n += n;
}

/* \( \) and \" stand for themselves; other signs keep their backslash. */
static struct phrase phrase_of(struct parser *p, const char *s, size_t n) {
    char *text = arena_alloc(p->arena, n + 1), *end = text;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && i + 1 < n && strchr("()\"", s[i + 1])) i++;
        *end++ = s[i];
    }
    *end = 0;
    return (struct phrase){text, 1, false};
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool is_syntax(char c) {
    return c && strchr("()\",.+-=", c);
}

/* Bytes of the word at s that holds no syntax, or 0. */
static size_t word_bytes(const char *s) {
    size_t n = 0;
    for (;; n++) {
        char c = s[n], next = c ? s[n + 1] : 0;
        if (c == '\\' && is_syntax(next)) n++;
        else if (c == '+' || c == '-') {
            if (!next || is_blank(next) || is_syntax(next)) return n;
        } else if (!c || is_blank(c) || is_syntax(c)) return n;
    }
}

/* "1", "-1", "1.", ".5", "+1.5": bytes of the number at s, or 0. */
static size_t number_bytes(const char *s) {
    size_t sign = *s == '+' || *s == '-', whole = strspn(s + sign, "0123456789");
    size_t at = sign + whole, part = s[at] == '.' ? strspn(s + at + 1, "0123456789") : 0;
    if (s[at] == '.' && (whole || part)) return at + 1 + part;
    return whole && *s != '+' ? at : 0;
}

static double number_of(const struct parser *p, size_t at, size_t n) {
    const char *s = p->text + at + (p->text[at] == '+');
    double value;
    n -= p->text[at] == '+';
    if (n && s[n - 1] == '.') n--;
    if (!parse_double(arena_printf(p->arena, "%.*s", (int)n, s), &value))
        die(FAIL_USAGE, "%s: '%.*s': expected a number", p->what, (int)n, s);
    return value;
}

/* A weight: ++, --, or a number where `numbers`. Behind it, or 0. */
static size_t weight(const struct parser *p, size_t at, bool numbers, double *value) {
    const char *s = p->text + at;
    size_t plus = strspn(s, "+"), minus = strspn(s, "-"), n = numbers ? number_bytes(s) : 0;
    if (plus) *value = pow(1.1, (double)plus);
    else if (minus) *value = pow(0.9, (double)minus);
    else if (n) *value = number_of(p, at, n);
    return plus || minus || n ? at + plus + minus + (plus || minus ? 0 : n) : 0;
}

/* ---- brackets and quotes ----------------------------------------------------------------------------------------- */

static struct span find_bracket(struct parser *p, size_t at) {
    struct span none = {0}, s = inner(p, at + 1);
    size_t end = literal(p, s.end, ")");
    if (!end) return none;
    s.end = end;
    return s;
}

static struct span bracket(struct parser *p, size_t at) {
    at = skip(p, at);
    if (p->text[at] != '(') return (struct span){0};
    if (p->bracketed[at]) return p->brackets[at];
    if (++p->depth > DEPTH_MAX) die(FAIL_USAGE, "%s: brackets within brackets, more than %d deep", p->what, DEPTH_MAX);
    struct span s = find_bracket(p, at);
    p->depth--;
    p->bracketed[at] = true;
    return p->brackets[at] = s;
}

/* Behind the closing quote of the one at `at`, on one line, where \" is none; 0: there is none. */
static size_t quote_end(const struct parser *p, size_t at) {
    for (size_t i = at + 1; p->text[i] && p->text[i] != '\n' && p->text[i] != '\r'; i++) {
        if (p->text[i] == '\\' && p->text[i + 1] == '"') i++;
        else if (p->text[i] == '"') return i + 1;
    }
    return 0;
}

/* The text between the quotes by a grammar of its own; plain: by that of a whole prompt. */
static struct span prompt(struct parser *p, size_t at);

static struct span quoted(struct parser *p, size_t at, bool plain) {
    struct span none = {0};
    at = skip(p, at);
    size_t end = p->text[at] == '"' ? quote_end(p, at) : 0;
    if (!end) return none;
    if (++p->depth > DEPTH_MAX) die(FAIL_USAGE, "%s: brackets within brackets, more than %d deep", p->what, DEPTH_MAX);
    struct parser own = *p;
    own.n = end - at - 2;
    own.text = arena_printf(p->arena, "%.*s", (int)own.n, p->text + at + 1);
    own.bracketed = arena_array(p->arena, own.n + 1, sizeof *own.bracketed);
    own.brackets = arena_array(p->arena, own.n + 1, sizeof *own.brackets);
    struct span s = plain ? prompt(&own, 0) : inner(&own, 0);
    p->depth--;
    if (skip(&own, 0) == own.n) s.n = 0, append(p, &s, &(struct phrase){"", 1, false}, 1);
    else if (skip(&own, s.end) != own.n) return none;
    s.end = end;
    return s;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static struct span target(struct parser *p, size_t at, bool words) {
    struct span s = quoted(p, at, false);
    if (!s.end) s = bracket(p, at);
    if (s.end || !words) return s;
    at = skip(p, at);
    size_t n = word_bytes(p->text + at);
    if (!n) return s;
    struct phrase word = phrase_of(p, p->text + at, n);
    append(p, &s, &word, 1);
    s.end = at + n;
    return s;
}

static struct span weighted(struct parser *p, struct span s, double by, size_t end) {
    struct span scaled = {.end = end};
    append(p, &scaled, s.items, s.n);
    for (int i = 0; i < scaled.n; i++) scaled.items[i].weight *= by;
    return scaled;
}

static struct span attention(struct parser *p, size_t at) {
    struct span s = target(p, at, true);
    double by;
    if (!s.end) return s;
    size_t swap = literal(p, s.end, ".swap"), attend = literal(p, s.end, ".attend"), end;
    if (swap && literal(p, swap, "(")) die(FAIL_USAGE, "%s: .swap() is not supported", p->what);
    if (attend && (attend = literal(p, attend, "(")) && (end = weight(p, skip(p, attend), true, &by)) && (end = literal(p, end, ")")))
        return weighted(p, s, by, end);
    bool word = !strchr("(\"", p->text[skip(p, at)]);
    if ((end = weight(p, s.end, !word, &by))) return weighted(p, s, by, end);
    return (struct span){0};
}

static void refuse_lora(const struct parser *p, size_t at) {
    size_t dot = literal(p, at, "."), name = dot ? dot : at, end = literal(p, name, "withLora");
    if (!end) end = literal(p, name, "useLora");
    if (end && literal(p, end, "(")) die_hint(FAIL_USAGE, "--lora FILE[:X]", "%s: withLora() is not supported", p->what);
}

/* What brackets and quotes hold. It ends where nothing fits. */
static struct span inner(struct parser *p, size_t at) {
    struct span all = {.end = at};
    for (;;) {
        refuse_lora(p, all.end);
        struct span s = attention(p, all.end);
        if (!s.end) s = bracket(p, all.end);
        if (!s.end) s = target(p, all.end, true);
        size_t next = skip(p, all.end);
        if (!s.end && (p->text[next] == ',' || p->text[next] == '.')) {
            struct phrase sign = phrase_of(p, p->text + next, 1);
            append(p, &s, &sign, 1);
            s.end = next + 1;
        }
        if (!s.end) return all;
        append(p, &all, s.items, s.n);
        all.end = s.end;
    }
}

/* Reads all there is: what is no syntax is words. */
static struct span prompt(struct parser *p, size_t at) {
    struct span all = {.end = at};
    while (p->text[skip(p, all.end)]) {
        refuse_lora(p, all.end);
        struct span s = attention(p, all.end);
        if (!s.end) s = quoted(p, all.end, false);
        if (!s.end) s = bracket(p, all.end);
        if (!s.end) {
            size_t begin = skip(p, all.end), end = begin;
            for (; p->text[end] && !is_blank(p->text[end]); end++)
                if (p->text[end] == '.') refuse_lora(p, end);
            struct phrase word = phrase_of(p, p->text + begin, end - begin);
            append(p, &s, &word, 1);
            s.end = end;
        }
        append(p, &all, s.items, s.n);
        all.end = s.end;
    }
    all.end = p->n;
    return all;
}

/* ---- blends and conjunctions ------------------------------------------------------------------------------------- */

/* Neighbours of one weight are one phrase, a blank between them. */
static struct phrases joined(struct parser *p, struct span s) {
    struct phrases all = {.items = arena_array(p->arena, (size_t)s.n + 1, sizeof *all.items), .weight = 1};
    for (int i = 0, next; i < s.n; i = next) {
        size_t bytes = 0;
        for (next = i; next < s.n && s.items[next].weight == s.items[i].weight; next++) bytes += strlen(s.items[next].text) + 1;
        char *text = arena_alloc(p->arena, bytes), *end = text;
        for (int k = i; k < next; k++) {
            size_t n = strlen(s.items[k].text);
            if (k > i) *end++ = ' ';
            memcpy(end, s.items[k].text, n);
            end += n;
        }
        all.items[all.n++] = (struct phrase){text, s.items[i].weight, false};
    }
    if (!all.n) die(FAIL_USAGE, "%s: brackets with nothing in them", p->what);
    return all;
}

struct list {
    int n;
    struct phrases *texts;
    size_t end;
};

/* "(" item ("," item)* ")": texts in quotes, brackets, or of one word; end 0: it is none. */
static struct list read_list(struct parser *p) {
    struct list l = {.texts = arena_array(p->arena, p->n + 1, sizeof *l.texts)};
    size_t at = literal(p, 0, "(");
    for (bool more = at; more; l.n++) {
        struct span s = target(p, at, true);
        if (!s.end) s = quoted(p, at, true);
        if (!s.end) return l;
        l.texts[l.n] = joined(p, s);
        size_t comma = literal(p, s.end, ",");
        more = comma;
        at = more ? comma : literal(p, s.end, ")");
    }
    l.end = at;
    return l;
}

/* Behind ".and(1, 2)": as many weights as texts, or none; *normalized: "no_normalize" is not among them. */
static void read_weights(struct parser *p, struct list *l, size_t at, bool *normalized) {
    int n = 0;
    for (bool more = !literal(p, at, ")"); more;) {
        size_t begin = skip(p, at), flag = literal(p, at, "no_normalize"), bytes = number_bytes(p->text + begin);
        if (flag && normalized) *normalized = false;
        else if (bytes && n < l->n) l->texts[n++].weight = number_of(p, begin, bytes);
        else die(FAIL_USAGE, "%s: '%s': expected %d weights in the brackets", p->what, p->text + begin, l->n);
        at = flag ? flag : begin + bytes;
        more = literal(p, at, ",");
        if (more) at = literal(p, at, ",");
        if (more && flag) die(FAIL_USAGE, "%s: no_normalize: expected it behind the weights", p->what);
    }
    size_t end = literal(p, at, ")");
    const char *rest = p->text + skip(p, at);
    if (!end && !*rest) die(FAIL_USAGE, "%s: expected ')' behind the weights, found the end", p->what);
    if (!end) die(FAIL_USAGE, "%s: expected ')' behind the weights, found '%s'", p->what, rest);
    refuse_lora(p, end);
    if (p->text[skip(p, end)]) die(FAIL_USAGE, "%s: '%s': expected nothing behind the brackets", p->what, p->text + at);
    if (n && n != l->n) die(FAIL_USAGE, "%s: %d weights for %d texts", p->what, n, l->n);
}

static struct wording conjunction(struct parser *p, const struct list *l) {
    struct wording w = {.n = l->n, .passages = arena_array(p->arena, (size_t)l->n, sizeof *w.passages)};
    for (int i = 0; i < l->n; i++) {
        w.passages[i] = (struct passage){1, &l->texts[i], l->texts[i].weight};
        l->texts[i].weight = 1;
    }
    return w;
}

static struct wording blend(struct parser *p, const struct list *l, bool normalized) {
    struct wording w = wording_plain(p->arena, "");
    double sum = 0;
    for (int i = 0; i < l->n; i++) sum += l->texts[i].weight;
    if (normalized && sum == 0) die(FAIL_USAGE, "%s: .blend(): the weights' sum is 0; no_normalize takes them as they are", p->what);
    for (int i = 0; i < l->n; i++) l->texts[i].weight /= normalized ? sum : 1;
    *w.passages = (struct passage){l->n, l->texts, 1};
    return w;
}

/* A blank behind every comma. */
static const char *spaced(struct arena *a, const char *text) {
    char *all = arena_alloc(a, 2 * strlen(text) + 1), *end = all;
    for (const char *s = text; *s; s++) {
        *end++ = *s;
        if (*s == ',' && s[1] && !is_blank(s[1])) *end++ = ' ';
        if (*s == ',' && s[1] && !is_blank(s[1])) *end++ = *++s;
    }
    *end = 0;
    return all;
}

struct wording wording_compel(struct arena *a, const char *what, const char *text) {
    size_t bad;
    if (!utf8_valid(text, strlen(text), &bad)) die(FAIL_USAGE, "%s: not UTF-8 at byte %zu", what, bad);
    struct parser p = {.arena = a, .what = what, .text = spaced(a, text)};
    p.n = strlen(p.text);
    p.bracketed = arena_array(a, p.n + 1, sizeof *p.bracketed);
    p.brackets = arena_array(a, p.n + 1, sizeof *p.brackets);
    struct wording w = wording_plain(a, "");
    if (skip(&p, 0) == p.n) return w;
    struct list l = read_list(&p);
    size_t both = l.end ? literal(&p, l.end, ".and") : 0, mixed = l.end ? literal(&p, l.end, ".blend") : 0;
    bool normalized = true;
    if (l.end && !both) both = literal(&p, l.end, ".add");
    if (both && (both = literal(&p, both, "("))) {
        read_weights(&p, &l, both, NULL);
        return conjunction(&p, &l);
    }
    if (mixed && (mixed = literal(&p, mixed, "("))) {
        read_weights(&p, &l, mixed, &normalized);
        return blend(&p, &l, normalized);
    }
    w.passages->texts[0] = joined(&p, prompt(&p, 0));
    return w;
}
