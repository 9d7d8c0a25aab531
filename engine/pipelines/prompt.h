/* Texts: their ids, and what the text encoder made of them, kept for the next request. */
#ifndef ENGINE_PIPELINES_PROMPT_H
#define ENGINE_PIPELINES_PROMPT_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"
#include "engine/device.h"
#include "engine/pipelines/settings.h"
#include "tokenizer/chunks.h"

struct model;

enum { TEXTS_MAX = 2 /* text encoders of a model */ };

struct prompt {
    int n;                                 /* chunks of model->n_tokens ids; 0: zeros stand for what they would make */
    const struct chunk *chunks[TEXTS_MAX]; /* of each text encoder, [n] */
    const int32_t *pooled_ids;             /* of the last one */
    int clip_skip;                         /* layers of the text encoders left out */
    const unsigned char *key;              /* [key_bytes] all of the above as bytes: equal where what they make is */
    size_t key_bytes;
};

/* How many ids a context has, begin and end included: what the tokenizer says, but no more than the encoder has positions for. */
int prompt_limit(const struct clip_bpe *tokenizer, int max_positions);

/* tokenizers: of each text encoder; text, text2: for the first text encoder and the second. what: "prompt", "negative prompt", for
 * messages. Tokens beyond the limit are reported, where long texts are not cut into chunks; settings->strict: they are an error. Dies
 * FAIL_USAGE. */
struct prompt prompt_read(struct arena *a, const struct model *m, const struct clip_bpe *const tokenizers[TEXTS_MAX],
                          const struct settings *settings, const char *what, const char *text, const char *text2, int clip_skip);
/* At least n chunks, the further ones of "". */
void prompt_fill(struct arena *a, const struct model *m, struct prompt *p, int n);
/* Ids of a chunk of the i-th text encoder, before any are hidden. */
static inline const int32_t *prompt_ids(const struct prompt *p, int i, int chunk) {
    return p->chunks[i][chunk].terms->ids;
}

/* y [1,1,p->n * n_tokens,context_dim], pooled [1,1,1,pooled_dim] or none = what the text encoders make of it, computed unless it is
 * remembered. Of zeros y is as long as it is. */
void prompt_encode(struct model *m, const struct prompt *p, struct view y, struct view pooled);
/* The same in a stage of its own, for prompt_encode to remember. */
void prompt_encode_apart(struct model *m, const struct prompt *p);
/* Remembers it; waits for the device. */
void prompt_remember(struct model *m, const struct prompt *p, struct view y, struct view pooled);

/* The latest texts encoded. */
enum { PROMPTS_KEPT = 16 };
struct prompt_cache {
    struct encoded {
        struct arena arena;
        const unsigned char *key; /* NULL: free */
        size_t key_bytes;
        uint64_t used;          /* when it last was: the one not used for longest goes first */
        float *values, *pooled; /* [n * n_tokens,context_dim] [pooled_dim] */
    } encoded[PROMPTS_KEPT];
    uint64_t now;
    uint64_t n_encoded; /* how often the text encoder ran */
};
void prompt_cache_free(struct prompt_cache *cache);

#endif
