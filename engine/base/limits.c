#include "engine/base/limits.h"

#include <sched.h>
#include <unistd.h>

/* The kernel refuses a set too small for the machine: larger ones are tried. */
static int affinity_count(void) {
    for (size_t n = 1024; n <= 65536; n *= 4) {
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set) return 0;
        int error = sched_getaffinity(0, CPU_ALLOC_SIZE(n), set), count = error ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(n), set);
        CPU_FREE(set);
        if (!error) return count;
    }
    return 0;
}

int cpu_count(void) {
    int n = affinity_count();
    return n > 0 ? n : 1;
}
