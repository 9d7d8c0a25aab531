#include "engine/count_device.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"
#include "engine/ops_check.h"
#include "engine/weights.h"

#include <stdlib.h>

#define UNUSED __attribute__((unused))

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
/* Nothing is ever recorded or drawn on it. */
static void nothing(UNUSED struct device *dev) {}
static void recording_free(struct device *dev, struct recording *r) {
    (void)dev, (void)r;
}

static void close_device(struct device *dev) {
    free(dev);
}

/* There is nothing to plan; a run on this device would be our bug. */
static const struct ops own;

struct device *count_device_open(enum dtype dtype) {
    struct device *dev = sys.calloc(1, sizeof *dev);
    if (!dev) die(FAIL_MEMORY, "out of memory");
    *dev = (struct device){.name = "count",
                           .dtype = dtype,
                           .ops = &ops_checked,
                           .own = &own,
                           .planning = true,
                           .arena_base = (char *)64, /* counted from, never dereferenced */
                           .packed_bytes = packed_bytes,
                           .plan_begin = plan_begin,
                           .plan_end = plan_end,
                           .scratch_bytes = scratch_bytes,
                           .recording_free = recording_free,
                           .recover = nothing,
                           .load_forget = nothing,
                           .close = close_device};
    return dev;
}
