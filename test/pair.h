/* One op on two devices with the same operands: the CPU device in f32 is the reference, the CUDA device, emulated or real, is tested.
 *
 *     struct pair *p = pair_open(DT_F16);
 *     struct operand *x = operand_new(p, 1, N, H, W, C, pad, scale, offset), *y = …;
 *     struct weight *w = weight_new(p, WEIGHT_MATRIX, 2, (int64_t[]){K, C}, 2, scale);   of side 0; pair_weight(p, w, side)
 *     pair_run(p, call, data);       call(device, side, data) for planning and for the run, on both sides
 *     operand_compare(p, "linear 3x5", y, tolerance);
 *     pair_close(p);
 *
 * Values are rounded to the tested type first, so that both sides compute from the same numbers. */
#ifndef TEST_PAIR_H
#define TEST_PAIR_H

#include "test/support.h"

#include "cuda/cuda.h"
#include "engine/cpu/cpu.h"
#include "engine/base/error.h"
#include "engine/ops.h"

enum { CPU_SIDE, CUDA_SIDE, SIDES, PAIR_MAX = 16 };

struct operand {
    float *host; /* [rows, ld] as given */
    struct view view[SIDES];
};

struct pair_weight {
    struct weight side[SIDES]; /* first: weight_new returns side[0] */
    struct tensor part;
    const struct tensor *parts[1];
    float *values;
};

struct pair {
    enum dtype dtype;
    struct device *device[SIDES];
    struct operand *operands[PAIR_MAX];
    struct pair_weight *weights[PAIR_MAX];
    int n_operands, n_weights;
};

static const float beside = -77; /* fills the channels beside a strided view: writing them shows; of every type */

static inline float round_to(enum dtype dtype, float x) {
    return dtype == DT_F16 ? f16_to_f32(f32_to_f16(x)) : dtype == DT_BF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

/* Uniform in [-1, 1), from a hash of seed and index. */
static inline float pair_value(int seed, size_t index) {
    uint32_t i = (uint32_t)index + (uint32_t)seed * 0x13C6EF36u;
    i = (i ^ i >> 16) * 0x85EBCA6Bu;
    i = (i ^ i >> 13) * 0xC2B2AE35u;
    i ^= i >> 16;
    return (float)(i >> 8) / (float)(1 << 23) - 1;
}

static inline struct pair *pair_open(enum dtype dtype) {
    struct pair *p = calloc(1, sizeof *p);
    p->dtype = dtype;
    p->device[CPU_SIDE] = cpu_device_open(DT_F32, 2);
    p->device[CUDA_SIDE] = cuda_device_open(dtype, -1);
    return p;
}

/* scale * value + offset in [N,H,W,C], in a tensor `pad` channels wider. */
static inline struct operand *operand_new(struct pair *p, int seed, int N, int H, int W, int C, int pad, float scale, float offset) {
    assert_true(p->n_operands < PAIR_MAX);
    struct operand *o = p->operands[p->n_operands++] = calloc(1, sizeof *o);
    size_t rows = (size_t)N * (size_t)H * (size_t)W, ld = (size_t)(C + pad);
    o->host = malloc(rows * ld * sizeof(float));
    for (size_t i = 0; i < rows * ld; i++)
        o->host[i] = i % ld < (size_t)C ? round_to(p->dtype, scale * pair_value(seed, i / ld * (size_t)C + i % ld) + offset) : beside;
    for (int s = 0; s < SIDES; s++) {
        void *memory = p->device[s]->alloc(p->device[s], rows * ld * dtype_table[p->device[s]->dtype].size);
        o->view[s] = (struct view){memory, N, H, W, C, (int)ld, p->device[s]->dtype, (size_t)H * (size_t)W * ld};
    }
    return o;
}

/* A weight as loading makes it: one part, in the file as f32; matrices, tables and convolutions hold values of the tested type. */
static inline struct weight *weight_new(struct pair *p, enum weight_kind kind, int seed, const int64_t *shape, int rank, float scale) {
    assert_true(p->n_weights < PAIR_MAX);
    struct pair_weight *w = p->weights[p->n_weights++] = calloc(1, sizeof *w);
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)shape[i];
    w->values = malloc(n * sizeof *w->values);
    for (size_t i = 0; i < n; i++) w->values[i] = scale * pair_value(seed, i);
    if (kind != WEIGHT_VECTOR)
        for (size_t i = 0; i < n; i++) w->values[i] = round_to(p->dtype, w->values[i]);
    w->part = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = n * sizeof(float)};
    w->parts[0] = &w->part;
    for (int s = 0; s < SIDES; s++) {
        w->side[s] = (struct weight){.kind = kind, .name = "w", .rank = rank, .shape = {1, 1, 1, 1}, .n_parts = 1, .parts = w->parts};
        memcpy(w->side[s].shape, shape, (size_t)rank * sizeof *shape);
    }
    return &w->side[0];
}

/* w (of weight_new, or NULL) as the device of this side knows it. */
static inline struct weight *pair_weight(struct weight *w, int side) {
    return w ? &((struct pair_weight *)w)->side[side] : NULL;
}

static inline void pair_run(struct pair *p, void (*call)(struct device *dev, int side, void *data), void *data) {
    for (int s = 0; s < SIDES; s++) {
        struct device *dev = p->device[s];
        call(dev, s, data);
        dev->plan_end(dev);
        for (int i = 0; i < p->n_weights; i++) {
            struct weight *w = &p->weights[i]->side[s];
            w->packed_bytes = dev->packed_bytes(dev, w);
            if (!w->packed_bytes) continue; /* the op did not use it */
            w->packed = dev->alloc(dev, w->packed_bytes);
            assert_true(dev->pack(dev, w, (const void *[]){p->weights[i]->values}, NULL));
        }
        for (int i = 0; i < p->n_operands; i++) {
            struct view whole = p->operands[i]->view[s];
            whole.C = whole.ld;
            dev->ops->upload(dev, whole, p->operands[i]->host);
        }
        call(dev, s, data);
    }
}

/* Both sides' y, channels beside it included, agree to tolerance * max(1, largest |y|). */
static inline void operand_compare(struct pair *p, const char *name, const struct operand *y, double tolerance) {
    size_t ld = (size_t)y->view[0].ld, n = view_rows(y->view[0]) * ld;
    float *side[SIDES], most = 1;
    for (int s = 0; s < SIDES; s++) {
        struct view whole = y->view[s];
        whole.C = whole.ld;
        side[s] = malloc(n * sizeof(float));
        p->device[s]->ops->download(p->device[s], side[s], whole);
    }
    for (size_t i = 0; i < n; i++)
        if (i % ld < (size_t)y->view[0].C) most = fmaxf(most, fabsf(side[CPU_SIDE][i]));
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)side[CUDA_SIDE][i] - (double)side[CPU_SIDE][i]);
        bool is_beside = i % ld >= (size_t)y->view[0].C;
        if (!(error <= (is_beside ? 0 : tolerance * (double)most)))
            fail_msg("%s, %s: %s[%zu,%zu]: CPU %.9g, CUDA %.9g, error %.3g > %.3g", name, dtype_table[p->dtype].name,
                     is_beside ? "beside y" : "y", i / ld, i % ld, (double)side[CPU_SIDE][i], (double)side[CUDA_SIDE][i], error,
                     tolerance * (double)most);
        if (!is_beside) worst = fmax(worst, error / (double)most);
    }
    if (getenv("VERBOSE")) printf("%-90s %-4s %.1e of %.1e\n", name, dtype_table[p->dtype].name, worst, tolerance);
    for (int s = 0; s < SIDES; s++) free(side[s]);
}

static inline void pair_close(struct pair *p) {
    for (int s = 0; s < SIDES; s++) p->device[s]->close(p->device[s]);
    for (int i = 0; i < p->n_operands; i++) free(p->operands[i]->host), free(p->operands[i]);
    for (int i = 0; i < p->n_weights; i++) free(p->weights[i]->values), free(p->weights[i]);
    free(p);
}

#endif
