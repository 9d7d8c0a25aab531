#include "engine/base/dtype.h"

#include <assert.h>

const struct dtype_info dtype_table[DT_COUNT] = {
    [DT_F32] = {"F32", 4}, [DT_F16] = {"F16", 2}, [DT_BF16] = {"BF16", 2}, [DT_F64] = {"F64", 8},         [DT_I64] = {"I64", 8},
    [DT_I32] = {"I32", 4}, [DT_I16] = {"I16", 2}, [DT_I8] = {"I8", 1},     [DT_U64] = {"U64", 8},         [DT_U32] = {"U32", 4},
    [DT_U16] = {"U16", 2}, [DT_U8] = {"U8", 1},   [DT_BOOL] = {"BOOL", 1}, [DT_F8_E4M3] = {"F8_E4M3", 1}, [DT_F8_E5M2] = {"F8_E5M2", 1},
};

static inline float bits_to_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline uint32_t float_to_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* Without branches, so that loops over it become vector code: exponent and mantissa are moved into place and the
 * exponent's bias is corrected by a multiplication, which keeps infinities and NaN; subnormals are made by subtracting
 * the implied 0.5. */
static inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, twice = (uint32_t)h << 17;
    uint32_t normal = float_to_bits(bits_to_float((twice >> 4) + (0xe0u << 23)) * 0x1p-112f);
    uint32_t subnormal = float_to_bits(bits_to_float(twice >> 17 | 126u << 23) - 0.5f);
    return bits_to_float(sign | (twice < 1u << 27 ? subnormal : normal));
}

float f16_to_f32(uint16_t h) {
    return half_to_float(h);
}

uint16_t f32_to_f16(float f) {
    uint32_t u = float_to_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (a < 0x38800000)                                    /* below 2^-14: adding 0.5 rounds to a multiple of 2^-24 */
        return (uint16_t)(sign | (float_to_bits(bits_to_float(a) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}

void dtype_to_f32(float *dst, const void *src, enum dtype dtype, size_t n) {
    const char *p = src;
    switch (dtype) {
    case DT_F32: memcpy(dst, src, n * 4); break;
    case DT_F16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, 2);
            dst[i] = half_to_float(h);
        }
        break;
    case DT_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, 2);
            dst[i] = bf16_to_f32(h);
        }
        break;
    case DT_F64:
        for (size_t i = 0; i < n; i++) {
            double d;
            memcpy(&d, p + 8 * i, 8);
            dst[i] = (float)d;
        }
        break;
    default: assert(!"dtype_to_f32: not a floating type");
    }
}
