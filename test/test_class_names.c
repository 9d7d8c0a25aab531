/* Every class diffusers knows (test/fixtures/class_names.txt), as pipeline and as each part, in a folder with nothing but model_index.json:
 * had, and then its folder is missed, or refused by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/pipelines/request.h"
#include "test/files.h"

#define SCHEDULERS                                                                                                                   \
    "DDIMScheduler DDPMScheduler DEISMultistepScheduler DPMSolverMultistepScheduler DPMSolverSinglestepScheduler "                   \
    "EDMDPMSolverMultistepScheduler EDMEulerScheduler EulerAncestralDiscreteScheduler EulerDiscreteScheduler HeunDiscreteScheduler " \
    "KDPM2AncestralDiscreteScheduler KDPM2DiscreteScheduler LCMScheduler LMSDiscreteScheduler PNDMScheduler TCDScheduler "           \
    "UniPCMultistepScheduler"
/* converted from, with -x NAME */
#define SWAPPED                                                                                                                  \
    "DDIMInverseScheduler DDIMParallelScheduler DDPMParallelScheduler DPMSolverMultistepInverseScheduler DPMSolverSDEScheduler " \
    "SASolverScheduler"
#define PIPELINES                                                                                             \
    "StableDiffusionPipeline StableDiffusionImg2ImgPipeline StableDiffusionInpaintPipeline "                  \
    "StableDiffusionInpaintPipelineLegacy "                                                                   \
    "StableDiffusionXLPipeline StableDiffusionXLImg2ImgPipeline StableDiffusionXLInpaintPipeline "            \
    "StableDiffusionDepth2ImgPipeline StableDiffusionInstructPix2PixPipeline LatentConsistencyModelPipeline " \
    "LatentConsistencyModelImg2ImgPipeline StableDiffusionControlNetPipeline "                                \
    "StableDiffusionControlNetImg2ImgPipeline StableDiffusionControlNetInpaintPipeline "                      \
    "StableDiffusionXLControlNetPipeline StableDiffusionXLControlNetImg2ImgPipeline "                         \
    "StableDiffusionXLControlNetInpaintPipeline DDPMPipeline DDIMPipeline"
#define TOKENIZERS "CLIPTokenizer CLIPTokenizerFast"

struct slot {
    const char *name, *had; /* the first is a good one */
};

static const struct shape {
    const char *pipeline;
    struct slot slots[8];
} shapes[] = {
    {"StableDiffusionPipeline",
     {{"scheduler", SCHEDULERS},
      {"tokenizer", TOKENIZERS},
      {"text_encoder", "CLIPTextModel"},
      {"unet", "UNet2DConditionModel"},
      {"vae", "AutoencoderKL"},
      {"feature_extractor", "CLIPImageProcessor CLIPFeatureExtractor CLIPImageProcessorFast"},
      {"safety_checker", "StableDiffusionSafetyChecker"}}},
    {"StableDiffusionXLPipeline",
     {{"scheduler", SCHEDULERS},
      {"tokenizer", TOKENIZERS},
      {"tokenizer_2", TOKENIZERS},
      {"text_encoder", "CLIPTextModel"},
      {"text_encoder_2", "CLIPTextModelWithProjection"},
      {"unet", "UNet2DConditionModel"},
      {"vae", "AutoencoderKL"}}},
    {"StableDiffusionDepth2ImgPipeline",
     {{"scheduler", SCHEDULERS},
      {"tokenizer", TOKENIZERS},
      {"text_encoder", "CLIPTextModel"},
      {"unet", "UNet2DConditionModel"},
      {"vae", "AutoencoderKL"},
      {"depth_estimator", "DPTForDepthEstimation"},
      {"feature_extractor", "DPTImageProcessor DPTFeatureExtractor DPTImageProcessorFast"}}},
    {"DDPMPipeline", {{"scheduler", SCHEDULERS}, {"unet", "UNet2DModel"}}},
};

static const char *dir;
static int n_names;

static bool among(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return false;
}

/* As model_index.json has it, of a slot's classes. */
static const char *library(const struct slot *s) {
    if (!strncmp(s->had, "CLIP", 4) || !strncmp(s->had, "DPT", 3)) return "transformers";
    return strcmp(s->name, "safety_checker") ? "diffusers" : "stable_diffusion";
}

/* `name` in the place of the slot, or of the pipeline (slot NULL). */
static void write_index(const struct shape *shape, const struct slot *slot, const char *name) {
    FILE *f = replace_file(path_in(dir, "model_index.json"));
    fprintf(f, "{\"_class_name\":\"%s\"", slot ? shape->pipeline : name);
    for (const struct slot *s = shape->slots; s->name; s++)
        fprintf(f, ",\"%s\":[\"%s\",\"%.*s\"]", s->name, library(s), s == slot ? (int)strlen(name) : (int)strcspn(s->had, " "),
                s == slot ? name : s->had);
    must(fputs("}", f) >= 0 && fclose(f) == 0, dir);
}

static void open_model(const char *scheduler, int code, const char *fragment) {
    struct arena a = {0};
    struct settings settings = {.model = dir, .scheduler = scheduler};
    assert_dies(code, fragment, model_open_both(&a, &settings));
    arena_free(&a);
}

static void plan(const char *scheduler, int code, const char *fragment) {
    struct arena a = {0};
    struct settings settings = {.model = dir, .scheduler = scheduler};
    struct schedule *then;
    assert_dies(code, fragment, request_schedule(&a, &settings, &then));
    arena_free(&a);
}

static void for_names(void (*act)(const char *name)) {
    FILE *f = fopen("test/fixtures/class_names.txt", "r");
    char line[128];
    must(f != NULL, "class_names.txt");
    for (n_names = 0; fgets(line, sizeof line, f); n_names++) {
        line[strcspn(line, "\n")] = 0;
        act(line);
    }
    fclose(f);
    assert_in_range(n_names, 800, 2000);
}

static void as_pipeline(const char *name) {
    char quoted[160];
    snprintf(quoted, sizeof quoted, "pipeline class '%s' is not supported", name);
    write_index(&shapes[0], NULL, name);
    struct arena a = {0};
    struct settings settings = {.model = dir};
    struct job job;
    if (job_enter(&job)) {
        model_open_both(&a, &settings);
        fail_msg("%s: opened", name);
    }
    if (!among(PIPELINES, name)) {
        if (job.code != FAIL_UNSUPPORTED || !strstr(job.message, quoted)) fail_msg("%s: %d %s", name, job.code, job.message);
    } else if (strstr(job.message, "pipeline class")) fail_msg("%s: %s", name, job.message);
    arena_free(&a);
}

static void as_part(const char *name) {
    char quoted[160];
    snprintf(quoted, sizeof quoted, "'%s'", name);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (const struct slot *s = shapes[i].slots; s->name; s++) {
            write_index(&shapes[i], s, name);
            bool had = among(s->had, name), scheduler = s == shapes[i].slots, swapped = scheduler && among(SWAPPED, name);
            open_model(NULL, had ? FAIL_INPUT : FAIL_UNSUPPORTED, had ? "it is not there" : quoted);
            if (!scheduler) continue;
            plan(NULL, had ? FAIL_INPUT : FAIL_UNSUPPORTED, had ? "scheduler" : quoted);
            open_model("euler", had || swapped ? FAIL_INPUT : FAIL_UNSUPPORTED, had || swapped ? "it is not there" : quoted);
            plan("euler,s_churn=1", had || swapped ? FAIL_INPUT : FAIL_UNSUPPORTED, had || swapped ? "scheduler" : quoted);
            open_model(",s_churn=1", had ? FAIL_INPUT : FAIL_UNSUPPORTED, had ? "it is not there" : quoted);
        }
}

static void test_pipelines(void **state) {
    (void)state;
    for_names(as_pipeline);
}

static void test_parts(void **state) {
    (void)state;
    for_names(as_part);
    for (const struct slot *s = shapes[0].slots; s->name; s++)
        for (const char *at = s->had; *at; at += strspn(at + strcspn(at, " "), " ") + strcspn(at, " ")) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
            as_part(name); /* older and newer names of the same, not in the list */
        }
}

/* A batch's jobs may name a scheduler each: the model is opened all the same. */
static void test_jobs(void **state) {
    (void)state;
    write_index(&shapes[0], shapes[0].slots, "SASolverScheduler");
    struct arena a = {0};
    struct settings settings = {.model = dir, .swaps = true};
    assert_dies(FAIL_INPUT, "it is not there", model_open_both(&a, &settings));
    arena_free(&a);
}

int main(void) {
    char place[PATH_MAX];
    snprintf(place, sizeof place, "%s", temp_dir());
    dir = place;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pipelines), cmocka_unit_test(test_parts), cmocka_unit_test(test_jobs)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_tree(dir);
    return failed;
}
