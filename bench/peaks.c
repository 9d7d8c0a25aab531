/* Each loop has more sums on the way than the multiply-adds of a core take cycles, and no memory in it. */
#include "bench/peaks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double thread_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { REPEATS = 12 };

/* The most of what `work` gives for a second, of REPEATS. */
static double best(double (*work)(void)) {
    double most = 0;
    for (int i = 0; i < REPEATS; i++) {
        double start = thread_s(), done = work(), rate = done / (thread_s() - start);
        if (rate > most) most = rate;
    }
    return most;
}

#if defined __x86_64__
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TURNS = 1 << 20, SUMS = 12 };

/* FLOP of multiply-adds by vectors of so many floats. */
#define MULTIPLY_ADDS(name, flags, lanes)                                                              \
    __attribute__((target(flags), noinline)) static double name(void) {                                \
        typedef float vector __attribute__((vector_size(4 * (lanes))));                                \
        vector sum[SUMS], factor = (vector){0} + 0.5f;                                                 \
        for (int i = 0; i < SUMS; i++) sum[i] = (vector){0} + (float)i;                                \
        for (int t = 0; t < TURNS; t++) {                                                              \
            _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sum[i] = sum[i] * factor + factor; \
            __asm__ volatile("" : "+x"(factor));                                                       \
        }                                                                                              \
        for (int i = 1; i < SUMS; i++) sum[0] += sum[i];                                               \
        __asm__ volatile("" ::"x"(sum[0]));                                                            \
        return 2.0 * (lanes)*SUMS * TURNS;                                                             \
    }
MULTIPLY_ADDS(sse2_flop, "arch=x86-64", 4)
MULTIPLY_ADDS(avx2_flop, "avx2,fma", 8)
MULTIPLY_ADDS(avx512_flop, "avx512f,prefer-vector-width=512", 16)

__attribute__((target("avx512bf16,avx512f"), noinline)) static double bf16_flop(void) {
    __m512 sum[SUMS];
    __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3f00);
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int t = 0; t < TURNS; t++)
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], factor, factor);
    for (int i = 1; i < SUMS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    __asm__ volatile("" ::"x"(sum[0]));
    return 2.0 * 32 * SUMS * TURNS;
}

/* Two by two tiles of 16 x 16 sums, as a product's kernel has them. */
__attribute__((target("amx-tile,amx-bf16"), noinline)) static double amx_flop(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    enum { AMX_TURNS = TURNS / 16 };
    for (int t = 0; t < AMX_TURNS; t++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 2 * 16 * 16 * 32 * AMX_TURNS;
}

/* CPUID says it, and the system lends the tiles' registers to those who ask. */
static bool has_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    bool tiles = d >> 24 & 1, bf16 = d >> 22 & 1;
    return tiles && bf16 && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

double peak_flops(const char *isa) {
    if (!strcmp(isa, "sse2")) return best(sse2_flop);
    if (!strcmp(isa, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? best(avx2_flop) : 0;
    if (!strcmp(isa, "avx512")) return __builtin_cpu_supports("avx512f") ? best(avx512_flop) : 0;
    if (!strcmp(isa, "avx512_bf16")) return __builtin_cpu_supports("avx512bf16") ? best(bf16_flop) : 0;
    return !strcmp(isa, "amx") && has_amx() ? best(amx_flop) : 0;
}
#else
double peak_flops(const char *isa) {
    (void)isa;
    return 0;
}
#endif

enum { MEMORY = 256 << 20 };
static uint64_t *memory, *other;

static double copy_bytes(void) {
    memcpy(other, memory, MEMORY);
    __asm__ volatile("" ::"r"(other) : "memory");
    return 2.0 * MEMORY;
}

static double read_bytes(void) {
    uint64_t sum[16] = {0};
    for (size_t i = 0; i < MEMORY / sizeof *memory; i += 16)
        for (size_t j = 0; j < 16; j++) sum[j] |= memory[i + j];
    for (int j = 1; j < 16; j++) sum[0] |= sum[j];
    __asm__ volatile("" ::"r"(sum[0]));
    return MEMORY;
}

static double with_memory(double (*work)(void)) {
    memory = malloc(MEMORY), other = malloc(MEMORY);
    if (!memory || !other) abort();
    memset(memory, 1, MEMORY), memset(other, 1, MEMORY);
    double rate = best(work);
    free(memory), free(other);
    return rate;
}

double peak_read(void) {
    return with_memory(read_bytes);
}

double peak_copy(void) {
    return with_memory(copy_bytes);
}
