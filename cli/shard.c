#include "cli/shard.h"

#include <stdlib.h>
#include <string.h>
#include "cli/field.h"
#include "engine/base/error.h"

/* Of a Slurm array that is told N, the index is the task's number; of one that is not, its place. */
static const struct engine {
    const char *index, *count; /* count NULL: nobody tells */
    const char *only_with;     /* Slurm's batch script has SLURM_PROCID 0 too, whatever it goes on to start */
    uint64_t first;
} engines[] = {
    {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", NULL, 0},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", 0},
    {"JOB_COMPLETION_INDEX", NULL, NULL, 0},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL, 0},
    {"PARALLEL_SEQ", NULL, NULL, 1},
};
enum { N_ENGINES = sizeof engines / sizeof *engines };

static bool variable(const char *name, uint64_t *value) {
    const char *text = name ? getenv(name) : NULL;
    if (!text || !*text) return false;
    if (!parse_digits(text, value)) die(FAIL_USAGE, "%s: expected a whole number, found '%s'", name, text);
    return true;
}

/* Dies where it is one of a list with gaps: nobody tells its place. */
static void place_in_array(struct shard *s, const char *option) {
    uint64_t least = 0, most = s->index, step = 1;
    variable("SLURM_ARRAY_TASK_MIN", &least);
    variable("SLURM_ARRAY_TASK_MAX", &most);
    variable("SLURM_ARRAY_TASK_STEP", &step);
    if (!step || most < least || (most - least) / step + 1 != s->count || s->index < least || (s->index - least) % step)
        die_hint(FAIL_USAGE, "auto/N takes the task's number as it is",
                 "%s auto: the array is a list of %llu tasks from %llu to %llu: its places are not known", option,
                 (unsigned long long)s->count, (unsigned long long)least, (unsigned long long)most);
    s->index = (s->index - least) / step;
}

/* What the engine says; count 0 where it does not tell. */
static bool ask(const struct engine *e, const char *option, uint64_t told, struct shard *s) {
    uint64_t any;
    *s = (struct shard){.from = e->index};
    if (e->only_with && !variable(e->only_with, &any)) return false;
    if (!variable(e->index, &s->index)) return false;
    if (s->index < e->first) die(FAIL_USAGE, "%s: expected a number from %llu, found 0", e->index, (unsigned long long)e->first);
    s->index -= e->first;
    variable(e->count, &s->count);
    if (e == engines && s->count && !told) place_in_array(s, option);
    return true;
}

static struct shard from_environment(const char *option, uint64_t told) {
    struct shard found = {0}, s;
    for (int i = 0; i < N_ENGINES; i++) {
        if (!ask(&engines[i], option, told, &s)) continue;
        if (found.from && s.count == 1) continue;
        if (found.from && found.count != 1 && (found.index != s.index || found.count != s.count))
            die_hint(FAIL_USAGE, "I/N says which is meant", "%s auto: %s says %llu of %llu and %s %llu of %llu", option, found.from,
                     (unsigned long long)found.index, (unsigned long long)found.count, s.from, (unsigned long long)s.index,
                     (unsigned long long)s.count);
        if (!found.from || found.count == 1) found = s;
    }
    for (int i = 0; !found.from && i < N_ENGINES; i++)
        if (variable(engines[i].index, &s.index))
            die_hint(FAIL_USAGE, "srun starts them; I/N says which is meant",
                     "%s auto: %s is set and %s is not: this is none of a step's tasks", option, engines[i].index, engines[i].only_with);
    if (!found.from)
        die(FAIL_USAGE, "%s auto: none of %s, %s, %s, %s and %s is set", option, engines[0].index, engines[1].index, engines[2].index,
            engines[3].index, engines[4].index);
    if (told) found.count = told;
    if (!found.count) die_hint(FAIL_USAGE, "auto/N", "%s auto: %s tells no number of shards", option, found.from);
    return found;
}

struct shard shard_parse(struct arena *a, const char *option, const char *text) {
    const char *slash = strchr(text, '/');
    const char *index = arena_printf(a, "%.*s", (int)(slash ? slash - text : (long)strlen(text)), text);
    struct shard s = {0};
    bool automatic = !strcmp(index, "auto");
    bool legal = slash ? parse_digits(slash + 1, &s.count) && s.count : automatic;
    if (!legal || (!automatic && !parse_digits(index, &s.index)))
        die(FAIL_USAGE, "%s: expected I/N, auto or auto/N, found '%s'", option, text);
    if (automatic) s = from_environment(option, s.count);
    if (s.index >= s.count)
        die(FAIL_USAGE, "%s: expected a shard from 0 to %llu, found %llu%s%s", option, (unsigned long long)(s.count - 1),
            (unsigned long long)s.index, s.from ? ", from " : "", s.from ? s.from : "");
    return s;
}
