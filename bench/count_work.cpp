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
#define class class_of_pipeline /* a field's name there, a keyword here */
#include "engine/pipelines/picture.h"
#undef class
}

static void print_work(const char *name, struct device_work w) {
    printf("%s %ld %.6g %.6g\n", name, w.launches, w.flop, w.bytes);
}

/* Ends where the picture is found not to be finite. */
static void draw(struct arena *a, struct request *r, uint8_t *rgb) {
    struct job job;
    if (!job_enter(&job)) return;
    picture_draw(picture_open(a, r, 0), rgb);
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
    struct model *m = model_open(&a, settings_source(&settings));
    struct request *r = request_open(&a, m, &settings);
    model_use(m, cuda_device_open(!strcmp(type, "bf16") ? DT_BF16 : !strcmp(type, "fp32") ? DT_F32 : DT_F16, -1));
    request_plan(r);
    struct memory_plan plan = model_memory(m);
    printf("memory %llu %llu %llu\n", (unsigned long long)plan.weights, (unsigned long long)plan.activations,
           (unsigned long long)plan.scratch);
    model_load(m);
    uint8_t *rgb = static_cast<uint8_t *>(malloc(3 * (size_t)r->settings.width * (size_t)r->settings.height));
    draw(&a, r, rgb);
    struct device_work all = cuda_of(m->device)->counts, step = m->device->step_work; /* all: since the first step */
    print_work("step", step);
    if (r->schedule->n_rows == 1) print_work("after", {all.launches - step.launches, all.flop - step.flop, all.bytes - step.bytes});
    free(rgb);
    model_close(m);
    arena_free(&a);
}
