/* Errors of the CPU device's ops against float64: bench_errors
 * A line for each op and class of shapes of SD and its VAE, of true depth (what is summed) and few rows and columns (what is not), tab
 * separated: text, op, ten numbers of shape, then for each of the columns rms of the float64 output, rms of the errors and largest error,
 * the last two by the first; nan where this CPU or oneDNN has it not. bench/errors.py prints the table, torch's columns among them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/base/error.h"
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/isa.h"
#include "engine/files/safetensors.h"

/* F32: the best instruction set but AMX. ONEDNN: what oneDNN itself makes of it, one primitive. X6, X3, BF16: AMX or its twin. */
enum column { F32, ONEDNN, X6, X3, BF16, COLUMNS };
enum op { CONV, LINEAR, GEGLU, ATTENTION, GROUP_NORM, LAYER_NORM };
static const char *const op_names[] = {"conv", "linear", "geglu", "attention", "group_norm", "layer_norm"};
enum { GROUPS = 32 };
#define EPS 1e-5f

static const struct shape {
    const char *text;
    enum op op;
    int N, H, W, C, K, R, stride, upsample; /* attention: W queries, K keys, C = heads x width */
    int heads, causal;
} shapes[] = {
    {"conv 3x3, 320 channels", CONV, 2, 16, 16, 320, 32, 3, 1, 1, 0, 0},
    {"conv 3x3, 1280 channels", CONV, 2, 8, 8, 1280, 32, 3, 1, 1, 0, 0},
    {"conv 3x3, 2560 channels", CONV, 2, 8, 8, 2560, 32, 3, 1, 1, 0, 0},
    {"conv 3x3, 128 channels (VAE)", CONV, 1, 32, 32, 128, 32, 3, 1, 1, 0, 0},
    {"conv 3x3, 512 channels (VAE)", CONV, 1, 16, 16, 512, 32, 3, 1, 1, 0, 0},
    {"conv 3x3, enlarged, 640 channels", CONV, 2, 8, 8, 640, 32, 3, 1, 2, 0, 0},
    {"conv 3x3, stride 2, 320 channels", CONV, 2, 16, 16, 320, 32, 3, 2, 1, 0, 0},
    {"conv 3x3, 4 -> 320 channels", CONV, 2, 16, 16, 4, 320, 3, 1, 1, 0, 0},
    {"conv 3x3, 320 -> 4 channels", CONV, 2, 16, 16, 320, 4, 3, 1, 1, 0, 0},
    {"conv 3x3, 128 -> 3 channels (VAE)", CONV, 1, 32, 32, 128, 3, 3, 1, 1, 0, 0},
    {"conv 1x1, 960 channels", CONV, 2, 16, 16, 960, 32, 1, 1, 1, 0, 0},
    {"linear, 320", LINEAR, 2, 1, 256, 320, 64, 0, 0, 0, 0, 0},
    {"linear, 1280", LINEAR, 2, 1, 256, 1280, 64, 0, 0, 0, 0, 0},
    {"linear, 5120", LINEAR, 2, 1, 256, 5120, 64, 0, 0, 0, 0, 0},
    {"GEGLU, 320", GEGLU, 2, 1, 256, 320, 64, 0, 0, 0, 0, 0},
    {"GEGLU, 1280", GEGLU, 2, 1, 256, 1280, 64, 0, 0, 0, 0, 0},
    {"attention, 4096 keys, width 40", ATTENTION, 1, 1, 64, 80, 4096, 0, 0, 0, 2, 0},
    {"attention, 1024 keys, width 80", ATTENTION, 1, 1, 64, 160, 1024, 0, 0, 0, 2, 0},
    {"attention, 256 keys, width 160", ATTENTION, 1, 1, 64, 320, 256, 0, 0, 0, 2, 0},
    {"attention, 77 keys, width 40 (text)", ATTENTION, 1, 1, 64, 80, 77, 0, 0, 0, 2, 0},
    {"attention, 77 keys, width 64, causal (CLIP)", ATTENTION, 1, 1, 77, 128, 77, 0, 0, 0, 2, 1},
    {"attention, 4096 keys, width 512 (VAE)", ATTENTION, 1, 1, 64, 512, 4096, 0, 0, 0, 1, 0},
    {"group norm + SiLU, 64x64x320", GROUP_NORM, 1, 64, 64, 320, 320, 0, 0, 0, 0, 0},
    {"group norm + SiLU, 256x256x128 (VAE)", GROUP_NORM, 1, 256, 256, 128, 128, 0, 0, 0, 0, 0},
    {"layer norm, 320", LAYER_NORM, 1, 1, 256, 320, 320, 0, 0, 0, 0, 0},
    {"layer norm, 1280", LAYER_NORM, 1, 1, 256, 1280, 1280, 0, 0, 0, 0, 0},
};

/* x, w and b: of attention q, k and v. Values of f32 that bf16 can hold where they are for it: errors are then the op's own. */
struct operands {
    float *x, *w, *b;
};

static size_t count(const struct shape *s, int which) {
    size_t C = (size_t)s->C, K = (size_t)s->K, halves = s->op == GEGLU ? 2 : 1;
    if (which == 0) return (size_t)s->N * (size_t)s->H * (size_t)s->W * C;
    if (s->op == ATTENTION) return (size_t)s->N * K * C;
    if (which == 2 || s->op > ATTENTION) return halves * K;
    return halves * K * C * (s->op == CONV ? (size_t)s->R * (size_t)s->R : 1);
}

/* About normal, rms 1; bench/errors.py has the same. */
static float noise(uint32_t seed, size_t index) {
    float sum = 0;
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t i = (uint32_t)index * 4 + k + seed * 0x13C6EF36u;
        i = (i ^ i >> 16) * 0x85EBCA6Bu;
        i = (i ^ i >> 13) * 0xC2B2AE35u;
        i ^= i >> 16;
        sum += (float)(i >> 8) / 0x1p23f - 1;
    }
    return sum * 0.875f;
}

static float *fill(const struct shape *s, int which, enum dtype dtype) {
    size_t n = count(s, which);
    float *p = malloc(n * sizeof *p), scale = 1;
    if (which == 1 && s->op < ATTENTION) scale = 1 / sqrtf((float)(s->C * (s->op == CONV ? s->R * s->R : 1)));
    for (size_t i = 0; i < n; i++) p[i] = dtype_round(noise((uint32_t)which + 1, i) * scale, dtype);
    return p;
}

/* ---- float64 ----------------------------------------------------------------------------------------------------- */

static double gelu(double x) {
    return 0.5 * x * (1 + erf(x * sqrt(0.5)));
}

static double dot(const float *a, const float *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static int out_side(const struct shape *s, int side) {
    return s->op == CONV ? side * s->upsample / s->stride : side;
}

static double conv_at(const struct shape *s, const struct operands *o, int n, int ho, int wo, int k) {
    double sum = (double)o->b[k];
    for (int r = 0; r < s->R; r++)
        for (int q = 0; q < s->R; q++) {
            int h = ho * s->stride + r - s->R / 2, w = wo * s->stride + q - s->R / 2;
            if (h < 0 || w < 0 || h >= s->H * s->upsample || w >= s->W * s->upsample) continue;
            const float *x = o->x + (size_t)((n * s->H + h / s->upsample) * s->W + w / s->upsample) * (size_t)s->C;
            const float *f = o->w + (k * s->C * s->R + r) * s->R + q;
            for (int c = 0; c < s->C; c++) sum += (double)x[c] * (double)f[c * s->R * s->R];
        }
    return sum;
}

static void attention_row(const struct shape *s, const struct operands *o, double *y, int t, int head) {
    int D = s->C / s->heads, keys = s->causal ? t + 1 : s->K;
    double *p = malloc((size_t)keys * sizeof *p), sum = 0, top = -INFINITY;
    for (int j = 0; j < keys; j++) {
        p[j] = dot(o->x + t * s->C + head * D, o->w + j * s->C + head * D, D) / sqrt(D);
        top = fmax(top, p[j]);
    }
    for (int j = 0; j < keys; j++) sum += p[j] = exp(p[j] - top);
    for (int d = 0; d < D; d++) {
        double value = 0;
        for (int j = 0; j < keys; j++) value += p[j] * (double)o->b[j * s->C + head * D + d];
        y[t * s->C + head * D + d] = value / sum;
    }
    free(p);
}

/* Over the `width` channels from c0 of so many rows, each of C. */
static void norm(const struct shape *s, const struct operands *o, double *y, size_t row, size_t rows, int c0, int width) {
    double mean = 0, var = 0, n = (double)rows * width;
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = row * (size_t)s->C; i < (row + rows) * (size_t)s->C; i += (size_t)s->C)
            for (int c = c0; c < c0 + width; c++) {
                double x = (double)o->x[i + (size_t)c];
                if (pass == 0) mean += x / n;
                else if (pass == 1) var += (x - mean) * (x - mean) / n;
                else {
                    double z = (x - mean) / sqrt(var + (double)EPS) * (double)o->w[c] + (double)o->b[c];
                    y[i + (size_t)c] = s->op == GROUP_NORM ? z / (1 + exp(-z)) : z;
                }
            }
    }
}

static void product_row(const struct shape *s, const struct operands *o, double *y, int t) {
    const float *x = o->x + t * s->C;
    for (int k = 0; k < s->K; k++) {
        double value = dot(x, o->w + k * s->C, s->C) + (double)o->b[k];
        if (s->op == GEGLU) value *= gelu(dot(x, o->w + (s->K + k) * s->C, s->C) + (double)o->b[s->K + k]);
        y[t * s->K + k] = value;
    }
}

static void reference(const struct shape *s, const struct operands *o, double *y) {
    int Ho = out_side(s, s->H), Wo = out_side(s, s->W);
    switch (s->op) {
    case CONV:
        for (int i = 0; i < s->N * Ho * Wo * s->K; i++)
            y[i] = conv_at(s, o, i / s->K / Wo / Ho, i / s->K / Wo % Ho, i / s->K % Wo, i % s->K);
        break;
    case LINEAR:
    case GEGLU:
        for (int t = 0; t < s->N * s->W; t++) product_row(s, o, y, t);
        break;
    case ATTENTION:
        for (int i = 0; i < s->W * s->heads; i++) attention_row(s, o, y, i / s->heads, i % s->heads);
        break;
    case GROUP_NORM:
        for (int g = 0; g < GROUPS; g++) norm(s, o, y, 0, (size_t)s->H * (size_t)s->W, g * (s->C / GROUPS), s->C / GROUPS);
        break;
    case LAYER_NORM:
        for (int t = 0; t < s->W; t++) norm(s, o, y, (size_t)t, 1, 0, s->C);
        break;
    }
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

/* The first instruction set that runs, of those with AMX or without; NULL. */
static const char *isa_of(bool amx) {
    const struct cpu_ops *const *at = cpu_isas;
    while (*at && (!cpu_isa_runs(*at) || cpu_isa_has_amx(*at) != amx)) at++;
    return *at ? (*at)->isa : NULL;
}

static struct device *device_of(enum column column) {
    setenv("DIFFUSE_ISA", isa_of(column >= X6), 1);
    struct device *dev = cpu_device_open(column == BF16 ? DT_BF16 : DT_F32, 1);
    if (column == X3) cpu_take_x3(dev);
    return dev;
}

/* In the arena: the same places in each pass. */
static struct view view_of(struct device *dev, const float *values, int N, int H, int W, int C) {
    struct view v = view_alloc(dev, N, H, W, C);
    if (!dev->planning && values) dev->ops->upload(dev, v, values);
    return v;
}

static void call(struct device *dev, const struct shape *s, const struct operands *o, struct weight *w, struct weight *b, float *out) {
    arena_release(dev, 0);
    int last = s->op == ATTENTION ? s->C : s->K, pad = s->R / 2;
    struct view x = view_of(dev, o->x, s->N, s->H, s->W, s->C);
    struct view y = view_of(dev, NULL, s->N, out_side(s, s->H), out_side(s, s->W), last), k = no_view, v = no_view;
    if (s->op == ATTENTION) k = view_of(dev, o->w, s->N, 1, s->K, s->C), v = view_of(dev, o->b, s->N, 1, s->K, s->C);
    switch (s->op) {
    case CONV: dev->ops->conv2d(dev, y, x, w, b, no_view, no_view, (struct conv_shape){s->stride, pad, pad, pad, pad, s->upsample}); break;
    case LINEAR: dev->ops->linear(dev, y, x, w, b, ACT_NONE, no_view); break;
    case GEGLU: dev->ops->linear_geglu(dev, y, x, w, b); break;
    case ATTENTION: dev->ops->attention(dev, y, x, k, v, s->heads, s->causal); break;
    case GROUP_NORM: dev->ops->group_norm(dev, y, x, w, b, GROUPS, EPS, true); break;
    case LAYER_NORM: dev->ops->layer_norm(dev, y, x, w, b, EPS); break;
    }
    if (!dev->planning) dev->ops->download(dev, out, y);
}

static void run_device(struct device *dev, const struct shape *s, const struct operands *o, float *out) {
    struct tensor files[2];
    const struct tensor *parts[2];
    struct weight weights[2];
    const float *values[] = {o->w, o->b};
    int halves = s->op == GEGLU ? 2 : 1;
    for (int i = 0; i < 2; i++) {
        int rank = i || s->op > ATTENTION ? 1 : s->op == CONV ? 4 : 2;
        files[i] = (struct tensor){.name = "w", .dtype = DT_F32, .bytes = count(s, i + 1) * sizeof(float)};
        parts[i] = &files[i];
        weights[i] = (struct weight){.kind = rank == 4   ? WEIGHT_CONV
                                             : rank == 2 ? WEIGHT_MATRIX
                                                         : WEIGHT_VECTOR,
                                     .name = "w",
                                     .rank = rank,
                                     .shape = {halves * s->K, s->C, s->R, s->R},
                                     .n_parts = 1,
                                     .parts = &parts[i]};
    }
    call(dev, s, o, &weights[0], &weights[1], out);
    dev->plan_end(dev);
    for (int i = 0; i < 2 && s->op != ATTENTION; i++) {
        weights[i].packed = dev->alloc(dev, dev->packed_bytes(dev, &weights[i]));
        if (!dev->pack(dev, &weights[i], (const void *[]){values[i]}, NULL)) die(FAIL_MEMORY, "no memory to pack a weight");
    }
    call(dev, s, o, &weights[0], &weights[1], out);
}

/* ---- oneDNN alone ------------------------------------------------------------------------------------------------ */

/* [N,H,W,C] twice as large, each pixel four times. */
static float *enlarged(const struct shape *s, const float *x) {
    size_t up = (size_t)s->upsample, H = (size_t)s->H * up, W = (size_t)s->W * up, C = (size_t)s->C;
    float *large = malloc((size_t)s->N * H * W * C * sizeof *large);
    for (size_t i = 0; i < (size_t)s->N * H * W; i++) {
        size_t n = i / W / H, h = i / W % H / up, w = i % W / up;
        memcpy(large + i * C, x + ((n * (size_t)s->H + h) * (size_t)s->W + w) * C, C * sizeof *large);
    }
    return large;
}

static bool run_onednn(struct device *dev, const struct shape *s, const struct operands *o, float *out) {
    struct cpu_device *cpu = cpu_of(dev);
    const struct cpu_primitive *p;
    dnnl_dim_t K = s->K, C = s->C, R = s->R;
    int pad = s->R / 2, up = s->upsample;
    if (s->op == CONV) {
        struct cpu_conv c = {s->N, s->H * up, s->W * up, s->C,  out_side(s, s->H), out_side(s, s->W), s->K, s->R, s->stride, pad, pad, pad,
                             pad,  true,      false,     DT_F32};
        p = cpu_primitive_conv(cpu, &c, NULL);
    } else if (s->op == LINEAR) {
        struct cpu_matmul m = {s->N * s->W, s->C, s->K, s->C, s->K, ACT_NONE, true, false, false, DT_F32};
        p = cpu_primitive_matmul(cpu, &m, NULL);
    } else return false;
    void *w = dev->alloc(dev, p->weights_bytes), *scratchpad = dev->alloc(dev, p->scratchpad_bytes + 64);
    if (s->op == CONV) cpu_primitive_pack(p, cpu, w, o->w, 4, (dnnl_dims_t){K, C, R, R}, (dnnl_dims_t){C * R * R, R * R, R, 1});
    else cpu_primitive_pack(p, cpu, w, o->w, 2, (dnnl_dims_t){C, K}, (dnnl_dims_t){1, C});
    float *x = s->op == CONV ? enlarged(s, o->x) : o->x;
    cpu_primitive_run(p, cpu, 0, out, x, w, o->b, scratchpad);
    cpu_check((dnnl_status_t)atomic_load(&cpu->failed), s->text);
    if (x != o->x) free(x);
    return true;
}

/* ---- the lines --------------------------------------------------------------------------------------------------- */

static void print_column(const struct shape *s, enum column column) {
    size_t n = (size_t)s->N * (size_t)out_side(s, s->H) * (size_t)out_side(s, s->W) * (size_t)(s->op == ATTENTION ? s->C : s->K);
    enum dtype dtype = column == BF16 ? DT_BF16 : DT_F32;
    struct operands o = {fill(s, 0, dtype), fill(s, 1, dtype), fill(s, 2, dtype)};
    double *want = malloc(n * sizeof *want), squares = 0, errors = 0, worst = 0;
    float *found = malloc(n * sizeof *found);
    bool has = isa_of(column >= X6) != NULL;
    if (has) {
        struct device *dev = device_of(column);
        if (column == ONEDNN) has = run_onednn(dev, s, &o, found);
        else run_device(dev, s, &o, found);
        dev->close(dev);
    }
    reference(s, &o, want);
    for (size_t i = 0; i < n; i++) {
        double error = has ? fabs((double)found[i] - want[i]) : NAN;
        squares += want[i] * want[i];
        errors += error * error;
        worst = error <= worst ? worst : error; /* a NaN stays */
    }
    printf("\t%.12g\t%.3g\t%.3g", sqrt(squares / (double)n), sqrt(errors / squares), worst / sqrt(squares / (double)n));
    free(o.x), free(o.w), free(o.b), free(want), free(found);
}

int main(void) {
    struct device *dev = device_of(F32);
    printf("%s\t%s\t%s\n", dev->product, isa_of(false), isa_of(true) ? isa_of(true) : "none");
    dev->close(dev);
    for (const struct shape *s = shapes; s < shapes + sizeof shapes / sizeof *shapes; s++) {
        printf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", s->text, op_names[s->op], s->N, s->H, s->W, s->C, s->K, s->R, s->stride,
               s->upsample, s->heads, s->causal);
        for (enum column column = 0; column < COLUMNS; column++) print_column(s, column);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
