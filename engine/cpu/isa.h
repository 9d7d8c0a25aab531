/* The ops of engine/cpu are compiled once for each instruction set of the Makefile's ISAS, and a device takes the table of the best one
 * that the CPU has (isa.c). Of each compilation one name is for others, cpu_ops_ISA; ops.h gives the rest of them the same ending, so that
 * the three can be linked. */
#ifndef ENGINE_CPU_ISA_H
#define ENGINE_CPU_ISA_H

#include <stdbool.h>
#include "engine/ops.h"

struct cpu_ops {
    const char *isa;              /* "sse2", "avx2", "avx512", "amx", "amx_twin"; "generic" on other machines than x86-64 */
    struct ops planning, running; /* in planning's NULL where there is nothing to plan */
};

extern const struct cpu_ops *const cpu_isas[];   /* all, best first, NULL at the end; after what runs everywhere AMX's twin, for tests */
bool cpu_isa_runs(const struct cpu_ops *ops);    /* this CPU has the instructions, and ONEDNN_MAX_CPU_ISA does not forbid them */
bool cpu_isa_has_amx(const struct cpu_ops *ops); /* or its twin */
/* The best that runs, or what the environment's DIFFUSE_ISA says; dies FAIL_USAGE where there is no such, FAIL_DEVICE where it does not
 * run. */
const struct cpu_ops *cpu_isa_choose(void);

#endif
