#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "schedulers/scheduler.h"

struct sched_choice sched_choice_parse(struct arena *a, const char *text) {
    struct sched_choice c = {0};
    int n = 0;
    char *rest = arena_strdup(a, text ? text : ""), *name = strsep(&rest, ",:");
    for (char *item; (item = strsep(&rest, ",:")) != NULL;) {
        if (n == SCHED_OVERRIDES_MAX) die(FAIL_USAGE, "--scheduler: more than %d options", SCHED_OVERRIDES_MAX);
        c.overrides[n++] = item;
    }
    if (!*name) return c;
    c.target = scheduler_find(name);
    if (!c.target) die(FAIL_USAGE, "unknown scheduler '%s'", name); /* the command line has suggested a near one already */
    return c;
}

/* Classes diffusers swaps freely, though we do not run them. */
static bool is_foreign_but_compatible(const char *name) {
    return !strcmp(name, "DPMSolverSDEScheduler") || !strcmp(name, "DDIMInverseScheduler") || !strcmp(name, "DDIMParallelScheduler") ||
           !strcmp(name, "DDPMParallelScheduler") || !strcmp(name, "SASolverScheduler") ||
           !strcmp(name, "DPMSolverMultistepInverseScheduler");
}

const struct scheduler *scheduler_of_class(const char *name, const char *path, bool swapped) {
    if (!name) die(FAIL_DATA, "%s: field '_class_name': expected a scheduler's class name, found nothing", path);
    for (const struct scheduler *const *s = schedulers; *s; s++)
        if (!strcmp((*s)->class_name, name)) return *s;
    if (swapped && is_foreign_but_compatible(name)) return NULL;
    die_hint(FAIL_UNSUPPORTED, "diffuse --list schedulers", "%s: scheduler class '%s' is not supported", path, name);
}
