#include "engine/count_device.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"
#include "engine/ops.h"
#include "engine/weights.h"

#include <stdlib.h>

#define UNUSED __attribute__((unused))
#define DEV UNUSED struct device *dev
#define VIEW(name) UNUSED struct view name
#define WEIGHT(name) UNUSED struct weight *name

static void linear(DEV, VIEW(y), VIEW(x), WEIGHT(w), WEIGHT(b), UNUSED enum act act, VIEW(residual)) {}
static void linear_geglu(DEV, VIEW(y), VIEW(x), WEIGHT(w), WEIGHT(b)) {}
static void conv2d(DEV, VIEW(y), VIEW(x), WEIGHT(w), WEIGHT(b), VIEW(temb), VIEW(residual), UNUSED struct conv_shape shape) {}
static void group_norm(DEV, VIEW(y), VIEW(x), WEIGHT(w), WEIGHT(b), UNUSED int groups, UNUSED float eps, UNUSED bool act) {}
static void layer_norm(DEV, VIEW(y), VIEW(x), WEIGHT(w), WEIGHT(b), UNUSED float eps) {}
static void attention(DEV, VIEW(y), VIEW(q), VIEW(k), VIEW(v), UNUSED int n_heads, UNUSED bool causal) {}
static void embed(DEV, VIEW(y), UNUSED const int32_t *ids, WEIGHT(table), WEIGHT(pos)) {}
static void timestep_embed(DEV, VIEW(y), UNUSED const float *t, UNUSED bool flip, UNUSED float shift) {}
static void silu(DEV, VIEW(y), VIEW(x)) {}
static void modulate(DEV, VIEW(y), VIEW(x), VIEW(scale), VIEW(shift), UNUSED enum act act) {}
static void add(DEV, VIEW(y), VIEW(a), VIEW(b)) {}
static void model_input(DEV, VIEW(y), UNUSED const float *x, UNUSED float scale) {}
static void set_schedule(DEV, UNUSED const struct sched_row *rows, UNUSED int n_rows, UNUSED int depth) {}
static void next_row(DEV, VIEW(y), VIEW(table)) {}
static void row_input(DEV, VIEW(y), UNUSED const struct latents *l, UNUSED int copies) {}
static void sched_step(DEV, UNUSED const struct latents *l, VIEW(out), UNUSED float guidance, UNUSED float rescale) {}

static size_t packed_bytes(struct device *dev, const struct weight *w) {
    size_t n = w->kind == WEIGHT_VECTOR ? sizeof(float) : dtype_table[dev->dtype].size;
    for (int i = 0; i < w->rank; i++) n *= (size_t)w->shape[i];
    return n;
}

static void plan_begin(struct device *dev) {
    dev->arena_used = dev->arena_peak = 0;
}
static void plan_end(UNUSED struct device *dev) {}
static size_t scratch_bytes(UNUSED const struct device *dev) {
    return 0;
}
static void close_device(struct device *dev) {
    free(dev);
}

/* Only what a plan calls; a run on this device would be our bug. */
static const struct ops ops = {
    .linear = linear,
    .linear_geglu = linear_geglu,
    .conv2d = conv2d,
    .group_norm = group_norm,
    .layer_norm = layer_norm,
    .attention = attention,
    .embed = embed,
    .timestep_embed = timestep_embed,
    .silu = silu,
    .modulate = modulate,
    .add = add,
    .model_input = model_input,
    .set_schedule = set_schedule,
    .next_row = next_row,
    .row_input = row_input,
    .sched_step = sched_step,
};

struct device *count_device_open(enum dtype dtype) {
    struct device *dev = sys.calloc(1, sizeof *dev);
    if (!dev) die(FAIL_MEMORY, "out of memory");
    *dev = (struct device){.name = "count",
                           .dtype = dtype,
                           .ops = &ops,
                           .planning = true,
                           .arena_base = (char *)64, /* counted from, never dereferenced */
                           .packed_bytes = packed_bytes,
                           .plan_begin = plan_begin,
                           .plan_end = plan_end,
                           .scratch_bytes = scratch_bytes,
                           .close = close_device};
    return dev;
}
