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
