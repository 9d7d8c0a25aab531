/* Stands in for the toolkit's header: IEEE half precision, rounded to the nearest even value. Arithmetic on halves is done in f32 and
 * rounded once, as the GPU's results are. */
#ifndef EMU_CUDA_FP16_H
#define EMU_CUDA_FP16_H

#include "cuda_runtime.h"
#ifdef __F16C__
#include <immintrin.h>
#endif

namespace emu {
#ifdef __F16C__
inline float half_to_float(uint16_t h) {
    return _cvtsh_ss(h);
}
inline uint16_t float_to_half(float f) {
    return _cvtss_sh(f, 0);
}
#else
inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return bits<float>(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return bits<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    return bits<float>(sign | bits<uint32_t>((float)mantissa * 0x1p-24f));
}
inline uint16_t float_to_half(float f) {
    uint32_t b = bits<uint32_t>(f), sign = b >> 16 & 0x8000;
    b &= 0x7fffffff;
    if (b > 0x7f800000u) return (uint16_t)(sign | 0x7fff);
    if (b >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);                                    /* rounds beyond 65504 */
    if (b < 0x38800000u) return (uint16_t)(sign | (uint32_t)lrintf(bits<float>(b) * 0x1p24f)); /* subnormal */
    b += 0xfff + (b >> 13 & 1);
    return (uint16_t)(sign | ((b >> 13) - (112u << 10)));
}
#endif
} // namespace emu

struct __half {
    uint16_t x;
    __half() = default;
    __half(float f) : x(emu::float_to_half(f)) {}
    operator float() const { return emu::half_to_float(x); }
};
struct alignas(4) __half2 {
    __half x, y;
};
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half h) {
    return h;
}
inline __half __float2half(float f) {
    return __half(f);
}
inline __half __float2half_rn(float f) {
    return __half(f);
}
inline __half __ushort_as_half(unsigned short x) {
    return emu::bits<__half>(x);
}
inline unsigned short __half_as_ushort(__half h) {
    return h.x;
}
inline float __low2float(__half2 h) {
    return h.x;
}
inline float __high2float(__half2 h) {
    return h.y;
}
inline __half __low2half(__half2 h) {
    return h.x;
}
inline __half __high2half(__half2 h) {
    return h.y;
}
inline float2 __half22float2(__half2 h) {
    return {h.x, h.y};
}
inline __half2 __floats2half2_rn(float a, float b) {
    return {__half(a), __half(b)};
}
inline __half2 __float22half2_rn(float2 v) {
    return {__half(v.x), __half(v.y)};
}
inline __half2 __float2half2_rn(float v) {
    return {__half(v), __half(v)};
}
inline __half2 __halves2half2(__half a, __half b) {
    return {a, b};
}
inline __half2 make_half2(__half a, __half b) {
    return {a, b};
}

#define EMU_HALF(T, op, fn)                         \
    inline __half operator op(__half a, __half b) { \
        return __half((float)a op(float) b);        \
    }                                               \
    inline __half fn(__half a, __half b) {          \
        return a op b;                              \
    }                                               \
    inline __half2 fn##2(__half2 a, __half2 b) {    \
        return {a.x op b.x, a.y op b.y};            \
    }
EMU_HALF(__half, +, __hadd)
EMU_HALF(__half, -, __hsub)
EMU_HALF(__half, *, __hmul)
#undef EMU_HALF
inline __half __hdiv(__half a, __half b) {
    return __half((float)a / (float)b);
}
inline __half __hfma(__half a, __half b, __half c) {
    return __half(fmaf(a, b, c));
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
inline __half __hmax(__half a, __half b) {
    return __half(fmaxf(a, b));
}
inline __half __hmin(__half a, __half b) {
    return __half(fminf(a, b));
}
inline __half __hneg(__half a) {
    return __half(-(float)a);
}
inline bool __hisnan(__half a) {
    return (a.x & 0x7fff) > 0x7c00;
}

#endif
