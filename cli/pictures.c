#include "cli/pictures.h"

#include <stdio.h>
#include "cli/recorded.h"
#include "engine/base/error.h"

static void print_info(struct arena *a, const char *path, const struct options *o) {
    recorded_print(recorded_read(a, path), o->json);
}

/* One of several; false where it failed, which is then told. */
static bool info_of_several(struct arena *a, const char *path, const struct options *o) {
    struct job job;
    if (job_enter(&job)) {
        print_info(a, path, o);
        job_leave(&job);
        return true;
    }
    fprintf(stderr, "diffuse: %s\n", job.message);
    return false;
}

int pictures_info(const struct options *o) {
    int n_failed = 0;
    for (int i = 0; i < o->n_pictures; i++) {
        struct arena a = {0};
        if (o->n_pictures == 1) print_info(&a, o->pictures[i], o);
        else n_failed += !info_of_several(&a, o->pictures[i], o);
        arena_free(&a);
    }
    return n_failed ? FAIL_ITEMS : 0;
}
