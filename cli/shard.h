/* --shard: which of the jobs are this process's, told or read from what the engine that started it says. */
#ifndef CLI_SHARD_H
#define CLI_SHARD_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct shard {
    uint64_t index, count; /* index < count; count 0: there are none, all jobs are ours */
    const char *from;      /* the variable that index was read from; NULL: told */
};

/* "I/N", or "auto", or "auto/N" where the engine tells an index alone. In the environment: a Slurm array's task (its place among them; with
 * auto/N its number), a task of srun, a Kubernetes index, Open MPI's rank, GNU parallel's sequence. What is one of one counts only where it
 * is alone. Dies FAIL_USAGE, naming `option`, where the text or a variable is no such number, none is set, they contradict each other, or
 * nobody tells N. */
struct shard shard_parse(struct arena *a, const char *option, const char *text);

/* Job k, from 0, is shard k mod N's. */
static inline bool shard_has(const struct shard *s, uint64_t job) {
    return !s->count || job % s->count == s->index;
}

#endif
