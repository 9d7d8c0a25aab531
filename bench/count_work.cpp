/* Counts, without a GPU, what the CUDA device does for one picture: linked with the emulated device of test/emu and run
 * with EMU_SKIP=1, in which kernels are counted and not executed. What the pictures look like then does not matter.
 *
 *     count_work DIR STEPS [fp16|bf16|fp32]
 *
 * One line a quantity: "memory WEIGHTS ACTIVATIONS SCRATCH", "step LAUNCHES FLOP BYTES" of the first UNet step with its
 * scheduler row and, where it is the only one, "after LAUNCHES FLOP BYTES" of what follows it, the VAE. Bytes: every
 * operand of every op once. EMU_REPORT=1 adds each kernel's launches at exit; two runs that differ by one step say what
 * a step of the graph takes. */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/device.h"
extern "C" {
#include "engine/base/arena.h"
#include "engine/base/file.h"
#include "engine/pipelines/pipeline.h"
}

static void print_work(const char *name, struct device_work w) {
    printf("%s %ld %.6g %.6g\n", name, w.launches, w.flop, w.bytes);
}

/* Ends where the picture is found not to be finite. */
static void draw(struct pipeline *p, uint8_t *rgb) {
    struct job job;
    if (!job_enter(&job)) return;
    pipeline_generate(p, 0, rgb);
    job_leave(&job);
}

int main(int argc, char **argv) {
    if (argc < 3) die(FAIL_USAGE, "usage: count_work DIR STEPS [fp16|bf16|fp32]");
    const char *type = argc > 3 ? argv[3] : "fp16";
    struct arena a = {};
    struct settings settings = {};
    settings.model = argv[1];
    settings.prompt = file_exists(arena_printf(&a, "%s/text_encoder/config.json", argv[1])) ? "x" : NULL;
    settings.steps = atoi(argv[2]);
    settings.scheduler = "ddim";
    settings.guidance = NAN;
    settings.clip_skip = -1;
    settings.rng_dtype = DT_F32;
    settings.count = 1;
    struct pipeline *p = pipeline_open(&a, &settings);
    pipeline_plan(p, cuda_device_open(!strcmp(type, "bf16") ? DT_BF16 : !strcmp(type, "fp32") ? DT_F32 : DT_F16, -1));
    struct memory_plan m = pipeline_memory(p);
    printf("memory %llu %llu %llu\n", (unsigned long long)m.weights, (unsigned long long)m.activations, (unsigned long long)m.scratch);
    pipeline_load(p);
    uint8_t *rgb = static_cast<uint8_t *>(malloc(3 * (size_t)p->settings.width * (size_t)p->settings.height));
    draw(p, rgb);
    struct device_work all = cuda_of(p->device)->counts, step = p->device->step_work; /* all: since the first step */
    print_work("step", step);
    if (p->schedule->n_rows == 1) print_work("after", {all.launches - step.launches, all.flop - step.flop, all.bytes - step.bytes});
    free(rgb);
    pipeline_close(p);
    arena_free(&a);
}
