/* A textual inversion's file: its names and shapes. Input: the header's text; 1 KB of zeros are its data. What is accepted holds together:
 * a word, as many vectors in each part, of its width. */
#include <assert.h>
#include "engine/files/embedding.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

enum { DATA_BYTES = 1024 };

static void put(const uint8_t *header, size_t n) {
    uint64_t length = n;
    char *file = calloc(8 + n + DATA_BYTES, 1);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, n);
    folder_put("learned.safetensors", file, 8 + n + DATA_BYTES);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    folder_make((const char *const[]){NULL});
    put(data, n);
    if (job_enter(&job)) {
        const struct embedding *e = embedding_open(&arena, folder_path("learned.safetensors"));
        assert(e->token && e->n >= 1 && e->n <= EMBEDDING_VECTORS_MAX && e->n_parts >= 1 && e->n_parts <= 2);
        for (int i = 0; i < e->n_parts; i++) {
            const struct tensor *t = e->parts[i].vectors;
            assert(t->rank == 2 && t->shape[0] == e->n && t->shape[1] == e->parts[i].width && t->dtype == DT_F32);
            assert(e->n_parts == 1 || e->parts[i].place == (i ? EMBEDDING_SECOND : EMBEDDING_FIRST));
        }
        job_leave(&job);
    } else {
        check_refusal(&job);
    }
    arena_free(&arena);
    return 0;
}
