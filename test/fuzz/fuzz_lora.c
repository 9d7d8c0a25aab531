/* A LoRA's file: its names, shapes and the texts about it. Input: the header's text; 1 KB of zeros are its data. What is accepted must hold
 * together: keys in order, each once, every factor there, a scale that is a number. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/files/lora.h"

enum { DATA_BYTES = 1024 };

static char path[] = "/dev/shm/fuzz-lora-XXXXXX"; /* memory: a disk would set the pace */

static void clean_up(void) {
    unlink(path);
}

static void put(const uint8_t *header, size_t n) {
    static const char zeros[DATA_BYTES];
    uint64_t length = n;
    FILE *f = fopen(path, "wb");
    if (!f) abort();
    fwrite(&length, 1, sizeof length, f);
    fwrite(header, 1, n, f);
    fwrite(zeros, 1, sizeof zeros, f);
    fclose(f);
}

static void check(const struct lora *l) {
    assert(l->format && l->n > 0 && l->n <= l->file->n_tensors);
    for (int i = 0; i < l->n; i++) {
        const struct lora_module *m = &l->modules[i];
        assert(strchr(m->key, '/') && !strchr(m->key, '.') && (i == 0 || strcmp(l->modules[i - 1].key, m->key) < 0));
        if (!m->delta.a) continue;
        assert(isfinite(m->delta.scale) && m->rank >= 0);
        assert(!m->delta.magnitude || l->has_dora);
        assert(m->delta.kind == DELTA_KRONECKER ? m->delta.c != NULL : m->delta.b && (m->delta.kind == DELTA_LOW_RANK) == !m->delta.c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    static int fd = -1;
    struct job job;
    if (fd < 0) {
        if ((fd = mkstemp(path)) < 0) abort();
        atexit(clean_up);
    }
    put(data, n);
    if (job_enter(&job)) {
        check(lora_open(&arena, path));
        job_leave(&job);
    } else {
        assert(job.code == FAIL_DATA || job.code == FAIL_UNSUPPORTED);
        assert(utf8_valid(job.message, strlen(job.message), NULL) && !strchr(job.message, '\n'));
    }
    arena_free(&arena);
    return 0;
}
