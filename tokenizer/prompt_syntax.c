#include "tokenizer/prompt_syntax.h"

struct wording wording_plain(struct arena *a, const char *text) {
    struct phrase *phrase = arena_alloc(a, sizeof *phrase);
    struct phrases *texts = arena_alloc(a, sizeof *texts);
    struct passage *passage = arena_alloc(a, sizeof *passage);
    *phrase = (struct phrase){text, 1, false};
    *texts = (struct phrases){1, phrase, 1};
    *passage = (struct passage){1, texts, 1};
    return (struct wording){1, passage};
}

static struct wording plain(struct arena *a, const char *what, const char *text) {
    (void)what;
    return wording_plain(a, text);
}

const struct prompt_syntax prompt_syntaxes[] = {
    [SYNTAX_PLAIN] = {.name = "plain", .parse = plain},
    [SYNTAX_A1111] = {.name = "a1111", .parse = wording_a1111, .emphasis = EMPHASIS_MEAN, .chunked = true, .skips_all = true},
    [SYNTAX_COMPEL] = {.name = "compel",
                       .parse = wording_compel,
                       .emphasis = EMPHASIS_EMPTY,
                       .cut = CUT_SENTENCE,
                       .chunked = true,
                       .pools_source = true,
                       .padded = true},
};
const char *const prompt_syntax_names[] = {"plain", "a1111", "compel", NULL};
