/* The tile instructions of AMX, as the kernels write them: eight tiles t, 0 to 7 and written as literals, each of up to 16 rows of 64
 * bytes. With AMX_TWIN they are plain C that does the same, step by step as Intel's manual says (Software Developer's Manual, volume 2:
 * LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS, TILERELEASE), so that what is built on them runs, and is tested, on any CPU; what would be
 * #UD or #GP is an assertion there. Tiles are a thread's own. */
#ifndef ENGINE_CPU_AMX_TILE_H
#define ENGINE_CPU_AMX_TILE_H

#include <stdint.h>

/* The operand of LDTILECFG, 64 bytes. */
struct tile_config {
    uint8_t palette; /* 1: eight tiles, each of at most 16 rows of 64 bytes; 0: as tile_release */
    uint8_t start_row, reserved[14];
    uint16_t row_bytes[8];
    uint8_t reserved_too[16];
    uint8_t rows[8], reserved_last[8];
};
_Static_assert(sizeof(struct tile_config) == 64, "of LDTILECFG");

#ifndef AMX_TWIN

#include <immintrin.h>

#define tile_configure(config) _tile_loadconfig(config)
#define tile_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
/* Rows `stride` bytes apart. gcc's own does not say that it reads memory. */
#define tile_load(t, base, stride)         \
    do {                                   \
        __asm__ volatile("" ::: "memory"); \
        _tile_loadd(t, base, stride);      \
    } while (0)
#define tile_store(t, base, stride) _tile_stored(t, base, stride)
/* c[m][n] += sum over k, j < 2 of a[m][2k + j] b[k][2n + j]        c f32   a, b bf16 */
#define tile_dot(c, a, b) _tile_dpbf16ps(c, a, b)

#else

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <xmmintrin.h>

static _Thread_local struct {
    bool configured;
    int rows[8], row_bytes[8];
    _Alignas(64) uint8_t at[8][16][64];
} twin;

static inline void tile_release(void) {
    memset(&twin, 0, sizeof twin);
}

static inline bool twin_is_zero(const uint8_t *p, size_t n) {
    size_t i = 0;
    while (i < n && !p[i]) i++;
    return i == n;
}

static inline void tile_configure(const struct tile_config *c) {
    assert(c->palette <= 1);
    assert(twin_is_zero(c->reserved, 14) && twin_is_zero(c->reserved_too, 16) && twin_is_zero(c->reserved_last, 8));
    tile_release(); /* all tiles are zero afterwards */
    if (c->palette == 0) return;
    assert(c->start_row == 0); /* a load that was interrupted: not ours to say */
    for (int t = 0; t < 8; t++) {
        assert(c->rows[t] <= 16 && c->row_bytes[t] <= 64 && !c->rows[t] == !c->row_bytes[t]);
        twin.rows[t] = c->rows[t];
        twin.row_bytes[t] = c->row_bytes[t];
    }
    twin.configured = true;
}

static inline void twin_check(int t) {
    assert(twin.configured && twin.rows[t] > 0);
}

static inline void tile_zero(int t) {
    twin_check(t);
    memset(twin.at[t], 0, sizeof twin.at[t]);
}

/* What lies beyond the tile's rows, and beyond a row's bytes, becomes zero. */
static inline void tile_load(int t, const void *base, size_t stride) {
    tile_zero(t);
    for (int m = 0; m < twin.rows[t]; m++) memcpy(twin.at[t][m], (const char *)base + (size_t)m * stride, (size_t)twin.row_bytes[t]);
}

static inline void tile_store(int t, void *base, size_t stride) {
    twin_check(t);
    for (int m = 0; m < twin.rows[t]; m++) memcpy((char *)base + (size_t)m * stride, twin.at[t][m], (size_t)twin.row_bytes[t]);
}

static inline float twin_f32(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Of one row of c: the products of even and those of odd j are summed apart, each step an FMA, then both, then they and c. */
static inline void twin_dot_row(float *c, const uint16_t *a, const float b[16][2][16], int pairs, int n_columns) {
    float sums[2][16] = {0};
    for (int k = 0; k < pairs; k++)
        for (int j = 0; j < 2; j++) {
            float factor = twin_f32(a[2 * k + j]);
            for (int n = 0; n < 16; n++) sums[j][n] = __builtin_fmaf(factor, b[k][j][n], sums[j][n]);
        }
    for (int n = 0; n < n_columns; n++) c[n] += sums[0][n] + sums[1][n];
}

/* Not inline: its arithmetic stays between the two changes of MXCSR around it. */
static __attribute__((noinline, unused)) void twin_dot(int tc, int ta, int tb) {
    float b[16][2][16];
    uint16_t in[32];
    for (int k = 0; k < 16; k++) {
        memcpy(in, twin.at[tb][k], sizeof in);
        for (int n = 0; n < 32; n++) b[k][n % 2][n / 2] = twin_f32(in[n]);
    }
    for (int m = 0; m < twin.rows[tc]; m++) {
        float c[16];
        memcpy(in, twin.at[ta][m], sizeof in);
        memcpy(c, twin.at[tc][m], sizeof c);
        twin_dot_row(c, in, b, twin.row_bytes[ta] / 4, twin.row_bytes[tc] / 4);
        memcpy(twin.at[tc][m], c, sizeof c);
    }
}

/* Rounds to nearest even; denormal operands count as zero, and so do denormal results, whatever MXCSR says. */
static inline void tile_dot(int tc, int ta, int tb) {
    twin_check(tc), twin_check(ta), twin_check(tb);
    assert(tc != ta && tc != tb && ta != tb);
    assert(twin.rows[ta] == twin.rows[tc] && twin.row_bytes[tb] == twin.row_bytes[tc]);
    assert(twin.row_bytes[ta] % 4 == 0 && twin.row_bytes[tb] % 4 == 0 && twin.row_bytes[ta] / 4 == twin.rows[tb]);
    unsigned mxcsr = _mm_getcsr();
    _mm_setcsr(0x9fc0); /* flush to zero, to nearest, all exceptions masked, denormals are zeros */
    twin_dot(tc, ta, tb);
    _mm_setcsr(mxcsr);
}

#endif
#endif
