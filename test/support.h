/* What the tests share: fixtures by name, comparisons that say where and what, temporary directories. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/files/safetensors.h"

/* The fixture's values as f32 (integers too), in arena a; fails the test if absent. */
static inline float *fixture_f32(struct arena *a, const struct st_file *f, const char *name, const struct tensor **tensor) {
    const struct tensor *t = st_find(f, name);
    if (!t) fail_msg("%s: no tensor '%s'", f->path, name);
    size_t n = t->bytes / dtype_table[t->dtype].size;
    void *raw = arena_alloc(a, t->bytes ? t->bytes : 1);
    float *x = arena_array(a, n ? n : 1, sizeof *x);
    if (tensor_read(t, raw) != 0) fail_msg("%s: cannot read '%s'", f->path, name);
    if (t->dtype <= DT_F64) dtype_to_f32(x, raw, t->dtype, n);
    else
        for (size_t i = 0; i < n; i++)
            x[i] = t->dtype == DT_I64   ? (float)((int64_t *)raw)[i]
                   : t->dtype == DT_I32 ? (float)((int32_t *)raw)[i]
                                        : (float)((uint8_t *)raw)[i];
    *tensor = t;
    return x;
}

/* Every |got - want| <= tolerance (NaN fails); the failure names the worst value's coordinates and both values. */
static inline void assert_close(const char *name, const float *got, const float *want, const int64_t *shape, int rank, double tolerance) {
    size_t n = 1, worst = 0;
    for (int i = 0; i < rank; i++) n *= (size_t)shape[i];
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        if (!(error <= most)) most = error, worst = i;
        if (isnan(error)) break;
    }
    if (most <= tolerance) return;
    char at[128] = "";
    size_t rest = worst, length = 0, stride = n;
    for (int i = 0; i < rank; i++) {
        stride /= (size_t)shape[i];
        length += (size_t)snprintf(at + length, sizeof at - length, "%s%zu", i ? "," : "", rest / stride);
        rest %= stride;
    }
    fail_msg("%s[%s]: got %.9g, want %.9g (error %.3g > %.3g)", name, at, (double)got[worst], (double)want[worst], most, tolerance);
}

#endif
