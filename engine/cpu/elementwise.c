/* Ops that touch every element once: memory-bound, so one pass each and nothing more. */
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include "engine/cpu/row.h"
#include "engine/cpu/vmath.h"

/* Operands of a loop over rows. */
struct rows {
    struct view y, a, b, factor;
    enum act act;
    const float *x;
    float scale;
    uint8_t *rgb;
    atomic_llong bad;
};

static void silu_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct rows *r = context;
    for (size_t t = begin; t < end; t++) {
        float in[ROW_CHUNK], out[ROW_CHUNK];
        for (int c = 0; c < r->a.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, r->a.C - c);
            const float *src = row_load(r->a.dtype, row_at(r->a, t, c), in, n);
            float *dst = row_target(r->y.dtype, row_at(r->y, t, c), out);
#pragma omp simd
            for (int i = 0; i < n; i++) dst[i] = vm_silu(src[i]);
            row_store(r->y.dtype, row_at(r->y, t, c), dst, n);
        }
    }
}

void cpu_silu(struct device *dev, struct view y, struct view x) {
    pool_for(dev->pool, view_rows(x), x.C * ROW_NS, silu_rows, &(struct rows){.y = y, .a = x});
}

static void add_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct rows *r = context;
    for (size_t t = begin; t < end; t++) {
        float in_a[ROW_CHUNK], in_b[ROW_CHUNK], out[ROW_CHUNK];
        for (int c = 0; c < r->y.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, r->y.C - c);
            const float *src_a = row_load(r->a.dtype, row_at(r->a, t, c), in_a, n);
            const float *src_b = row_load(r->b.dtype, row_at(r->b, t, c), in_b, n);
            float *dst = row_target(r->y.dtype, row_at(r->y, t, c), out);
#pragma omp simd
            for (int i = 0; i < n; i++) dst[i] = src_a[i] + r->scale * src_b[i];
            row_store(r->y.dtype, row_at(r->y, t, c), dst, n);
        }
    }
}

void cpu_add(struct device *dev, struct view y, struct view a, struct view b, float factor) {
    pool_for(dev->pool, view_rows(y), y.C * ROW_NS, add_rows, &(struct rows){.y = y, .a = a, .b = b, .scale = factor});
}

/* n values of the image's row, or of the row for all; 0 where there is no such operand. */
static const float *factors(struct view row, size_t image, int c, float *buf, int n) {
    if (row.p) return row_load(row.dtype, row_at(row, row.N > 1 ? image : 0, c), buf, n);
    for (int i = 0; i < n; i++) buf[i] = 0;
    return buf;
}

static void activate(float *x, int n, enum act act) {
    if (act == ACT_SILU)
        for (int i = 0; i < n; i++) x[i] = vm_silu(x[i]);
    if (act == ACT_GELU)
        for (int i = 0; i < n; i++) x[i] = vm_gelu(x[i]);
    if (act == ACT_RELU)
        for (int i = 0; i < n; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

static void modulate_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct rows *r = context;
    size_t per_image = (size_t)r->a.H * (size_t)r->a.W;
    for (size_t t = begin; t < end; t++) {
        float in[ROW_CHUNK], in_scale[ROW_CHUNK], in_shift[ROW_CHUNK], out[ROW_CHUNK];
        size_t image = t / per_image;
        for (int c = 0; c < r->a.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, r->a.C - c);
            const float *src = row_load(r->a.dtype, row_at(r->a, t, c), in, n);
            float *dst = row_target(r->y.dtype, row_at(r->y, t, c), out);
            const float *scale = factors(r->factor, image, c, in_scale, n), *shift = factors(r->b, image, c, in_shift, n);
            for (int i = 0; i < n; i++) dst[i] = src[i] * (1 + scale[i]) + shift[i];
            activate(dst, n, r->act);
            row_store(r->y.dtype, row_at(r->y, t, c), dst, n);
        }
    }
}

void cpu_modulate(struct device *dev, struct view y, struct view x, struct view scale, struct view shift, enum act act) {
    struct rows r = {.y = y, .a = x, .b = shift, .factor = scale, .act = act};
    pool_for(dev->pool, view_rows(x), x.C * ROW_NS, modulate_rows, &r);
}

void cpu_embed_plan(struct device *dev, struct view y, const int32_t *ids, struct weight *table, struct weight *pos) {
    (void)ids;
    cpu_plan_dense(cpu_of(dev), table, y.dtype);
    if (pos) cpu_plan_dense(cpu_of(dev), pos, y.dtype);
}

void cpu_embed(struct device *dev, struct view y, const int32_t *ids, struct weight *table, struct weight *pos) {
    (void)dev;
    size_t T = view_rows(y);
    const struct view rows = {table->packed, 1, 1, (int)table->shape[0], y.C, y.C, y.dtype, 0};
    const struct view positions = {pos ? pos->packed : NULL, 1, 1, (int)T, y.C, y.C, y.dtype, 0};
    for (size_t t = 0; t < T; t++) {
        assert(ids[t] >= 0 && ids[t] < table->shape[0]);
        float in_a[ROW_CHUNK], in_b[ROW_CHUNK], out[ROW_CHUNK];
        for (int c = 0; c < y.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, y.C - c);
            const float *a = row_load(rows.dtype, row_at(rows, (size_t)ids[t], c), in_a, n);
            const float *b = pos ? row_load(positions.dtype, row_at(positions, t, c), in_b, n) : NULL;
            for (int i = 0; i < n; i++) out[i] = b ? a[i] + b[i] : a[i];
            row_store(y.dtype, row_at(y, t, c), out, n);
        }
    }
}

/* Every step in f32 as torch does it: with t near 1000 one unit in the last place of a frequency moves the sine by
 * 6e-5. */
void cpu_timestep_embed(struct device *dev, struct view y, const float *t, bool flip_sin_to_cos, float freq_shift) {
    (void)dev;
    int half = y.C / 2;
    int sin_at = flip_sin_to_cos ? half : 0, cos_at = flip_sin_to_cos ? 0 : half;
    for (size_t row = 0; row < view_rows(y); row++) {
        for (int i = 0; i < half; i++) {
            float exponent = -9.2103403719761836f /* ln(10000) */ * (float)i / ((float)half - freq_shift);
            float arg = t[row] * expf(exponent);
            float s = sinf(arg), c = cosf(arg);
            row_store(y.dtype, row_at(y, row, sin_at + i), &s, 1);
            row_store(y.dtype, row_at(y, row, cos_at + i), &c, 1);
        }
    }
}

static void scale_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct rows *r = context;
    for (size_t t = begin; t < end; t++) {
        float out[ROW_CHUNK];
        const float *src = r->x + t * (size_t)r->y.C;
        for (int c = 0; c < r->y.C; c += ROW_CHUNK) {
            int n = imin(ROW_CHUNK, r->y.C - c);
            for (int i = 0; i < n; i++) out[i] = r->scale * src[c + i];
            row_store(r->y.dtype, row_at(r->y, t, c), out, n);
        }
    }
}

void cpu_model_input(struct device *dev, struct view y, const float *x, float scale) {
    pool_for(dev->pool, view_rows(y), y.C * ROW_NS, scale_rows, &(struct rows){.y = y, .x = x, .scale = scale});
}

static uint8_t to_byte(float x) {
    float u = x * 0.5f + 0.5f;
    u = u > 0 ? u : 0; /* NaN becomes 0 */
    return (uint8_t)rintf((u < 1 ? u : 1) * 255);
}

static void rgb8_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    struct rows *r = context;
    long long bad = 0;
    size_t C = (size_t)r->a.C;
    for (size_t t = begin; t < end; t++) {
        float in[3];
        const float *rgb = row_load(r->a.dtype, row_at(r->a, t, 0), in, r->a.C);
        for (size_t c = 0; c < C; c++) {
            bad += !isfinite(rgb[c]);
            r->rgb[t * C + c] = to_byte(rgb[c]);
        }
    }
    atomic_fetch_add(&r->bad, bad);
}

int64_t cpu_to_rgb8(struct device *dev, uint8_t *y, struct view x) {
    struct rows r = {.a = x, .rgb = y};
    pool_for(dev->pool, view_rows(x), 3 * ROW_NS, rgb8_rows, &r);
    return r.bad;
}

void cpu_upload(struct device *dev, struct view y, const float *x) {
    (void)dev;
    for (size_t t = 0; t < view_rows(y); t++) row_store(y.dtype, row_at(y, t, 0), x + t * (size_t)y.C, y.C);
}

void cpu_download(struct device *dev, float *y, struct view x) {
    (void)dev;
    for (size_t t = 0; t < view_rows(x); t++) {
        float *dst = y + t * (size_t)x.C;
        const float *src = row_load(x.dtype, row_at(x, t, 0), dst, x.C);
        if (src != dst) memcpy(dst, src, (size_t)x.C * sizeof *dst);
    }
}

void cpu_upload_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C) {
    (void)dev;
    latents_to_nhwc(y, x, N, (size_t)H * W, C);
}

void cpu_download_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C) {
    (void)dev;
    latents_to_nchw(y, x, N, (size_t)H * W, C);
}
