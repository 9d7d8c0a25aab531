/* A checkpoint's own files: five parts with NULs between, model_index.json, the unet's shard index, its config.json,
 * scheduler_config.json, generation_config.json; an empty part is a file that is not there. Two shards lie beside the index. */
#include "engine/files/checkpoint.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

static const char *const names[] = {"model_index.json", "unet/diffusion_pytorch_model.safetensors.index.json", "unet/config.json",
                                    "scheduler/scheduler_config.json", "generation_config.json"};
enum { N_FILES = sizeof names / sizeof *names };

static const char *const headers[] = {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}        ",
                                      "{\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}        "};
static const char *const shards[] = {"unet/a.safetensors", "unet/b.safetensors"};

static void put_shard(int i) {
    char file[128] = {(char)strlen(headers[i])};
    size_t n = strlen(headers[i]);
    memcpy(file + 8, headers[i], n);
    folder_put(shards[i], file, 8 + n + 2);
}

static void open_all(struct arena *a) {
    struct checkpoint *c = checkpoint_list(a, &(struct source){.model = folder});
    assert(generation_unknown_words(a, &c->generation, "a fox") == NULL || c->generation.n_words > 0);
    checkpoint_check_modules(c);
    for (int i = 0; i < c->n_components; i++) {
        struct component *m = &c->components[i];
        assert(checkpoint_find(c, m->name) && !strchr(m->name, '/') && *m->name);
        component_open(c, m, !strcmp(m->name, "unet") ? COMPONENT_NET : COMPONENT_SCHEDULER, NULL);
        if (!m->n_files) continue;
        assert(m->n_files <= 2 && (component_find(m, "x") || component_find(m, "y")));
    }
    checkpoint_check_variant(c, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    struct parts parts = parts_of(data, n);
    error_quiet = 1;
    folder_make((const char *const[]){"unet", "scheduler", NULL});
    for (int i = 0; i < 2; i++) put_shard(i);
    for (int i = 0; i < N_FILES; i++) {
        size_t length;
        const char *text = part_next(&parts, &length);
        folder_put(names[i], text, length);
    }
    if (job_enter(&job)) {
        open_all(&arena);
        job_leave(&job);
    } else check_refusal(&job);
    arena_free(&arena);
    return 0;
}
