/* The CLIP tokenizer: files of arbitrary bytes, then a prompt of arbitrary bytes. The input is seven parts with NULs
 * between: tokenizer.json, vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json, added_tokens.json,
 * the prompt. An empty part is a file that is not there, or for vocab.json and merges.txt a good one. */
#include <assert.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "test/fuzz/folder.h"
#include "tokenizer/clip_bpe.h"

static const char *const names[] = {"tokenizer.json",          "vocab.json",       "merges.txt", "tokenizer_config.json",
                                    "special_tokens_map.json", "added_tokens.json"};
enum { N_FILES = 6, LENGTH = 12 };

static const char vocab[] = "{\"a\":0,\"b\":1,\"\xc3\x8c\":2,\"a</w>\":3,\"b</w>\":4,\"ab\":5,\"ab</w>\":6,\"aab\":7,\"!\":8,\"!</w>\":9,"
                            "\"<|startoftext|>\":10,\"<|endoftext|>\":11}";
static const char merges[] = "#version: 0.2\na b\na ab\na b</w>\n";

static void put(int i, const char *text, size_t n) {
    if (!n && i == 1) text = vocab, n = sizeof vocab - 1;
    if (!n && i == 2) text = merges, n = sizeof merges - 1;
    folder_put(names[i], text, n);
}

static void encode(struct arena *a, const char *prompt) {
    const struct clip_bpe *t = clip_bpe_open(a, folder);
    int n, size = clip_bpe_vocab_size(t);
    int32_t ids[LENGTH];
    size_t cut_at;
    const struct clip_piece *p = clip_bpe_pieces(a, t, prompt, &n);
    for (int i = 0; i < n; i++) {
        assert(p[i].id >= 0 && p[i].id < size && p[i].begin < p[i].end && p[i].end <= strlen(prompt));
        assert(i == 0 || p[i].begin >= p[i - 1].begin);
        assert(clip_bpe_token(t, p[i].id)[0]);
    }
    assert(clip_bpe_encode(a, t, prompt, ids, LENGTH, &cut_at) == (n > LENGTH - 2 ? n - (LENGTH - 2) : 0));
    assert(cut_at <= strlen(prompt));
    for (int i = 0; i < LENGTH; i++) assert(ids[i] >= 0 && ids[i] < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    static char *prompt;
    struct job job;
    struct parts parts = parts_of(data, n);
    folder_make((const char *const[]){NULL});
    for (int i = 0; i < N_FILES; i++) {
        size_t length;
        const char *text = part_next(&parts, &length);
        put(i, text, length);
    }
    free(prompt);
    prompt = part_text(&parts);
    if (job_enter(&job)) {
        encode(&arena, prompt);
        job_leave(&job);
    } else {
        assert(job.code == FAIL_DATA || job.code == FAIL_UNSUPPORTED || job.code == FAIL_USAGE);
        assert(utf8_valid(job.message, strlen(job.message), NULL));
    }
    arena_free(&arena);
    return 0;
}
