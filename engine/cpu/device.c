/* The CPU device: opening and closing, and planning's bookkeeping. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/cpu/cpu.h"
#include "engine/base/clock.h"
#include "engine/cpu/dnnl_util.h"
#include "engine/cpu/isa.h"
#include "engine/base/error.h"
#include "engine/base/limits.h"
#include "engine/base/sys.h"
#include "engine/ops_check.h"
#include "engine/files/safetensors.h"

enum { ARENA_BASE = 4096 /* planning counts from it, and never dereferences it; not NULL, which means "no view" */ };

/* ---- planning ---------------------------------------------------------------------------------------------------- */

struct cpu_plan *cpu_plan_of(const struct cpu_device *dev, const struct weight *w) {
    struct cpu_plan *plan = w->plan;
    return plan && plan->round == dev->round ? plan : NULL;
}

void cpu_plan_register(struct cpu_device *dev, struct weight *w, struct cpu_plan *plan, enum dtype dtype) {
    assert(dev->base.planning && !cpu_plan_of(dev, w));
    plan->old = w->plan;
    plan->w = w;
    plan->round = dev->round;
    w->plan = plan;
    plan->dtype = dtype;
    plan->next = dev->plans;
    dev->plans = plan;
}

static size_t weight_elements(const struct weight *w) {
    size_t n = 1;
    for (int i = 0; i < w->rank; i++) n *= (size_t)w->shape[i];
    return n;
}

static void pack_dense(struct cpu_device *dev, struct weight *w, const float *src) {
    (void)dev;
    size_t n = weight_elements(w);
    if (((const struct cpu_plan *)w->plan)->dtype == DT_F32) {
        memcpy(w->packed, src, n * sizeof *src);
        return;
    }
    uint16_t *dst = w->packed;
    for (size_t i = 0; i < n; i++) dst[i] = f32_to_bf16(src[i]);
}

static void destroy_dense(struct cpu_plan *plan) {
    free(plan);
}

void cpu_plan_dense(struct cpu_device *dev, struct weight *w, enum dtype dtype) {
    if (!w) return;
    const struct cpu_plan *planned = cpu_plan_of(dev, w);
    assert(!planned || planned->dtype == dtype);
    if (planned) return;
    size_t item = dtype_table[dtype].size;
    struct cpu_plan *plan = cpu_new(sizeof *plan);
    *plan = (struct cpu_plan){.packed_bytes = weight_elements(w) * item, .pack = pack_dense, .destroy = destroy_dense};
    cpu_plan_register(dev, w, plan, dtype);
}

void cpu_scratch_reserve(struct cpu_device *dev, size_t bytes) {
    if (bytes > dev->scratch_bytes) dev->scratch_bytes = bytes;
}

void *cpu_new(size_t bytes) {
    void *p = sys.calloc(1, bytes);
    if (!p) die(FAIL_MEMORY, "cpu: out of memory: %zu bytes needed", bytes);
    return p;
}

static size_t cpu_packed_bytes(struct device *dev, const struct weight *w) {
    (void)dev;
    const struct cpu_plan *plan = w->plan;
    return plan ? plan->packed_bytes : 0;
}

/* The file's bytes are its f32 values, one part behind the other. */
static bool is_dense_f32(const struct weight *w) {
    for (int i = 0; i < w->n_parts; i++)
        if (w->parts[i]->dtype != DT_F32 || (i + 1 < w->n_parts && w->parts[i]->bytes % WEIGHT_PART_ALIGN)) return false;
    return true;
}

static void convert_parts(float *dst, const struct weight *w, const void *const raw[]) {
    for (int i = 0; i < w->n_parts; i++) {
        size_t n = w->parts[i]->bytes / dtype_table[w->parts[i]->dtype].size;
        dtype_to_f32(dst, raw[i], w->parts[i]->dtype, n);
        dst += n;
    }
}

static size_t cpu_pack_room(const struct weight *w) {
    return is_dense_f32(w) ? 0 : weight_elements(w) * sizeof(float);
}

static bool cpu_pack(struct device *base, struct weight *w, const void *const raw[], void *room) {
    bool dense = is_dense_f32(w);
    if (!dense) convert_parts(room, w, raw);
    ((const struct cpu_plan *)w->plan)->pack(cpu_of(base), w, dense ? raw[0] : room);
    return true;
}

/* ---- loading: done when it returns ------------------------------------------------------------------------------- */

static void cpu_load(struct device *base, struct weight *const items[], int n) {
    double start = clock_ms();
    weights_pack_all(base, items, n);
    cpu_of(base)->load_ms = clock_ms() - start;
}

static double cpu_load_wait(struct device *base) {
    return cpu_of(base)->load_ms;
}

/* ---- recordings and the clock: ops have run when they return ----------------------------------------------------- */

static struct recording *cpu_recording_new(struct device *base) {
    (void)base;
    return NULL;
}

static void cpu_recording_free(struct device *base, struct recording *r) {
    (void)base, (void)r;
}

static void cpu_replay(struct device *base, struct recording *r, void (*work)(void *data), void *data, size_t bytes) {
    (void)base, (void)r, (void)bytes;
    work(data);
}

static void cpu_nothing(struct device *base) {
    (void)base;
}

static void cpu_time_begin(struct device *base, int n) {
    struct cpu_device *dev = cpu_of(base);
    if (n <= dev->n_marks) return;
    double *marks = sys.realloc(dev->marks, (size_t)n * sizeof *marks);
    if (!marks) die(FAIL_MEMORY, "out of memory");
    dev->marks = marks;
    dev->n_marks = n;
}

static void cpu_time_mark(struct device *base, int i) {
    assert(i < cpu_of(base)->n_marks);
    cpu_of(base)->marks[i] = clock_ms();
}

static double cpu_time_wait(struct device *base, int i) {
    const struct cpu_device *dev = cpu_of(base);
    assert(i > 0 && i < dev->n_marks);
    return dev->marks[i] - dev->marks[i - 1];
}

static size_t cpu_scratch_bytes(const struct device *dev) {
    return ((const struct cpu_device *)dev)->scratch_bytes;
}

static bool same_weights(const struct cpu_primitive *a, const struct cpu_primitive *b) {
    return a == b || (a && b && dnnl_memory_desc_equal(MD(a->weights_md), MD(b->weights_md)));
}

static bool same_layout(const struct cpu_plan *a, const struct cpu_plan *b) {
    return a->pack == b->pack && a->dtype == b->dtype && a->packed_bytes == b->packed_bytes && same_weights(a->layout[0], b->layout[0]) &&
           same_weights(a->layout[1], b->layout[1]);
}

/* The former round's plans go; a weight that lies otherwise than it is now wanted is stale. */
static void drop_old_plans(struct cpu_device *dev) {
    for (struct cpu_plan *plan = dev->plans; plan; plan = plan->next) {
        for (struct cpu_plan *old = plan->old, *older; old; old = older) {
            struct cpu_plan **at = &plan->next; /* newer plans come first */
            older = old->old;
            if (!older) plan->w->stale |= plan->w->packed && !same_layout(plan, old); /* those between were broken off */
            while (*at != old) at = &(*at)->next;
            *at = old->next;
            old->destroy(old);
        }
        plan->old = NULL;
    }
}

static void *grow(struct device *base, void *p, size_t *capacity, size_t bytes) {
    if (p && bytes <= *capacity) return p;
    cpu_free(base, p);
    *capacity = 0;
    p = cpu_alloc(base, bytes);
    cpu_touch(base, p, bytes);
    *capacity = bytes;
    return p;
}

static void cpu_arena_fit(struct device *base, size_t bytes) {
    struct cpu_device *dev = cpu_of(base);
    base->arena_used = 0;
    if (base->arena_capacity == bytes) return;
    cpu_free(base, dev->arena);
    dev->arena = NULL;
    base->arena_capacity = 0;
    base->arena_base = dev->arena = grow(base, NULL, &base->arena_capacity, bytes);
    base->arena_peak = bytes;
}

/* Of rounds that were broken off, the last stays until it is replaced: a forecast ends none. */
static void drop_broken_plans(struct cpu_device *dev) {
    for (struct cpu_plan **at = &dev->plans, *plan; (plan = *at) != NULL;) {
        struct cpu_plan *newer = plan->old ? plan->w->plan : plan;
        if (newer == plan) {
            at = &plan->next;
            continue;
        }
        while (newer->old != plan) newer = newer->old;
        newer->old = plan->old;
        *at = plan->next;
        plan->destroy(plan);
    }
}

static void cpu_plan_begin(struct device *base) {
    drop_broken_plans(cpu_of(base));
    base->own = &cpu_of(base)->op_tables->planning;
    base->planning = true;
    base->arena_base = (char *)(uintptr_t)ARENA_BASE;
    base->arena_used = base->arena_peak = 0;
    cpu_of(base)->round++;
}

static void cpu_plan_end(struct device *base) {
    struct cpu_device *dev = cpu_of(base);
    assert(base->planning);
    drop_old_plans(dev);
    dev->arena = grow(base, dev->arena, &base->arena_capacity, base->arena_peak);
    dev->scratch = grow(base, dev->scratch, &dev->scratch_capacity, dev->scratch_bytes);
    base->arena_base = dev->arena;
    base->arena_peak = base->arena_capacity;
    base->arena_used = 0;
    base->own = &dev->op_tables->running;
    base->planning = false;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void cpu_close(struct device *base) {
    struct cpu_device *dev = cpu_of(base);
    for (struct cpu_plan *plan = dev->plans, *next; plan; plan = next) {
        next = plan->next;
        plan->destroy(plan);
    }
    cpu_free_all(base);
    free(dev->schedule.rows);
    free(dev->marks);
    cpu_primitives_destroy(dev);
    for (int i = 0; i < pool_threads(base->pool); i++) dnnl_stream_destroy(dev->streams[i]);
    free(dev->streams);
    pool_free(base->pool);
    dnnl_engine_destroy(dev->engine);
    free(dev);
}

/* "model name\t: AMD EPYC 9B14" of the first core; "CPU" where the system does not say. */
static void read_product(char *text, size_t size) {
    char line[256], *name = NULL;
    FILE *f = sys.fopen("/proc/cpuinfo", "re");
    while (f && !name && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10)) name = strchr(line, ':');
    if (f) fclose(f);
    if (name) name += 1 + strspn(name + 1, " ");
    snprintf(text, size, "%.*s", name ? (int)strcspn(name, "\n") : 3, name ? name : "CPU");
}

bool cpu_has_amx(void) {
    return cpu_isa_has_amx(cpu_isa_choose());
}

void cpu_take_x3(struct device *dev) {
    assert(cpu_has_amx() && dev->planning);
    dev->x3 = true;
}

bool cpu_has_bf16(void) {
    return cpu_has_amx() || (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

/* The widest that oneDNN uses: sums go in other orders with other widths. */
static const char *dnnl_isa(void) {
    static const struct {
        int isa;
        const char *name;
    } known[] = {{dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                 {dnnl_cpu_isa_avx512_core, "avx512_core"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_sse41, "sse41"}};
    int isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((isa & known[i].isa) == known[i].isa) return known[i].name;
    return "generic";
}

/* What the last bits of a result depend on: "avx2", or "avx2_sse2" where oneDNN and our own ops do not use the same. */
static void name_isa(struct cpu_device *dev) {
    const char *theirs = dnnl_isa(), *ours = dev->op_tables->isa;
    bool same = !strncmp(theirs, ours, strlen(ours));
    snprintf(dev->isa, sizeof dev->isa, "%s%s%s", theirs, same ? "" : "_", same ? "" : ours);
}

struct device *cpu_device_open(enum dtype dtype, int n_threads) {
    if (dtype != DT_F32 && dtype != DT_BF16) die(FAIL_DEVICE, "cpu: expected type F32 or BF16, found %s", dtype_table[dtype].name);
    if (dtype == DT_BF16 && !cpu_has_bf16()) die(FAIL_DEVICE, "cpu: this CPU has no bf16 arithmetic (avx512_bf16): use f32");
    dnnl_set_verbose(0); /* what ONEDNN_VERBOSE asks for would go to stdout, among the results … */
    dnnl_set_jit_dump(0);
    const struct cpu_ops *op_tables = cpu_isa_choose();
    struct cpu_device *dev = cpu_new(sizeof *dev);
    dev->op_tables = op_tables;
    struct pool *pool = pool_new(n_threads > 0 ? n_threads : cpu_count());
    dev->streams = cpu_new((size_t)pool_threads(pool) * sizeof *dev->streams);
    cpu_check(dnnl_engine_create(&dev->engine, dnnl_cpu, 0), "engine");
    for (int i = 0; i < pool_threads(pool); i++)
        cpu_check(dnnl_stream_create(&dev->streams[i], dev->engine, dnnl_stream_default_flags), "stream");
    read_product(dev->product, sizeof dev->product);
    name_isa(dev);
    dev->base = (struct device){
        .name = "cpu",
        .product = dev->product,
        .isa = dev->isa,
        .dtype = dtype,
        .images_alone = dtype == DT_F32 || cpu_isa_has_amx(op_tables),
        .ops = &ops_checked,
        .own = &dev->op_tables->planning,
        .planning = true,
        .pool = pool,
        .arena_base = (char *)(uintptr_t)ARENA_BASE,
        .packed_bytes = cpu_packed_bytes,
        .pack = cpu_pack,
        .pack_room = cpu_pack_room,
        .host_arena = true,
        .load = cpu_load,
        .load_wait = cpu_load_wait,
        .memory_free = cpu_memory_free,
        .program_bytes = cpu_program_bytes,
        .plan_begin = cpu_plan_begin,
        .plan_end = cpu_plan_end,
        .arena_fit = cpu_arena_fit,
        .scratch_bytes = cpu_scratch_bytes,
        .alloc = cpu_alloc,
        .free = cpu_free,
        .close = cpu_close,
        .recording_new = cpu_recording_new,
        .recording_free = cpu_recording_free,
        .replay = cpu_replay,
        .recover = cpu_nothing,
        .load_forget = cpu_nothing,
        .time_begin = cpu_time_begin,
        .time_mark = cpu_time_mark,
        .time_wait = cpu_time_wait,
    };
    return &dev->base;
}

void cpu_check(dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return;
    bool memory =
        status == dnnl_out_of_memory || status == dnnl_runtime_error; /* which is what oneDNN 3 says of an allocation that failed */
    die(memory ? FAIL_MEMORY : FAIL_INTERNAL, "cpu: oneDNN: %s: status %d", what, (int)status);
}
