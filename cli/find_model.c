#include "cli/find_model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/recorded.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

#define SHIPPED "doodle" /* the model that ships */

/* The checkpoint that ships with the program: beside the executable or its build folder, or where `make install` puts it; NULL if nowhere.
 */
static const char *shipped_model(struct arena *a) {
    static const char *const places[] = {"models/doodle", "share/diffuse/doodle", "models/doodle" /* build/release/diffuse */};
    char above[PATH_MAX]; /* the executable's directory, then the one that it is in, … */
    ssize_t n = readlink("/proc/self/exe", above, sizeof above - 1);
    above[n > 0 ? n : 0] = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && *above; i++) {
        *strrchr(above, '/') = 0;
        const char *dir = arena_printf(a, "%s/%s", above, places[i]);
        if (file_exists(arena_printf(a, "%s/model_index.json", dir))) return dir;
    }
    return NULL;
}

static const char *model_meant(struct arena *a, const char *given, const struct recorded *from) {
    const char *variable = getenv("DIFFUSE_MODEL"), *name = from ? recorded_fact(from, "model") : NULL;
    const char *revision = from ? recorded_fact(from, "revision") : NULL;
    if (!given && name && revision) given = arena_printf(a, "%.*s@%s", (int)strcspn(name, "@"), name, revision);
    const char *shipped = shipped_model(a);
    if (!given && name && !strcmp(name, SHIPPED) && shipped) given = name;
    if (!given && variable && *variable) given = variable;
    if (given && (strcmp(given, SHIPPED) || file_exists(SHIPPED))) return given;
    return shipped ? shipped : given;
}

/* A directory's name does not say where it lies. */
static void note_other(const char *model, const struct recorded *from) {
    const char *recorded = from ? recorded_fact(from, "model") : NULL, *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;
    if (!recorded || recorded_fact(from, "revision") || !strcmp(name, recorded)) return;
    warn("%s: drawn with the model '%s', now with '%s': -m DIR says which", from->file, recorded, name);
}

const char *find_model(struct arena *a, const char *given, const struct recorded *from) {
    const char *model = model_meant(a, given, from);
    if (model && !given) note_other(model, from);
    return model;
}
