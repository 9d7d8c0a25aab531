/* Tensor cores, lane by lane as the PTX manual draws the fragments ("Matrix Fragments for mma.m16n8k16", "ldmatrix"). */
#include "emu.h"

namespace emu {

/* Lane l receives, of each matrix m, the values (l/4, 2(l%4)) and (l/4, 2(l%4)+1), or of the transpose. Lane 8m+i has read row i. */
template <int X, bool TRANSPOSE> void exchange_rows(void *const *lane, unsigned mask) {
    (void)mask;
    for (int m = 0; m < X; m++) {
        uint16_t values[8][8];
        for (int i = 0; i < 8; i++) memcpy(values[i], static_cast<matrix_rows *>(lane[8 * m + i])->row, 16);
        for (int l = 0; l < 32; l++) {
            int i = l / 4, j = 2 * (l % 4);
            uint16_t low = TRANSPOSE ? values[j][i] : values[i][j], high = TRANSPOSE ? values[j + 1][i] : values[i][j + 1];
            static_cast<matrix_rows *>(lane[l])->r[m] = (uint32_t)low | (uint32_t)high << 16;
        }
    }
}
template void exchange_rows<2, false>(void *const *, unsigned);
template void exchange_rows<2, true>(void *const *, unsigned);
template void exchange_rows<4, false>(void *const *, unsigned);
template void exchange_rows<4, true>(void *const *, unsigned);

typedef float row8 __attribute__((vector_size(32), aligned(32)));

/* n a multiple of 8. Written out where the compiler would convert one value at a time. */
static void to_floats(float *to, const uint16_t *from, int n, __half) {
#ifdef __F16C__
    for (int i = 0; i < n; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i))));
#else
    for (int i = 0; i < n; i++) to[i] = half_to_float(from[i]);
#endif
}
static void to_floats(float *to, const uint16_t *from, int n, __nv_bfloat16) {
    for (int i = 0; i < n; i++) to[i] = bf16_to_float(from[i]);
}

template <class T> void multiply(void *const *lane, unsigned mask) {
    if (mask != ~0u) abort();
    alignas(64) uint16_t a16[16][16], b16[16][8];
    alignas(64) float a[16][16];
    row8 b[16], d[16];
    for (int l = 0; l < 32; l++) {
        const mma_operands &o = *static_cast<mma_operands *>(lane[l]);
        int g = l / 4, t = 2 * (l % 4);
        memcpy(&a16[g][t], &o.a[0], 4);
        memcpy(&a16[g + 8][t], &o.a[1], 4);
        memcpy(&a16[g][t + 8], &o.a[2], 4);
        memcpy(&a16[g + 8][t + 8], &o.a[3], 4);
        b16[t][g] = (uint16_t)o.b[0], b16[t + 1][g] = (uint16_t)(o.b[0] >> 16);
        b16[t + 8][g] = (uint16_t)o.b[1], b16[t + 9][g] = (uint16_t)(o.b[1] >> 16);
        d[g][t] = o.d[0], d[g][t + 1] = o.d[1];
        d[g + 8][t] = o.d[2], d[g + 8][t + 1] = o.d[3];
    }
    to_floats(&a[0][0], &a16[0][0], 256, T());
    to_floats(reinterpret_cast<float *>(b), &b16[0][0], 128, T());
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 16; k++)
            for (int r = i; r < i + 4; r++) d[r] += a[r][k] * b[k];
    for (int l = 0; l < 32; l++) {
        const mma_operands &o = *static_cast<mma_operands *>(lane[l]);
        int g = l / 4, t = 2 * (l % 4);
        o.d[0] = d[g][t], o.d[1] = d[g][t + 1];
        o.d[2] = d[g + 8][t], o.d[3] = d[g + 8][t + 1];
    }
}
template void multiply<__half>(void *const *, unsigned);
template void multiply<__nv_bfloat16>(void *const *, unsigned);

} // namespace emu
