/* Stands in for the toolkit's header: bfloat16, the upper half of an f32, rounded to the nearest even value. */
#ifndef EMU_CUDA_BF16_H
#define EMU_CUDA_BF16_H

#include "cuda_runtime.h"

namespace emu {
inline float bf16_to_float(uint16_t h) {
    return bits<float>((uint32_t)h << 16);
}
inline uint16_t float_to_bf16(float f) {
    uint32_t b = bits<uint32_t>(f);
    if ((b & 0x7fffffff) > 0x7f800000u) return 0x7fff;
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}
} // namespace emu

struct __nv_bfloat16 {
    uint16_t x;
    __nv_bfloat16() = default;
    __nv_bfloat16(float f) : x(emu::float_to_bf16(f)) {}
    operator float() const { return emu::bf16_to_float(x); }
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

inline float __bfloat162float(__nv_bfloat16 h) {
    return h;
}
inline __nv_bfloat16 __float2bfloat16(float f) {
    return __nv_bfloat16(f);
}
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
    return __nv_bfloat16(f);
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) {
    return emu::bits<__nv_bfloat16>(x);
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 h) {
    return h.x;
}
inline float __low2float(__nv_bfloat162 h) {
    return h.x;
}
inline float __high2float(__nv_bfloat162 h) {
    return h.y;
}
inline float2 __bfloat1622float2(__nv_bfloat162 h) {
    return {h.x, h.y};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b) {
    return {__nv_bfloat16(a), __nv_bfloat16(b)};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) {
    return {__nv_bfloat16(v.x), __nv_bfloat16(v.y)};
}
inline __nv_bfloat162 __float2bfloat162_rn(float v) {
    return {__nv_bfloat16(v), __nv_bfloat16(v)};
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) {
    return {a, b};
}
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) {
    return {a, b};
}

inline __nv_bfloat16 operator+(__nv_bfloat16 a, __nv_bfloat16 b) {
    return __nv_bfloat16((float)a + (float)b);
}
inline __nv_bfloat16 operator-(__nv_bfloat16 a, __nv_bfloat16 b) {
    return __nv_bfloat16((float)a - (float)b);
}
inline __nv_bfloat16 operator*(__nv_bfloat16 a, __nv_bfloat16 b) {
    return __nv_bfloat16((float)a * (float)b);
}
inline __nv_bfloat16 __hadd(__nv_bfloat16 a, __nv_bfloat16 b) {
    return a + b;
}
inline __nv_bfloat16 __hsub(__nv_bfloat16 a, __nv_bfloat16 b) {
    return a - b;
}
inline __nv_bfloat16 __hmul(__nv_bfloat16 a, __nv_bfloat16 b) {
    return a * b;
}
inline __nv_bfloat16 __hfma(__nv_bfloat16 a, __nv_bfloat16 b, __nv_bfloat16 c) {
    return __nv_bfloat16(fmaf(a, b, c));
}
inline __nv_bfloat16 __hmax(__nv_bfloat16 a, __nv_bfloat16 b) {
    return __nv_bfloat16(fmaxf(a, b));
}
inline __nv_bfloat16 __hmin(__nv_bfloat16 a, __nv_bfloat16 b) {
    return __nv_bfloat16(fminf(a, b));
}
inline bool __hisnan(__nv_bfloat16 a) {
    return (a.x & 0x7fff) > 0x7f80;
}

#endif
