/* Ranges of the tokens of longer sequences: every op gives on them what it gives on sequences of their own, and leaves the other tokens be.
 */
#ifndef TEST_TOKENS_H
#define TEST_TOKENS_H

#include "test/support.h"

#include "engine/ops.h"
#include "engine/weights.h"

enum { TOKENS = 5, BEFORE = 2, AFTER = 3, IMAGES = 2, CHANNELS = 16, N_OPERANDS = 5, N_OUTPUTS = 8, N_WEIGHTS = 6 };

struct token_weight {
    struct weight w;
    struct tensor part;
    const struct tensor *parts[1];
    float values[2 * CHANNELS * CHANNELS * 9];
};

static float token_value(size_t i) {
    return (float)(i * 7919 % 2003) / 1001 - 1;
}

static void token_weights(struct token_weight w[N_WEIGHTS]) {
    static const struct {
        enum weight_kind kind;
        int rank;
        int64_t shape[4];
    } made[N_WEIGHTS] = {
        {WEIGHT_MATRIX, 2, {CHANNELS, CHANNELS}}, {WEIGHT_VECTOR, 1, {CHANNELS}}, {WEIGHT_MATRIX, 2, {2 * CHANNELS, CHANNELS}},
        {WEIGHT_VECTOR, 1, {2 * CHANNELS}},       {WEIGHT_VECTOR, 1, {CHANNELS}}, {WEIGHT_CONV, 4, {CHANNELS, CHANNELS, 3, 3}}};
    for (int i = 0; i < N_WEIGHTS; i++) {
        size_t n = 1;
        w[i].w = (struct weight){.kind = made[i].kind, .name = "w", .rank = made[i].rank, .n_parts = 1, .parts = w[i].parts};
        for (int k = 0; k < made[i].rank; k++) n *= (size_t)(w[i].w.shape[k] = made[i].shape[k]);
        for (size_t k = 0; k < n; k++) w[i].values[k] = token_value(k + 17 * (size_t)i) / 4;
        w[i].part = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = n * sizeof(float)};
        w[i].parts[0] = &w[i].part;
    }
}

/* Sequences of their own, or ranges of longer ones. */
static struct view sequence(struct device *dev, bool range, struct view *whole) {
    *whole = view_alloc(dev, IMAGES, 1, range ? BEFORE + TOKENS + AFTER : TOKENS, CHANNELS);
    return range ? view_tokens(*whole, BEFORE, TOKENS) : *whole;
}

static void token_ops(struct device *dev, struct token_weight w[N_WEIGHTS], const struct view x[N_OPERANDS],
                      const struct view y[N_OUTPUTS]) {
    const struct ops *op = dev->ops;
    const struct conv_shape same = CONV_3X3;
    op->linear(dev, y[0], x[0], &w[0].w, &w[1].w, ACT_SILU, x[1]);
    op->linear_geglu(dev, y[1], x[0], &w[2].w, &w[3].w);
    op->layer_norm(dev, y[2], x[0], &w[1].w, &w[4].w, 1e-5f);
    op->group_norm(dev, y[3], x[0], &w[1].w, &w[4].w, 4, 1e-5f, true);
    op->conv2d(dev, y[4], x[0], &w[5].w, &w[1].w, no_view, x[1], same);
    op->attention(dev, y[5], x[0], x[1], x[2], 2, false);
    op->silu(dev, y[6], x[3]);
    op->add(dev, y[7], x[3], x[4], 1);
}

/* out [N_OUTPUTS][IMAGES * TOKENS * CHANNELS] */
static void run_tokens(struct device *dev, bool range, float *out) {
    enum { VALUES = IMAGES * TOKENS * CHANNELS, MOST = IMAGES * (BEFORE + TOKENS + AFTER) * CHANNELS };
    struct token_weight *w = calloc(N_WEIGHTS, sizeof *w);
    float *host = calloc(MOST, sizeof *host);
    token_weights(w);
    for (int running = 0; running < 2; running++) {
        struct view x[N_OPERANDS], y[N_OUTPUTS], whole_x[N_OPERANDS], whole_y[N_OUTPUTS];
        for (int i = 0; i < N_OPERANDS; i++) x[i] = sequence(dev, range, &whole_x[i]);
        for (int i = 0; i < N_OUTPUTS; i++) y[i] = sequence(dev, range, &whole_y[i]);
        if (!running) {
            token_ops(dev, w, x, y);
            dev->plan_end(dev);
            for (int i = 0; i < N_WEIGHTS; i++) {
                w[i].w.packed = dev->alloc(dev, w[i].w.packed_bytes = dev->packed_bytes(dev, &w[i].w));
                assert_true(dev->pack(dev, &w[i].w, (const void *[]){w[i].values}, NULL));
            }
            continue;
        }
        for (size_t k = 0; k < MOST; k++) host[k] = -77;
        for (int i = 0; i < N_OPERANDS; i++) dev->ops->upload(dev, whole_x[i], host);
        for (int i = 0; i < N_OUTPUTS; i++) dev->ops->upload(dev, whole_y[i], host);
        for (int i = 0; i < N_OPERANDS; i++) {
            for (size_t k = 0; k < VALUES; k++) host[k] = token_value(k + 31 * (size_t)i);
            dev->ops->upload(dev, x[i], host);
        }
        token_ops(dev, w, x, y);
        for (int i = 0; i < N_OUTPUTS; i++) {
            dev->ops->download(dev, out + i * VALUES, y[i]);
            dev->ops->download(dev, host, whole_y[i]);
            for (int k = 0; range && k < MOST; k++) {
                int t = k / CHANNELS % (BEFORE + TOKENS + AFTER);
                if ((t < BEFORE || t >= BEFORE + TOKENS) && host[k] != -77)
                    fail_msg("output %d: token %d beside the range: %g", i, t, (double)host[k]);
            }
        }
    }
    free(host), free(w);
    dev->close(dev);
}

static void compare_ranges(struct device *(*open)(void), double tolerance) {
    enum { N = N_OUTPUTS * IMAGES * TOKENS * CHANNELS };
    float *own = calloc(N, sizeof *own), *range = calloc(N, sizeof *range);
    run_tokens(open(), false, own);
    run_tokens(open(), true, range);
    for (int i = 0; i < N; i++)
        if (!(fabs((double)own[i] - (double)range[i]) <= tolerance * fmax(1, fabs((double)own[i]))))
            fail_msg("output %d, value %d: of its own %.9g, in a range %.9g", i / (N / N_OUTPUTS), i % (N / N_OUTPUTS), (double)own[i],
                     (double)range[i]);
    free(own), free(range);
}

#endif
