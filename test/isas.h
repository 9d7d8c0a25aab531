/* Tests of the CPU device with each instruction set that its ops are compiled for and that this CPU has. */
#ifndef TEST_ISAS_H
#define TEST_ISAS_H

#include "test/support.h"
#include "engine/cpu/isa.h"

/* The number of tests that failed with any of them: what main returns. */
static inline int with_each_isa(int (*group)(void)) {
    int failed = 0, n = 0;
    for (const struct cpu_ops *const *at = cpu_isas; *at; at++) {
        if (!cpu_isa_runs(*at)) continue;
        setenv("DIFFUSE_ISA", (*at)->isa, 1);
        printf("with %s:\n", (*at)->isa);
        failed += group();
        n++;
    }
    unsetenv("DIFFUSE_ISA");
    return n ? failed : 1;
}

#endif
