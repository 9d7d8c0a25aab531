/* What a prompt's text asks for: phrases of one weight each, by the grammar of the program it was written for. A syntax is a row of the
 * table and a parser; what it cannot do exactly it refuses by name. */
#ifndef TOKENIZER_PROMPT_SYNTAX_H
#define TOKENIZER_PROMPT_SYNTAX_H

#include <stdbool.h>
#include "engine/base/arena.h"

struct phrase {
    const char *text;
    double weight;
    bool breaks; /* no text: what follows begins a chunk of its own */
};
struct phrases {
    int n;
    struct phrase *items;
    double weight; /* in a blend */
};
/* A blend of texts: the sum of what the text encoder makes of each, times its weight; usually one. */
struct passage {
    int n;
    struct phrases *texts;
    double weight;
};
/* Passages one behind the other, chunks of their own; usually one. */
struct wording {
    int n;
    struct passage *passages;
};

/* What a weight does to the text encoder's states. */
enum emphasis {
    EMPHASIS_NONE,
    EMPHASIS_MEAN,  /* A1111's: each token's times its weight, then the whole chunk scaled to the mean it had */
    EMPHASIS_EMPTY, /* compel's: away from what "" makes; below 1, towards what the text makes with the phrase hidden */
};
/* Where a text longer than a chunk is cut. */
enum cut {
    CUT_COMMA,    /* A1111's: behind a comma among the last 20 tokens, else where the chunk is full */
    CUT_SENTENCE, /* compel's: behind the last full stop, else other stop, else word */
};

struct prompt_syntax {
    const char *name;
    /* what: "prompt", for messages. Dies FAIL_USAGE. */
    struct wording (*parse)(struct arena *a, const char *what, const char *text);
    enum emphasis emphasis;
    enum cut cut;
    bool chunked;      /* long texts are, unasked */
    bool pools_source; /* SDXL's pooled vector is of the text as it was written, else of the first chunk */
    bool padded;       /* the shorter of prompt and negative prompt is filled up with what "" makes */
    bool skips_all;    /* --clip-skip counts for the negative prompt, too, and for SDXL not at all */
};

enum { SYNTAX_PLAIN, SYNTAX_A1111, SYNTAX_COMPEL };
extern const struct prompt_syntax prompt_syntaxes[];
extern const char *const prompt_syntax_names[]; /* of the rows, in order, NULL-terminated */

/* Of one phrase of that weight. */
struct wording wording_plain(struct arena *a, const char *text);

/* prompt_a1111.c: brackets as AUTOMATIC1111's web UI reads them (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features):
 * (x) 1.1, [x] 1/1.1, (x:1.3), nested ones multiplied, \ before a bracket, BREAK. */
struct wording wording_a1111(struct arena *a, const char *what, const char *text);
/* prompt_compel.c: as compel 2.5 reads it (https://github.com/damian0815/compel): word+, (phrase)1.3, ("a", "b").blend(1, 2), .and(). */
struct wording wording_compel(struct arena *a, const char *what, const char *text);

#endif
