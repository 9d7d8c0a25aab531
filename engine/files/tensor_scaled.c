/* fp8 (Micikevicius et al. 2022) with a scale: E4M3 has no infinities, its largest exponent is one more for numbers; E5M2 is an f16 cut
 * short. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"
#include "engine/base/sys.h"

struct scaled {
    struct tensor tensor;
    const struct tensor *of, *scale;
    uint64_t row; /* elements a scale value is for */
};

static float e4m3_to_f32(uint8_t b) {
    int exponent = b >> 3 & 15, mantissa = b & 7;
    float x = exponent ? ldexpf((float)(8 + mantissa), exponent - 10) : ldexpf((float)mantissa, -9);
    if ((b & 0x7f) == 0x7f) x = NAN;
    return b & 0x80 ? -x : x;
}

static void put(char *dst, enum dtype dtype, float x) {
    uint16_t half = f32_to_f16(x);
    memcpy(dst, dtype == DT_F32 ? (const void *)&x : (const void *)&half, dtype_table[dtype].size);
}

static void fill_values(float values[256], enum dtype dtype) {
    for (int b = 0; b < 256; b++) values[b] = dtype == DT_F8_E4M3 ? e4m3_to_f32((uint8_t)b) : f16_to_f32((uint16_t)(b << 8));
}

static int scaled_elements(const struct tensor *t, void *dst, uint64_t first, uint64_t n) {
    enum { BLOCK = 1 << 16 };
    const struct scaled *s = (const struct scaled *)t;
    size_t size = dtype_table[t->dtype].size;
    float values[256];
    fill_values(values, s->of->dtype);
    uint8_t *raw = sys.malloc(BLOCK);
    int error = raw ? 0 : ENOMEM;
    for (uint64_t done = 0, count; done < n && !error; done += count) {
        uint64_t at = (first + done) % s->row;
        float factor = 1;
        count = n - done < s->row - at ? n - done : s->row - at;
        if (count > BLOCK) count = BLOCK;
        error = s->of->read(s->of, raw, first + done, count);
        if (!error && s->scale) error = tensor_read_f32(s->scale, &factor, (first + done) / s->row, 1);
        for (uint64_t i = 0; i < count && !error; i++) put((char *)dst + (done + i) * size, t->dtype, values[raw[i]] * factor);
    }
    free(raw);
    return error;
}

static int read_scaled(const struct tensor *t, void *dst, uint64_t offset, uint64_t n) {
    return tensor_read_elements(t, dst, offset, n, scaled_elements);
}

const struct tensor *tensor_scaled(struct arena *a, const struct tensor *t, const struct tensor *scale, enum dtype dtype) {
    assert(dtype == DT_F32 || dtype == DT_F16);
    if (t->dtype != DT_F8_E4M3 && t->dtype != DT_F8_E5M2)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected F8_E4M3 or F8_E5M2, found %s", t->file->path, t->name, dtype_table[t->dtype].name);
    uint64_t count = tensor_count(t), rows = t->rank ? (uint64_t)t->shape[0] : 1, n = scale ? tensor_count(scale) : 1;
    if (scale && (!tensor_is_float(scale) || (n != 1 && n != rows)))
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected one floating value, or %ju, found %ju of %s", scale->file->path, scale->name,
            (uintmax_t)rows, (uintmax_t)n, dtype_table[scale->dtype].name);
    struct scaled *s = arena_alloc(a, sizeof *s);
    *s = (struct scaled){*t, t, scale, n > 1 && count ? count / n : count};
    s->tensor.read = read_scaled;
    s->tensor.dtype = dtype;
    s->tensor.bytes = count * dtype_table[dtype].size;
    return &s->tensor;
}
