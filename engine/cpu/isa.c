#include "engine/cpu/isa.h"

#include <dnnl.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"

#if defined __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const struct cpu_ops cpu_ops_sse2, cpu_ops_avx2, cpu_ops_avx512, cpu_ops_amx, cpu_ops_amx_twin;
const struct cpu_ops *const cpu_isas[] = {&cpu_ops_amx, &cpu_ops_avx512, &cpu_ops_avx2, &cpu_ops_sse2, &cpu_ops_amx_twin, NULL};

/* oneDNN takes this instruction set or a better one: what narrows it narrows us, so that one name says what a picture was computed with. */
static bool dnnl_takes(int isa) {
    return ((int)dnnl_get_effective_cpu_isa() & isa) == isa;
}

/* CPUID, leaf 7: EDX bit 24 AMX-TILE, bit 22 AMX-BF16; and Linux grants the tiles' 8 KB of state to a process that asks. */
static bool has_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 22 & 1) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

bool cpu_isa_has_amx(const struct cpu_ops *ops) {
    return ops == &cpu_ops_amx || ops == &cpu_ops_amx_twin;
}

/* As the Makefile's flags for each. */
bool cpu_isa_runs(const struct cpu_ops *ops) {
    if (ops == &cpu_ops_amx) return cpu_isa_runs(&cpu_ops_avx512) && dnnl_takes(dnnl_cpu_isa_avx512_core_amx) && has_amx();
    if (ops == &cpu_ops_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && dnnl_takes(dnnl_cpu_isa_avx512_core);
    return ops == &cpu_ops_sse2 || (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && dnnl_takes(dnnl_cpu_isa_avx2));
}
#else
extern const struct cpu_ops cpu_ops_generic;
const struct cpu_ops *const cpu_isas[] = {&cpu_ops_generic, NULL};

bool cpu_isa_runs(const struct cpu_ops *ops) {
    return ops == &cpu_ops_generic;
}

bool cpu_isa_has_amx(const struct cpu_ops *ops) {
    (void)ops;
    return false;
}
#endif

const struct cpu_ops *cpu_isa_choose(void) {
    const char *wanted = getenv("DIFFUSE_ISA");
    const struct cpu_ops *const *at = cpu_isas;
    if (!wanted || !*wanted) {
        while (!cpu_isa_runs(*at)) at++; /* one runs everywhere */
        return *at;
    }
    while (*at && strcmp((*at)->isa, wanted)) at++;
    if (!*at) die(FAIL_USAGE, "DIFFUSE_ISA: expected sse2, avx2, avx512 or amx, found '%s'", wanted);
    if (!cpu_isa_runs(*at)) die(FAIL_DEVICE, "DIFFUSE_ISA=%s: this CPU does not have these instructions", wanted);
    return *at;
}
