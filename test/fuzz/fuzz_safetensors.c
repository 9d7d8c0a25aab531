/* The safetensors header reader. Input: two bytes, the number of data bytes the file is to have, then the header's
 * text. What the reader accepts must hold together: tensors tile the data, names are unique and found. */
#include <assert.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/safetensors_parse.h"

static void check_file(const struct st_file *f, size_t header_bytes) {
    uint64_t at = 8 + header_bytes;
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i].tensor;
        uint64_t bytes = dtype_table[t->dtype].size;
        assert(t->rank >= 0 && t->rank <= TENSOR_RANK_MAX && t->name[0] && strlen(t->name) <= ST_NAME_MAX);
        for (int j = 0; j < t->rank; j++) bytes *= (uint64_t)t->shape[j];
        assert(f->tensors[i].begin == at && t->bytes == bytes);
        assert(st_find(f, t->name) == t);
        at += bytes;
    }
    assert(at == f->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    if (n < 2) return 0;
    struct st_file *f = arena_alloc(&arena, sizeof *f);
    f->path = "fuzz";
    f->fd = -1;
    f->size = 8 + (n - 2) + (data[0] | data[1] << 8);
    if (job_enter(&job)) {
        st_parse_header(&arena, f, (const char *)data + 2, n - 2);
        check_file(f, n - 2);
        job_leave(&job);
    } else {
        assert(job.code == FAIL_DATA || job.code == FAIL_UNSUPPORTED);
    }
    arena_free(&arena);
    return 0;
}
