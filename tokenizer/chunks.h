/* A prompt's wording as a text encoder takes it: chunks of the context's length, [begin, tokens, end, padding], each encoded by itself. */
#ifndef TOKENIZER_CHUNKS_H
#define TOKENIZER_CHUNKS_H

#include <stdint.h>
#include "tokenizer/clip_bpe.h"
#include "tokenizer/prompt_syntax.h"

enum { CHUNKS_MAX = 32, TERMS_MAX = 256 /* of all chunks */ };

/* What the text encoder makes of T ids, times a factor each. */
struct term {
    const int32_t *ids;   /* [T] */
    int hidden, n_hidden; /* tokens hidden … hidden + n_hidden are attended to by none; never the first */
    const float *factors; /* [T], or NULL: all 1 */
};

/* The sum of its terms. */
struct chunk {
    int n;
    struct term *terms;
    bool keeps_mean; /* then scaled so that its mean over all tokens and channels is that of its one term before the factors */
};

/* A token of a chunk, for showing. */
struct token {
    int32_t id;
    int chunk;   /* as many as there are: it is cut off */
    int blended; /* which of the texts that are blended in its chunk */
    int phrase;  /* of its text */
    double weight;
    double share;      /* of its text in the whole: the blend's weight times the passage's */
    const char *text;  /* the phrase … */
    size_t begin, end; /* … and its bytes */
};

struct chunks {
    int n;
    struct chunk *items;
    const int32_t *pooled_ids; /* [T], of which the prompt in one vector is made */
    int n_cut;                 /* tokens that had no room: of a text that is not chunked */
    const char *cut;           /* the text from the first of them on */
    int n_tokens;
    struct token *tokens; /* in order */
};

/* source: the text as it was written; length: T, at least 3; chunked: long texts are cut into chunks, else cut off. Dies FAIL_USAGE where
 * there are too many chunks or terms. */
struct chunks chunks_make(struct arena *a, const struct clip_bpe *t, const struct prompt_syntax *syntax, const char *what,
                          const char *source, struct wording wording, int length, bool chunked);
/* n chunks, the further ones of "". */
void chunks_fill(struct arena *a, const struct clip_bpe *t, struct chunks *c, int n, int length);

#endif
