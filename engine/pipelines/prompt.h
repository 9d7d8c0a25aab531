/* Texts: their ids, and what the text encoder made of them, kept for the next request. */
#ifndef ENGINE_PIPELINES_PROMPT_H
#define ENGINE_PIPELINES_PROMPT_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"
#include "engine/device.h"
#include "tokenizer/clip_bpe.h"

struct model;

enum { TEXTS_MAX = 2 /* text encoders of a model */ };

struct prompt {
    const char *texts[TEXTS_MAX]; /* for each text encoder … */
    int32_t *ids[TEXTS_MAX];      /* … model->n_tokens ids; NULL: zeros stand for what they would make */
    int clip_skip;                /* layers of the text encoders left out */
};

/* How many ids a context has, begin and end included: what the tokenizer says, but no more than the encoder has positions for. */
int prompt_limit(const struct clip_bpe *tokenizer, int max_positions);

/* text, text2: for the first text encoder and the second. what: "prompt", "negative prompt", for messages. Tokens beyond the limit are
 * reported; strict: they are an error. */
struct prompt prompt_read(struct arena *a, const struct model *m, const char *what, const char *text, const char *text2, int clip_skip,
                          bool strict);

/* y [1,1,n_tokens,context_dim], pooled [1,1,1,pooled_dim] or none = what the text encoders make of it, computed unless it is remembered. */
void prompt_encode(struct model *m, const struct prompt *p, struct view y, struct view pooled);
/* Remembers it; waits for the device. */
void prompt_remember(struct model *m, const struct prompt *p, struct view y, struct view pooled);

/* The latest texts encoded. */
enum { PROMPTS_KEPT = 16 };
struct prompt_cache {
    struct encoded {
        struct arena arena;
        const char *texts[TEXTS_MAX]; /* the first NULL: free */
        int clip_skip;
        uint64_t used;          /* when it last was: the one not used for longest goes first */
        float *values, *pooled; /* [n_tokens,context_dim] [pooled_dim] */
    } encoded[PROMPTS_KEPT];
    uint64_t now;
    uint64_t n_encoded; /* how often the text encoder ran */
};
void prompt_cache_free(struct prompt_cache *cache);

#endif
