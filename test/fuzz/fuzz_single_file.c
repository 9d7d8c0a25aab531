/* Names of a single file's tensors: what kind it is, and what each of the file's and of our own names becomes. Input: a line for each
 * tensor, its name and, behind a blank, its second axis. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/files/safetensors_parse.h"
#include "engine/files/single_file.h"

enum { TENSORS_MAX = 64 };

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const struct tensor *const *)a)->name, (*(const struct tensor *const *)b)->name);
}

static void read_names(struct arena *a, struct st_file *f, char *text) {
    f->tensors = arena_array(a, TENSORS_MAX, sizeof *f->tensors);
    f->by_name = arena_array(a, TENSORS_MAX, sizeof *f->by_name);
    for (char *line; (line = strsep(&text, "\n")) && f->n_tensors < TENSORS_MAX;) {
        const char *name = strsep(&line, " ");
        if (!*name || strlen(name) > ST_NAME_MAX) continue;
        struct tensor *t = &f->tensors[f->n_tensors].tensor;
        *t = (struct tensor){.name = name, .dtype = DT_I64, .rank = 2, .shape = {0, line ? atoi(line) : 0}, .file = f};
        f->by_name[f->n_tensors++] = t;
    }
    qsort(f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, compare_names);
}

static void rename_all(struct arena *a, const struct st_file *f, const struct single_kind *kind) {
    for (const struct single_part *p = kind->parts; p->name; p++)
        for (int i = 0; i < f->n_tensors && p->renames; i++) {
            enum take take;
            const char *theirs = dialect_name(a, &(struct dialect){p->prefixes[0], p->renames}, f->by_name[i]->name, &take);
            assert(!theirs || !strncmp(theirs, p->prefixes[0], strlen(p->prefixes[0])));
            single_dialect(a, f, p);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    static char *text;
    struct job job;
    free(text);
    text = strndup(n ? (const char *)data : "", n);
    struct st_file *f = arena_alloc(&arena, sizeof *f);
    *f = (struct st_file){.path = "fuzz", .fd = -1};
    read_names(&arena, f, text);
    rename_all(&arena, f, &single_xl);
    rename_all(&arena, f, &single_sd2);
    if (job_enter(&job)) {
        const struct single_kind *kind = single_kind_of(f);
        single_prediction_of(f, kind);
        job_leave(&job);
    } else {
        assert(job.code == FAIL_UNSUPPORTED && !strchr(job.message, '\n'));
    }
    arena_free(&arena);
    return 0;
}
