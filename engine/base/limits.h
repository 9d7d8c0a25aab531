/* What the process may use of the machine. */
#ifndef ENGINE_BASE_LIMITS_H
#define ENGINE_BASE_LIMITS_H

/* CPUs: at least 1. */
int cpu_count(void);

#endif
