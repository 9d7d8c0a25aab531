#include "cli/open_device.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cli/settings_table.h"
#include "cuda/cuda.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"

void device_start(const struct options *o) {
    if (o->device != DEVICE_CPU) cuda_start(o->device_index);
}

static bool use_cuda(const struct options *o) {
    if (o->device != DEVICE_AUTO) return o->device == DEVICE_CUDA;
    const char *missing = cuda_device_missing();
    bool wanted = o->verbose || o->device_given || access("/dev/nvidiactl", F_OK) == 0;
    if (missing && *missing && wanted && !o->quiet) fprintf(stderr, "diffuse: %s: using the CPU\n", missing);
    return !missing;
}

static bool is_x3(const char *word) {
    return !strcmp(word, "bf16x3");
}

static bool cpu_lacks(const char *word) {
    return !strcmp(word, "fp16") || (!strcmp(word, "bf16") && !cpu_has_bf16()) || (is_x3(word) && !cpu_has_amx());
}

/* The CPU device's own complaint would not name the option. */
static void check_cpu_dtype(const char *option, const char *word) {
    char hint[64];
    bool fp16 = !strcmp(word, "fp16");
    snprintf(hint, sizeof hint, "%s fp32%s", option, fp16 ? " or bf16" : "");
    if (fp16) die_hint(FAIL_DEVICE, hint, "%s fp16: the CPU device computes in fp32 or bf16", option);
    if (cpu_lacks(word))
        die_hint(FAIL_DEVICE, hint, "%s %s: this CPU has no %s", option, word, is_x3(word) ? "AMX" : "bf16 arithmetic (avx512_bf16)");
}

/* --dtype, or fp32 where the device lacks what a picture was drawn in. */
static const char *dtype_wanted(const struct options *o, bool lacks, const char *device) {
    if (o->dtype != o->dtype_recorded || !lacks) return o->dtype;
    warn("the picture was drawn in %s, which the %s has not: fp32", o->dtype, device);
    return "fp32";
}

/* oneDNN does not survive an allocation that fails while it makes its kernels. */
static void check_address_space(uint64_t need) {
    enum { KERNELS = 256 << 20 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < need + KERNELS)
        die(FAIL_MEMORY, "out of memory: the address space limit (ulimit -v) is %.2f GB, %.2f GB needed", (double)limit.rlim_cur / 1e9,
            (double)(need + KERNELS) / 1e9);
}

static struct device *open_cuda(const struct options *o) {
    const char *dtype = dtype_wanted(o, is_x3(o->dtype), "GPU");
    if (is_x3(dtype)) die_hint(FAIL_DEVICE, "--dtype fp32, or bf16", "--dtype bf16x3: the GPU has not, and a CPU with AMX has");
    return cuda_device_open(dtype_of(dtype, DT_F16), o->device_index);
}

struct device *device_open(const struct options *o) {
    if (use_cuda(o)) return open_cuda(o);
    const char *dtype = dtype_wanted(o, cpu_lacks(o->dtype), "CPU");
    check_cpu_dtype("--dtype", dtype);
    if (o->settings.vae_dtype_given) check_cpu_dtype("--vae-dtype", dtype_word(o->settings.vae_dtype));
    if (is_x3(dtype) && o->settings.vae_dtype_given && o->settings.vae_dtype == DT_F32)
        die_hint(FAIL_USAGE, "--vae-dtype auto", "--vae-dtype fp32: with --dtype bf16x3 the VAE computes in bf16x3 as well");
    check_address_space(0);
    struct device *dev = cpu_device_open(dtype_of(dtype, DT_F32), o->threads);
    if (is_x3(dtype)) cpu_take_x3(dev);
    return dev;
}

const char *dtype_computed(const struct model *m) {
    return m->dtype == DT_F32 && m->device->x3 ? "bf16x3" : dtype_word(m->dtype);
}

void model_start(struct model *m, const struct options *o, struct startup *t) {
    if (!o->dry_run) model_read_ahead(m);
    double checked = clock_ms();
    m->offload = (enum offload)o->offload;
    model_use(m, device_open(o));
    t->device = clock_ms() - checked;
    if (m->device->own_memory) t->memory_free = m->device->memory_free(m->device);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static const char *memory_hint(const struct model *m) {
    bool own_memory = m->device->own_memory;
    if (m->offload == OFFLOAD_NONE) return "--offload auto has a part of the model in memory at a time";
    if (m->dtype != DT_F32) return own_memory ? "a smaller --size, or --device cpu" : "a smaller --size";
    if (own_memory) return "a smaller --size, --dtype fp16, or --device cpu";
    return cpu_has_bf16() ? "a smaller --size, or --dtype bf16" : "a smaller --size";
}

const char *stages_text(struct arena *a, const struct model *m) {
    const char *text = "";
    for (const struct model *each = m; each; each = each->refiner)
        for (enum stage i = 0; i < N_STAGES; i++) {
            double bytes = (double)memory_plan_sum(model_stage_memory(each, i));
            if (bytes > 0)
                text = arena_printf(a, "%s%s%s%s %.3f GB", text, *text ? ", " : "", each == m ? "" : "refiner's ", stage_names[i],
                                    bytes / 1e9);
        }
    return text;
}

static void print_memory(struct request *r, struct memory_plan plan, uint64_t room, bool dry_run) {
    struct model *m = r->model;
    bool staged = m->stages->on;
    fprintf(stderr, "memory: weights %.3f GB, activations %.3f GB, scratch %.3f GB: %.3f GB of %.3f GB free on %s%s",
            (double)plan.weights / 1e9, (double)plan.activations / 1e9, (double)plan.scratch / 1e9, (double)memory_plan_sum(plan) / 1e9,
            (double)room / 1e9, m->device->name, staged ? ", a part at a time" : "");
    if (!m->device->own_memory) fprintf(stderr, "; the program %.3f GB", (double)model_program_bytes(m) / 1e9);
    fputc('\n', stderr);
    if (!staged && !dry_run) return;
    if (!staged) request_plan_as(r, true, m->tiled);
    fprintf(stderr, "%s: %s\n", staged ? "stages" : "with --offload stage", stages_text(r->arena, m));
    if (!staged) request_plan_as(r, false, m->tiled); /* what is asked about it later is as it will be drawn */
}

void check_memory(struct request *r, const struct options *o) {
    struct model *m = r->model;
    struct device *dev = m->device;
    struct memory_plan plan = model_memory(m);
    uint64_t need = memory_plan_sum(plan), room = model_memory_room(m);
    if (!dev->own_memory) check_address_space(need);
    bool forecast = o->dry_run && !options_many(o); /* of many jobs the largest is told at the end */
    if (o->verbose || forecast) print_memory(r, plan, room, forecast);
    if (room && need > room)
        die_hint(FAIL_MEMORY, memory_hint(m), "%s: out of memory: %.3f GB needed, %.3f GB free", dev->name, (double)need / 1e9,
                 (double)room / 1e9);
}
