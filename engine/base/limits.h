/* What the process may use of the machine: its affinity, and what its control groups (version 1 or 2, containers' and batch systems')
 * grant it. `root` goes before /proc and /sys: "" but in tests. A file that is missing or is not what it should be says nothing. */
#ifndef ENGINE_BASE_LIMITS_H
#define ENGINE_BASE_LIMITS_H

#include <stdint.h>

/* CPUs: those of the affinity, at most the groups' quota rounded up; at least 1. */
int cpu_count(void);
/* The smallest quota of the process's groups and those above them, in CPUs; 0: none. */
double cpu_quota(const char *root);
/* Bytes that can still be had: the system's, at most what the groups leave; 0: nobody says. File pages a group caches count as free. */
uint64_t memory_available(const char *root);

/* Bytes the process holds: what it has touched of its own and of the libraries' files; 0 where the system does not say. */
uint64_t memory_resident(void);

#endif
