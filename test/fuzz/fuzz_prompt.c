/* Prompt syntaxes: the first byte says which and whether long texts are cut into chunks, the rest is the prompt. What is accepted holds
 * together: weights that are numbers, chunks that hold what fits, ids that are the vocabulary's. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"
#include "tokenizer/chunks.h"

enum { LENGTH = 7, N_SYNTAXES = 3 };

static const char vocab[] = "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\",\":4,\",</w>\":5,\".\":6,\".</w>\":7,\"!\":8,\"!</w>\":9,"
                            "\"<|startoftext|>\":10,\"<|endoftext|>\":11}";

static void check(const struct chunks *c, int size) {
    int n_terms = 0, in_chunk = 0;
    assert(c->n > 0 && c->n <= CHUNKS_MAX && c->n_cut >= 0);
    for (int k = 0; k < c->n; k++) {
        assert(c->items[k].n > 0);
        n_terms += c->items[k].n;
        for (const struct term *t = c->items[k].terms; t < c->items[k].terms + c->items[k].n; t++) {
            for (int i = 0; i < LENGTH; i++) assert(t->ids[i] >= 0 && t->ids[i] < size && (!t->factors || isfinite(t->factors[i])));
            assert(t->n_hidden >= 0 && (!t->n_hidden || (t->hidden > 0 && t->hidden + t->n_hidden <= LENGTH)));
        }
    }
    assert(n_terms <= TERMS_MAX);
    for (int i = 0; i < c->n_tokens; i++) { /* the texts of a blend, which share its chunks, one behind the other */
        const struct token *token = &c->tokens[i], *last = i ? token - 1 : token;
        assert(token->begin < token->end && token->end <= strlen(token->text));
        assert(token->chunk >= last->chunk || token->blended != last->blended);
        if (token->chunk != last->chunk || token->blended != last->blended) in_chunk = 0;
        assert(++in_chunk <= LENGTH - 2 || token->chunk == c->n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena kept, arena; /* static: they outlive the longjmp of a refusal */
    static struct clip_bpe *t;
    static char *prompt;
    struct job job;
    if (!n) return 0;
    if (!t) {
        folder_make((const char *const[]){NULL});
        folder_put("vocab.json", vocab, sizeof vocab - 1);
        folder_put("merges.txt", "#version: 0.2\n", 14);
        t = clip_bpe_open(&kept, folder);
    }
    free(prompt);
    prompt = calloc(n, 1);
    memcpy(prompt, data + 1, n - 1);
    const struct prompt_syntax *syntax = &prompt_syntaxes[data[0] / 2 % N_SYNTAXES];
    if (job_enter(&job)) {
        struct chunks c = chunks_make(&arena, t, syntax, "prompt", prompt, syntax->parse(&arena, "prompt", prompt), LENGTH, data[0] % 2);
        check(&c, clip_bpe_vocab_size(t));
        job_leave(&job);
    } else {
        check_refusal(&job);
    }
    arena_free(&arena);
    return 0;
}
