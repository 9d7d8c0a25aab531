/* Convolution to a few channels, as the last one of a UNet (4) or a VAE (3): oneDNN fills a vector with output channels, of which most
 * would be none. Here a vector holds channels of the input:
 *
 *   y[p][k] = sum over taps, then over lanes, of  sum_c x[p + tap][c..c+LANES] w[tap][k][c..c+LANES]
 *
 * PIXELS K sums stay in registers, a vector of w serves PIXELS products and one of x K. A lane's sum has 9C / LANES terms, so the error is
 * smaller than that of one sum of 9C. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/conv2d.h"
#include "engine/cpu/vec.h"

enum { PIXELS = 3, MOST_OUTPUTS = 4, CHANNELS = 16 };

/* With AVX-512 it has not been measured. */
bool conv_narrow_fits(const struct conv_call *c) {
    return LANES <= 8 && c->y.C <= MOST_OUTPUTS && c->x.C % CHANNELS == 0;
}

/* [R][R][K][C] in x's type */
static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    (void)dev;
    bool bf16 = ((const struct cpu_plan *)w->plan)->dtype == DT_BF16;
    size_t K = (size_t)w->shape[0], C = (size_t)w->shape[1], taps = (size_t)(w->shape[2] * w->shape[3]);
    for (size_t i = 0; i < taps * K * C; i++) {
        float value = src[(i / C % K * C + i % C) * taps + i / C / K];
        if (bf16) ((uint16_t *)w->packed)[i] = f32_to_bf16(value);
        else ((float *)w->packed)[i] = value;
    }
}

static void destroy(struct cpu_plan *plan) {
    free(plan);
}

bool conv_narrow_packed(const struct weight *w) {
    return w->plan && ((const struct cpu_plan *)w->plan)->pack == pack;
}

void conv_narrow_plan(struct cpu_device *dev, const struct conv_call *c) {
    size_t R = (size_t)c->w->shape[2];
    cpu_scratch_reserve(dev, (size_t)c->x.C * sizeof(float));
    if (cpu_plan_of(dev, c->w)) return;
    struct cpu_plan *plan = cpu_new(sizeof *plan);
    plan->pack = pack;
    plan->destroy = destroy;
    plan->packed_bytes = R * R * (size_t)c->y.C * (size_t)c->x.C * view_item(c->x);
    cpu_plan_register(dev, c->w, plan, c->x.dtype);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct narrow {
    const struct conv_call *call;
    const void *zeros; /* a pixel outside x */
    int H, W;          /* conv_seen */
};

/* out [PIXELS][MOST_OUTPUTS]: those of pixels w and on; beyond the row's end of whichever. */
static inline __attribute__((always_inline)) void sum_pixels(const struct narrow *j, float out[PIXELS][MOST_OUTPUTS], int n, int h, int w,
                                                             const int K, const bool bf16) {
    const struct conv_call *c = j->call;
    int R = (int)c->w->shape[2];
    size_t C = (size_t)c->x.C, at = 0;
    vec acc[PIXELS][MOST_OUTPUTS];
    for (int p = 0; p < PIXELS; p++)
        for (int k = 0; k < K; k++) acc[p][k] = (vec){0};
    for (int r = 0; r < R; r++)
        for (int q = 0; q < R; q++, at += (size_t)K * C) {
            const void *x[PIXELS];
            for (int p = 0; p < PIXELS; p++) {
                x[p] = conv_pixel(c, j->H, j->W, n, h, imin(w + p, c->y.W - 1), r, q);
                if (!x[p]) x[p] = j->zeros;
            }
            for (size_t i = 0; i < C; i += LANES) {
                vec v[PIXELS];
#pragma GCC unroll 3
                for (int p = 0; p < PIXELS; p++) v[p] = vec_get(x[p], i, bf16);
#pragma GCC unroll 4
                for (int k = 0; k < K; k++) {
                    vec b = vec_get(c->w->packed, at + (size_t)k * C + i, bf16);
#pragma GCC unroll 3
                    for (int p = 0; p < PIXELS; p++) acc[p][k] += v[p] * b;
                }
            }
        }
    for (int p = 0; p < PIXELS; p++)
        for (int k = 0; k < K; k++) {
            out[p][k] = 0;
            for (int i = 0; i < LANES; i++) out[p][k] += acc[p][k][i];
        }
}

static void some_pixels(const struct narrow *j, float out[PIXELS][MOST_OUTPUTS], int n, int h, int w) {
    bool bf16 = j->call->x.dtype == DT_BF16;
    switch (j->call->y.C * 2 + bf16) {
#define OUTPUTS(k)                                            \
    case k * 2: sum_pixels(j, out, n, h, w, k, false); break; \
    case k * 2 + 1: sum_pixels(j, out, n, h, w, k, true); break
        OUTPUTS(1);
        OUTPUTS(2);
        OUTPUTS(3);
        OUTPUTS(4);
#undef OUTPUTS
    }
}

/* y = sums + b + temb + residual of one pixel */
static void write_pixel(const struct conv_call *c, int n, size_t row, const float *sums) {
    float add[MOST_OUTPUTS], buffer[MOST_OUTPUTS];
    int K = c->y.C;
    for (int k = 0; k < K; k++) add[k] = sums[k] + (c->b ? ((const float *)c->b->packed)[k] : 0);
    if (c->temb.p) {
        const float *t = row_load(c->temb.dtype, row_at(c->temb, c->temb.N == 1 ? 0 : (size_t)n, 0), buffer, K);
        for (int k = 0; k < K; k++) add[k] += t[k];
    }
    if (c->residual.p) {
        const float *r = row_load(c->residual.dtype, row_at(c->residual, row, 0), buffer, K);
        for (int k = 0; k < K; k++) add[k] += r[k];
    }
    row_store(c->y.dtype, row_at(c->y, row, 0), add, K);
}

static void narrow_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct narrow *j = context;
    struct view y = j->call->y;
    for (size_t i = begin; i < end; i++)
        for (int w = 0; w < y.W; w += PIXELS) {
            float out[PIXELS][MOST_OUTPUTS];
            int n = (int)(i / (size_t)y.H);
            some_pixels(j, out, n, (int)(i % (size_t)y.H), w);
            for (int p = 0; p < imin(PIXELS, y.W - w); p++) write_pixel(j->call, n, i * (size_t)y.W + (size_t)(w + p), out[p]);
        }
}

#define FLOP_NS 0.03 /* about */

void conv_narrow(struct cpu_device *dev, const struct conv_call *c) {
    int R = (int)c->w->shape[2];
    struct narrow j = {.call = c, .zeros = dev->scratch};
    conv_seen(c, &j.H, &j.W);
    assert((size_t)c->x.C * sizeof(float) <= dev->scratch_bytes);
    memset(dev->scratch, 0, (size_t)c->x.C * sizeof(float));
    double row_ns = 2.0 * c->y.W * c->y.C * c->x.C * R * R * FLOP_NS;
    pool_for(dev->base.pool, (size_t)c->y.N * (size_t)c->y.H, row_ns, narrow_rows, &j);
}
