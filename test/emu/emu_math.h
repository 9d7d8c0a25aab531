/* The words and functions of CUDA C++ that a thread needs by itself: qualifiers, vector types, indices, arithmetic, atomics. */
#ifndef EMU_MATH_H
#define EMU_MATH_H

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

/* ---- vector types ------------------------------------------------------------------------------------------------ */

#define EMU_VECTORS(T, name, align2, align4)            \
    struct name##1 {                                    \
        T x;                                            \
    };                                                  \
    struct alignas(align2) name##2 {                    \
        T x, y;                                         \
    };                                                  \
    struct name##3 {                                    \
        T x, y, z;                                      \
    };                                                  \
    struct alignas(align4) name##4 {                    \
        T x, y, z, w;                                   \
    };                                                  \
    inline name##2 make_##name##2(T x, T y) {           \
        return {x, y};                                  \
    }                                                   \
    inline name##3 make_##name##3(T x, T y, T z) {      \
        return {x, y, z};                               \
    }                                                   \
    inline name##4 make_##name##4(T x, T y, T z, T w) { \
        return {x, y, z, w};                            \
    }
EMU_VECTORS(float, float, 8, 16)
EMU_VECTORS(int, int, 8, 16)
EMU_VECTORS(unsigned, uint, 8, 16)
EMU_VECTORS(short, short, 4, 8)
EMU_VECTORS(unsigned short, ushort, 4, 8)
EMU_VECTORS(signed char, char, 2, 4)
EMU_VECTORS(unsigned char, uchar, 2, 4)
EMU_VECTORS(double, double, 16, 16)
EMU_VECTORS(long long, longlong, 16, 16)
#undef EMU_VECTORS

/* ---- where a thread is: set before it runs ----------------------------------------------------------------------- */

#define EMU_THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
extern EMU_THREAD_LOCAL uint3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* Mixed types, as CUDA's overloads allow; NaN loses. */
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) {
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>) return std::fmin((T)a, (T)b);
    else return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) {
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>) return std::fmax((T)a, (T)b);
    else return (T)a < (T)b ? (T)b : (T)a;
}

/* The approximations of the GPU are the exact functions here: tolerances must allow for what they lose. */
inline float __expf(float x) {
    return expf(x);
}
inline float __exp10f(float x) {
    return powf(10.0f, x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float __log2f(float x) {
    return log2f(x);
}
inline float __log10f(float x) {
    return log10f(x);
}
inline float __powf(float x, float y) {
    return powf(x, y);
}
inline float __sinf(float x) {
    return sinf(x);
}
inline float __cosf(float x) {
    return cosf(x);
}
inline float __tanf(float x) {
    return tanf(x);
}
inline void __sincosf(float x, float *s, float *c) {
    *s = sinf(x), *c = cosf(x);
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __frcp_rn(float x) {
    return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
inline float __frsqrt_rn(float x) {
    return 1.0f / sqrtf(x);
}
inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x) {
    return 1.0 / std::sqrt(x);
}
inline float __saturatef(float x) {
    return fminf(fmaxf(x, 0.0f), 1.0f);
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
/* Never contracted to a multiply-add. */
#define EMU_ROUNDED(name, T, op)                                           \
    __attribute__((optimize("fp-contract=off"))) inline T name(T a, T b) { \
        return a op b;                                                     \
    }
EMU_ROUNDED(__fmul_rn, float, *)
EMU_ROUNDED(__fadd_rn, float, +)
EMU_ROUNDED(__fsub_rn, float, -)
EMU_ROUNDED(__dmul_rn, double, *)
EMU_ROUNDED(__dadd_rn, double, +)
#undef EMU_ROUNDED

inline int __float2int_rn(float x) {
    return (int)rintf(x);
}
inline int __float2int_rz(float x) {
    return (int)x;
}
inline int __float2int_rd(float x) {
    return (int)floorf(x);
}
inline int __float2int_ru(float x) {
    return (int)ceilf(x);
}
inline unsigned __float2uint_rn(float x) {
    return x < 0 ? 0 : (unsigned)rintf(x);
}
inline unsigned __float2uint_rz(float x) {
    return x < 0 ? 0 : (unsigned)x;
}
inline float __int2float_rn(int x) {
    return (float)x;
}
inline float __uint2float_rn(unsigned x) {
    return (float)x;
}
inline float __double2float_rn(double x) {
    return (float)x;
}

namespace emu {
template <class To, class From> inline To bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "");
    To r;
    memcpy(&r, &x, sizeof r);
    return r;
}
} // namespace emu
inline int __float_as_int(float x) {
    return emu::bits<int>(x);
}
inline unsigned __float_as_uint(float x) {
    return emu::bits<unsigned>(x);
}
inline float __int_as_float(int x) {
    return emu::bits<float>(x);
}
inline float __uint_as_float(unsigned x) {
    return emu::bits<float>(x);
}

inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
inline int __clz(int x) {
    return x ? __builtin_clz((unsigned)x) : 32;
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
inline int __mul24(int a, int b) {
    return a * b;
}

template <class T> inline T __ldg(const T *p) {
    return *p;
}
template <class T> inline T __ldcs(const T *p) {
    return *p;
}
template <class T> inline T __ldcg(const T *p) {
    return *p;
}
template <class T> inline T __ldca(const T *p) {
    return *p;
}
template <class T> inline void __stcs(T *p, std::type_identity_t<T> v) {
    *p = v;
}
template <class T> inline void __stcg(T *p, std::type_identity_t<T> v) {
    *p = v;
}

namespace emu {
void fence();
}
inline void __threadfence() {
    emu::fence();
}
inline void __threadfence_block() {
    emu::fence();
}
[[noreturn]] inline void __trap() {
    abort();
}

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

namespace emu {
template <class T, class F> inline T atomic_update(T *p, F next) {
    T old, value;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do value = next(old);
    while (!__atomic_compare_exchange(p, &old, &value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
} // namespace emu
#define EMU_ATOMIC(name, expression)                                          \
    template <class T> inline T name(T *p, std::type_identity_t<T> v) {       \
        return emu::atomic_update(p, [v](T old) { return (T)(expression); }); \
    }
EMU_ATOMIC(atomicAdd, old + v)
EMU_ATOMIC(atomicSub, old - v)
EMU_ATOMIC(atomicMin, old < v ? old : v)
EMU_ATOMIC(atomicMax, old < v ? v : old)
EMU_ATOMIC(atomicAnd, old &v)
EMU_ATOMIC(atomicOr, old | v)
EMU_ATOMIC(atomicXor, old ^ v)
EMU_ATOMIC(atomicExch, ((void)old, v))
#undef EMU_ATOMIC
inline unsigned atomicInc(unsigned *p, unsigned limit) {
    return emu::atomic_update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}
template <class T> inline T atomicCAS(T *p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
    return emu::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}

#endif
