/* The settings in pictures of other programs (test/reference/make_recorded.py has Pillow save them), and pictures that lie about theirs. */
#include "test/support.h"

#include <stdbool.h>
#include <zlib.h>
#include "cli/recorded.h"
#include "cli/settings_table.h"
#include "engine/base/buffer.h"
#include "engine/base/error.h"

#define DIR "test/fixtures/recorded/"

static struct arena hostile; /* outlives the longjmp */

static void add32(struct buffer *b, uint32_t v) {
    buffer_add(b, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static void add_chunk(struct buffer *b, const char *type, const void *body, size_t n) {
    add32(b, (uint32_t)n);
    size_t at = b->length;
    buffer_add(b, type, 4);
    buffer_add(b, body, n);
    add32(b, (uint32_t)crc32(0, (const Bytef *)b->data + at, (uInt)(b->length - at)));
}

static struct buffer png_begin(void) {
    struct buffer b = {.arena = &hostile};
    buffer_add(&b, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(&b, "IHDR", "\0\0\0\1\0\0\0\1\x8\2\0\0\0", 13);
    return b;
}

/* "steps=20|…" of what is taken, " - name=value|…" of what is not. */
static const char *described(struct arena *a, const struct recorded *r) {
    struct buffer b = {.arena = a};
    for (int i = 0; i < r->n_settings; i++)
        buffer_printf(&b, "%s=%s|", r->settings[i].field->name, r->settings[i].value ? r->settings[i].value : "");
    buffer_printf(&b, " - ");
    for (int i = 0; i < r->n_others; i++) buffer_printf(&b, "%s=%s|", r->others[i].name, r->others[i].value);
    return b.data;
}

static void expect(const char *file, const char *program, const char *text) {
    struct arena a = {0};
    struct recorded *r = recorded_read(&a, arena_printf(&a, DIR "%s", file));
    if (strcmp(r->program, program)) fail_msg("%s: of %s, expected %s", file, r->program, program);
    if (strcmp(described(&a, r), text)) fail_msg("%s:\n got  %s\n want %s", file, described(&a, r), text);
    arena_free(&a);
}

static void test_infotext(void **state) {
    (void)state;
    static const char text[] =
        "steps=20|guidance=7.5|seed=18446744073709551615|width=512|height=768|clip-skip=1|scheduler=DPM++ 2M,karras|rng=cpu|"
        "negative=ugly,\nblurry|prompt=a cat, (red:1.2)\non two lines|prompt-syntax=a1111| - Model hash=6ce0161689|Model=v1-5-pruned|VAE=a, b: \"c\".pt|"
        "Denoising strength=0.6|ENSD=31337|";
    static const char old[] = "steps=30|guidance=7|seed=5|rng=cuda|prompt=a cat| - Size=516|Model=x|sampler=DPM++ SDE|";
    expect("a1111.png", "AUTOMATIC1111 v1.10.1", text);
    expect("a1111.jpg", "AUTOMATIC1111 v1.10.1", text);
    expect("a1111.webp", "AUTOMATIC1111 v1.10.1", text);
    expect("a1111-old.png", "AUTOMATIC1111", old);
    expect("packed.png", "AUTOMATIC1111", old);
    expect("little.jpg", "AUTOMATIC1111", "steps=4|seed=1|width=64|height=64|rng=cuda|prompt=a cat \xf0\x9f\x90\xb1| - ");
    expect(
        "sdcpp.png", "sd.cpp",
        "steps=20|guidance=7.000000|seed=42|width=512|height=512|scheduler=euler_a|rng=cuda|prompt=un phare \xe2\x80\x94 \xe7\x81\xaf\xe5\x8f\xb0| - "
        "Skip layers=[7|Guidance=3.500000|Eta=0.000000|Model=sd.gguf|Schedule type=discrete|");
}

/* described of a PNG with that text; in `hostile` */
static const char *described_comment(const char *keyword, const char *text) {
    struct buffer b = png_begin(), body = {.arena = &hostile};
    buffer_add(&body, keyword, strlen(keyword) + 1);
    buffer_add(&body, text, strlen(text));
    add_chunk(&b, "tEXt", body.data, body.length);
    add_chunk(&b, "IEND", "", 0);
    return described(&hostile, recorded_parse(&hostile, image_comments_read(&hostile, b.data, b.length, "x"), "x"));
}

static const char *described_text(const char *text) {
    return described_comment("parameters", text);
}

/* What the line of pairs says how prompts are to be read, and of files that are named nowhere else. */
static void test_syntax(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a (red:1.2)\nSteps: 3, Seed: 1, Prompt syntax: a1111, Version: diffuse 9", "prompt-syntax=a1111| - "},
        {"a red++\nSteps: 3, Seed: 1, Prompt syntax: compel, Version: diffuse 9", "prompt-syntax=compel| - "},
        {"a (red:1.2)\nSteps: 3, Seed: 1, Version: diffuse 9", "prompt=a (red:1.2)| - "},
        {"a fox\nSteps: 3, Seed: 1, Size: 8x8", "prompt=a fox| - "},
        {"a fox\nSteps: 3, Seed: 1, Clip skip: 2", "prompt-syntax=a1111| - "},
        {"a fox\nSteps: 3, Seed: 1, Clip skip: 1", "prompt=a fox| - "},
        {"a fox\nSteps: 3, Seed: 1, Lora hashes: \"x: 1a2b, y: 3c\", TI hashes: \"t: 4d\"",
         "prompt=a fox| - Lora hashes=x: 1a2b, y: 3c|TI hashes=t: 4d|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = described_text(rows[i].text);
        size_t n = strlen(got), m = strlen(rows[i].want);
        if (n < m || strcmp(got + n - m, rows[i].want)) fail_msg("row %zu: %s", i, got);
        arena_free(&hostile);
    }
}

/* Lines as people and other programs mend them. */
static void test_pairs(void **state) {
    (void)state;
#define LINE "Steps: 3, Seed: 1, Size: 8x16"
#define TAKEN "steps=3|seed=1|width=8|height=16|"
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"Negative prompt: bad\n" LINE, TAKEN "rng=cuda|negative=bad|prompt=| - "},
        {"a fox\n" LINE " \r\n \n", TAKEN "rng=cuda|prompt=a fox| - "},
        {LINE, TAKEN "rng=cuda|prompt=| - "},
        {"a fox\nSteps: 3, Seed: 1, Size: x16", "steps=3|seed=1|rng=cuda|prompt=a fox| - Size=x16|"},
        {"a fox\nSteps: 3, Seed: 1, Size: 8", "steps=3|seed=1|rng=cuda|prompt=a fox| - Size=8|"},
        {"a fox\n" LINE ", Clip skip: two", TAKEN "rng=cuda|prompt=a fox| - Clip skip=two|"},
        {"a fox\n" LINE ", Clip skip: 2000", TAKEN "rng=cuda|prompt=a fox| - Clip skip=2000|"},
        {"a fox\n" LINE ", RNG: NV", TAKEN "rng=cuda|prompt=a fox| - "},
        {"a fox\n" LINE ", RNG: dice", TAKEN "prompt=a fox| - RNG=dice|"},
        {"a fox\n" LINE ", VAE: \"a\\\"b, c\"", TAKEN "rng=cuda|prompt=a fox| - VAE=a\"b, c|"},
        {"a fox\n" LINE ", VAE: \"a, b: c", TAKEN "rng=cuda|prompt=a fox| - VAE=\"a, b: c|"},
        {"a fox\n" LINE ", VAE: \"a\"b, Hires: 2", TAKEN "rng=cuda|prompt=a fox| - VAE=\"a\"b|Hires=2|"},
        {"a fox\n" LINE ", a: 3, Hires: 2", TAKEN "rng=cuda|prompt=a fox| - Hires=2|"},
        {"a fox\n" LINE ", list, of, words", TAKEN "rng=cuda|prompt=a fox| - "},
        {"a fox\n" LINE ", Sampler: Nobody, Schedule type: Karras", TAKEN "rng=cuda|prompt=a fox| - sampler=Nobody|"},
        {"a fox\n" LINE ", Sampler: Euler, Schedule type: Nobody", TAKEN "scheduler=Euler|rng=cuda|prompt=a fox| - Schedule type=Nobody|"},
        {"a fox\n" LINE ", Sampler: Euler, Schedule type: Heun", TAKEN "scheduler=Euler|rng=cuda|prompt=a fox| - Schedule type=Heun|"},
        {"a fox\n" LINE ", Sampler: Euler, Schedule type: Automatic", TAKEN "scheduler=Euler|rng=cuda|prompt=a fox| - "},
        {"a fox\n" LINE ", Sampler: Euler a, Schedule type: Karras",
         TAKEN "scheduler=Euler a|rng=cuda|prompt=a fox| - Schedule type=Karras|"},
        {"a fox\n" LINE ", Sampler: Euler a, Schedule type: Exponential",
         TAKEN "scheduler=Euler a|rng=cuda|prompt=a fox| - Schedule type=Exponential|"},
        {"a fox\n" LINE ", Sampler: Euler a Karras", TAKEN "scheduler=Euler a|rng=cuda|prompt=a fox| - Schedule type=Karras|"},
        {"a fox\n" LINE ", Sampler: DDIM, Schedule type: Karras", TAKEN "scheduler=DDIM|rng=cuda|prompt=a fox| - Schedule type=Karras|"},
        {"a fox\n" LINE ", Sampler: LCM, Schedule type: Karras", TAKEN "scheduler=LCM|rng=cuda|prompt=a fox| - Schedule type=Karras|"},
        {"a fox\n" LINE ", Sampler: PLMS, Schedule type: Beta", TAKEN "scheduler=PLMS|rng=cuda|prompt=a fox| - Schedule type=Beta|"},
        {"a fox\n" LINE ", Sampler: DPM2 a, Schedule type: Karras", TAKEN "scheduler=DPM2 a,karras|rng=cuda|prompt=a fox| - "},
        {"a fox\n" LINE ", Sampler: DPM++ 3M SDE Exponential",
         TAKEN "scheduler=dpm++2m,algorithm_type=sde-dpmsolver++,solver_order=3,exponential|rng=cuda|prompt=a fox| - "},
        {"a fox\n" LINE ", Sampler: Karras", TAKEN "rng=cuda|prompt=a fox| - sampler=Karras|"},
        {"a fox\nNegative prompt: [bad]\n" LINE, TAKEN "rng=cuda|negative=[bad]|prompt=a fox|prompt-syntax=a1111| - "},
        {"a BREAK b\n" LINE, TAKEN "rng=cuda|prompt=a BREAK b|prompt-syntax=a1111| - "},
        {"a fox on a hill that is far away in a land of snow, of ice, of wind, and of ho\n" LINE,
         TAKEN "rng=cuda|prompt=a fox on a hill that is far away in a land of snow, of ice, of wind, and of ho|prompt-syntax=a1111| - "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = described_text(rows[i].text);
        if (strcmp(got, rows[i].want)) fail_msg("row %zu:\n got  %s\n want %s", i, got, rows[i].want);
        arena_free(&hostile);
    }
}

/* Noise levels that diffusers' scheduler of the sampler does not have, as the others write them. */
static void test_levels_without_scheduler(void **state) {
    (void)state;
#define GRAPH(sampler, levels) \
    "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"sampler_name\":\"" sampler "\",\"scheduler\":\"" levels "\"}}}"
    static const struct {
        const char *keyword, *text, *taken, *left;
    } rows[] = {
        {"prompt", GRAPH("euler_ancestral", "karras"), "scheduler=euler_ancestral|", "scheduler=karras|"},
        {"prompt", GRAPH("ddim", "exponential"), "scheduler=ddim|", "scheduler=exponential|"},
        {"prompt", GRAPH("heun", "karras"), "scheduler=heun,karras|", NULL},
        {"prompt", GRAPH("euler", "karras,eta=1"), "scheduler=euler|", "scheduler=karras,eta=1|"},
        {"invokeai_metadata", "{\"scheduler\":\"euler_a_k\"}", "scheduler=euler_a|", "scheduler=karras|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = described_comment(rows[i].keyword, rows[i].text), *dash = strstr(got, " - ");
        const char *taken = strstr(got, "scheduler="), *left = strstr(dash, "scheduler=");
        bool right = taken && taken < dash && !strncmp(taken, rows[i].taken, strlen(rows[i].taken)) && !left == !rows[i].left &&
                     (!left || !strncmp(left, rows[i].left, strlen(rows[i].left)));
        if (!right) fail_msg("row %zu: %s", i, got);
        arena_free(&hostile);
    }
}

static void test_json(void **state) {
    (void)state;
    static const char comfy[] = "seed=156680208700286000|steps=25|guidance=8|scheduler=dpmpp_2m,karras|prompt=a galaxy bottle|"
                                "negative=text, watermark|width=512|height=640|rng=cpu| - ckpt_name=v1-5.safetensors|";
    expect("comfy.png", "ComfyUI", comfy);
    expect("comfy.webp", "ComfyUI", comfy);
    expect("comfy-lora.png", "ComfyUI",
           "seed=156680208700286000|steps=25|guidance=8|scheduler=dpmpp_2m|prompt=a galaxy bottle|negative=text, watermark|width=512|"
           "height=640|rng=cpu| - node 10=LoraLoader|scheduler=normal|denoise=0.5|model=LoraLoader|");
    expect("invokeai.png", "InvokeAI 5.6.0",
           "prompt=a dog|negative=|width=512|height=512|seed=1234567890|rng=cpu|guidance=7.5|guidance-rescale=0.2|steps=30|clip-skip=1|"
           "scheduler=euler,karras| - generation_mode=txt2img|model.name=stable-diffusion-v1-5|loras.0.model.name=l|loras.0.weight=0.75|");
    expect("mflux.png", "mflux 0.9.6",
           "seed=42042|steps=14|guidance=3.5|height=1024|width=768|prompt=d\xc3\xa9j\xc3\xa0 vu| - model=dev|base_model=None|"
           "precision=mlx.core.bfloat16|quantize=8|generation_time_seconds=42.0|random numbers=MLX's|");
    expect("own.png", "diffuse 9.8.7",
           "prompt=a fox|seed=18446744073709551615|steps=3|guidance=2.5|guidance-rescale=0|width=64|height=72|scheduler=euler,karras|eta=0|"
           "clip-skip=1|rng=cuda:40|rng-dtype=fp32|strength=0.5|invert-mask=| - image=-|novelty=7|");
}

static void test_facts(void **state) {
    (void)state;
    struct arena a = {0};
    struct recorded *r = recorded_read(&a, DIR "own.png");
    assert_string_equal(recorded_fact(r, "model"), "org/name");
    assert_string_equal(recorded_fact(r, "components.unet"), "00ff");
    assert_null(recorded_fact(r, "isa"));
    struct settings s = settings_defaults(&a);
    s.model = "here";
    s.scheduler = "ddim";
    s.eta = 0.5;
    s.negative = "bad";
    recorded_apply(r, &s);
    assert_true(s.seed_given && s.seed == UINT64_MAX && s.rng == RNG_CUDA && s.rng_gpu.n_sms == 40 && s.invert_mask && s.eta == 0);
    assert_string_equal(s.model, "here");
    assert_string_equal(s.scheduler, "euler,karras");
    assert_null(s.negative);
    arena_free(&a);
}

/* ---- liars ------------------------------------------------------------------------------------------------------- */

/* code 0: taken. */
static void refused(const char *row, const void *data, size_t n, int code, const char *fragment) {
    struct job job;
    error_quiet = 1;
    if (job_enter(&job)) {
        recorded_parse(&hostile, image_comments_read(&hostile, data, n, "x"), "x");
        job_leave(&job);
        if (code) fail_msg("%s: taken, expected '%s'", row, fragment);
    } else if (job.code != code || !strstr(job.message, fragment)) {
        fail_msg("%s: %d %s, expected %d '%s'", row, job.code, job.message, code, fragment);
    }
    error_quiet = 0;
    if (hostile.bytes > 48 << 20) fail_msg("%s: %zu bytes", row, hostile.bytes);
    arena_free(&hostile);
}

static void png_refused(const char *row, struct buffer b, int code, const char *fragment) {
    add_chunk(&b, "IEND", "", 0);
    refused(row, b.data, b.length, code, fragment);
}

static void text_refused(const char *row, const char *keyword, const char *text, int code, const char *fragment) {
    struct buffer b = png_begin(), body = {.arena = &hostile};
    buffer_add(&body, keyword, strlen(keyword) + 1);
    buffer_add(&body, text, strlen(text));
    add_chunk(&b, "tEXt", body.data, body.length);
    png_refused(row, b, code, fragment);
}

static void test_containers(void **state) {
    (void)state;
    struct buffer b = png_begin(), body = {.arena = &hostile};
    refused("nothing", "", 0, FAIL_DATA, "found an empty file");
    refused("a gif", "GIF89a", 6, FAIL_DATA, "found a GIF");
    b = png_begin();
    refused("no end", b.data, b.length, FAIL_DATA, "png: the file ends before its IEND");
    png_refused("no texts", png_begin(), FAIL_DATA, "no settings in it");

    b = png_begin();
    for (int i = 0; i < 65; i++) add_chunk(&b, "tEXt", "a\0b", 3);
    png_refused("65 texts", b, FAIL_DATA, "expected at most 64 texts");

    b = png_begin();
    char *large = arena_alloc(&hostile, (1 << 20) + 3);
    memset(large, 'x', (1 << 20) + 3);
    large[1] = 0;
    add_chunk(&b, "tEXt", large, (1 << 20) + 3);
    png_refused("a large text", b, FAIL_DATA, "text 'x': expected at most 1048576 bytes");

    /* 64 MiB of zeros in 64 KiB */
    b = png_begin();
    body = (struct buffer){.arena = &hostile};
    uLongf packed = compressBound(64 << 20);
    uint8_t *bomb = malloc(packed), *zeros = calloc(64, 1 << 20);
    compress(bomb, &packed, zeros, 64 << 20);
    buffer_add(&body, "parameters\0\0", 12);
    buffer_add(&body, bomb, packed);
    add_chunk(&b, "zTXt", body.data, body.length);
    free(bomb), free(zeros);
    png_refused("a bomb", b, FAIL_DATA, "text 'parameters': expected at most 1048576 bytes");

    b = png_begin();
    add_chunk(&b, "zTXt", "parameters\0\0nonsense", 20);
    png_refused("no zlib", b, FAIL_DATA, "malformed compressed data");
    b = png_begin();
    add_chunk(&b, "tEXt", "parameters\0Steps: 1", 19);
    b.data[b.length - 1] ^= 1;
    png_refused("a CRC", b, FAIL_DATA, "png: tEXt: CRC error");
    b = png_begin();
    add_chunk(&b, "iTXt", "parameters\0\1", 12);
    add_chunk(&b, "iTXt", "parameters\0\0\0en", 15);
    add_chunk(&b, "tEXt", "", 0);
    add_chunk(&b, "zTXt", "a", 2);
    png_refused("chunks that end too soon", b, FAIL_DATA, "no settings in it");

    /* Exif whose values lie outside, and whose directory is itself */
    b = png_begin();
    add_chunk(&b, "eXIf", "MM\0*\0\0\0\x8\0\1\x92\x86\0\7\xff\xff\xff\xff\0\0\0\x8", 22);
    add_chunk(&b, "eXIf", "MM\0*\xff\xff\xff\xff", 8);
    add_chunk(&b, "eXIf", "II*\0\x8\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x8\0\0\0", 22);
    png_refused("exif", b, FAIL_DATA, "no settings in it");

    refused("jpeg, cut",
            "\xff\xd8\xff\xe1\xff\xff"
            "Exif\0\0",
            12, FAIL_DATA, "jpeg: the file ends too soon");
    refused("jpeg, no marker", "\xff\xd8\xff\xe0\0\2\0\0\0\0", 10, FAIL_DATA, "jpeg: expected a marker at byte 6");
    refused("webp", "RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff", 20, FAIL_DATA, "no settings in it");
}

static void test_texts(void **state) {
    (void)state;
    text_refused("json cut", "diffuse", "{\"v\":1,\"prompt\":\"a", FAIL_DATA, "x: diffuse: line 1 column 19: ");
    text_refused("a list", "diffuse", "[1]", FAIL_DATA, "expected an object");
    text_refused("later", "diffuse", "{\"v\":2}", FAIL_UNSUPPORTED, "expected settings of version 1, found 2");
    text_refused("no version", "diffuse", "{}", FAIL_UNSUPPORTED, "found none");
    text_refused("twice", "diffuse", "{\"v\":1,\"v\":1}", FAIL_DATA, "'v' stands twice");
    text_refused("deep", "diffuse", "{\"v\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", FAIL_DATA, "nested too deeply");
    text_refused("a value that is none", "diffuse", "{\"v\":1,\"steps\":-5}", 0, "");
    text_refused("two samplers", "prompt", "{\"1\":{\"class_type\":\"KSampler\"},\"2\":{\"class_type\":\"KSampler\"}}", FAIL_DATA,
                 "2 nodes KSampler, expected one");
    text_refused("a node of its own", "prompt", "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"positive\":[\"1\",0]}}}", 0, "");
    text_refused("a prompt alone", "parameters", "a cat: with, a hat: on", FAIL_DATA, "no settings in it");
    text_refused("open quotes", "parameters", "Steps: 1, Seed: 2, VAE: \"a, b", 0, "");

    struct buffer many = {.arena = &hostile};
    buffer_printf(&many, "{\"v\":[1");
    for (int i = 0; i < 5000; i++) buffer_printf(&many, ",1");
    buffer_printf(&many, "]}");
    text_refused("many values", "diffuse", many.data, FAIL_DATA, "too many values");
    many = (struct buffer){.arena = &hostile};
    buffer_printf(&many, "Steps: 1, Seed: 2");
    for (int i = 0; i < 5000; i++) buffer_printf(&many, ", Key %d: v", i);
    text_refused("many pairs", "parameters", many.data, 0, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infotext), cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_pairs),    cmocka_unit_test(test_json),
        cmocka_unit_test(test_facts),    cmocka_unit_test(test_containers),
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_levels_without_scheduler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
