#include "cli/settings_table.h"
#include "cli/foreign.h"
#include "cli/kinds.h"
#include "cli/list_kinds.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/images/process.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/loras.h"
#include "schedulers/scheduler.h"
#include "tokenizer/prompt_syntax.h"

enum { SIZE_UNIT = 8 };

/* ---- kinds that only settings have ------------------------------------------------------------------------------- */

static void set_seed(const struct given *g) {
    struct settings *s = g->base;
    s->seed_given = strcmp(g->value, "-1") != 0; /* -1: a random one, in many programs */
    if (s->seed_given && !parse_u64(g->value, &s->seed))
        die_hint(FAIL_USAGE, "leave --seed out for a random one", "%s: expected a whole number from 0 to %llu, found '%s'", g->name,
                 (unsigned long long)UINT64_MAX, g->value);
}

static void write_seed(struct json_out *j, const char *key, const struct field *f, const void *base) {
    (void)f;
    json_out_u64(j, key, ((const struct settings *)base)->seed);
}

/* One side, decimal digits only. */
static int parse_side(const struct given *g, const char *value) {
    uint64_t n = 0;
    bool whole = parse_digits(value, &n);
    if (whole && n >= SIZE_UNIT && n <= SIDE_MAX && n % SIZE_UNIT == 0) return (int)n;
    const char *near = "";
    if (whole && n < SIZE_UNIT) near = arena_printf(g->arena, "; the nearest is %d", SIZE_UNIT);
    else if (whole && n > SIDE_MAX) near = arena_printf(g->arena, "; the nearest is %d", SIDE_MAX);
    else if (whole) near = arena_printf(g->arena, "; the nearest are %d and %d", (int)(n / 8 * 8), (int)(n / 8 * 8 + 8));
    die(FAIL_USAGE, "%s: expected a multiple of %d from %d to %d, found '%s'%s", g->name, SIZE_UNIT, SIZE_UNIT, SIDE_MAX, value, near);
}

static void set_side(const struct given *g) {
    *(int *)field_value(g) = parse_side(g, g->value);
}

/* WIDTHxHEIGHT, or one number for a square; blanks may stand around the x, and '*' or a multiplication sign for it. */
static void set_size(const struct given *g) {
    static const char times[] = "\xc3\x97";
    struct settings *s = g->base;
    size_t n = strspn(g->value, "0123456789"), at = n + strspn(g->value + n, " ");
    bool two = strncmp(g->value + at, times, 2) == 0;
    const char *behind = g->value + at + (two ? 2 : 1);
    bool pair = n && (two || (g->value[at] && strchr("xX*", g->value[at])));
    if (!n || (!pair && g->value[n])) die(FAIL_USAGE, "%s: expected WIDTHxHEIGHT, or one number, found '%s'", g->name, g->value);
    int width = parse_side(g, arena_printf(g->arena, "%.*s", (int)n, g->value));
    struct given height = *g;
    height.name = arena_printf(g->arena, "%s: height", g->name);
    s->height = pair ? parse_side(&height, behind + strspn(behind, " ")) : width;
    s->width = width;
}

/* N multiprocessors, of T threads each: N[xT]. */
static bool parse_gpu(struct arena *a, const char *text, struct rng_gpu *gpu) {
    uint64_t n, t = rng_gpu_h100.threads_per_sm;
    size_t length = strcspn(text, "xX");
    if (!parse_digits(arena_printf(a, "%.*s", (int)length, text), &n) || (text[length] && !parse_digits(text + length + 1, &t)))
        return false;
    if (n < 1 || n > 1024 || t < 256 || t > 4096) return false;
    *gpu = (struct rng_gpu){(int)n, (int)t};
    return true;
}

static _Noreturn void die_gpu(const struct given *g) {
    const char *near = rng_gpu_suggest(g->value + strlen("cuda:"));
    if (near) die_hint(FAIL_USAGE, arena_printf(g->arena, "did you mean cuda:%s?", near), "%s: unknown GPU '%s'", g->name, g->value);
    die_hint(FAIL_USAGE, "torch.cuda.get_device_properties(0) says both numbers",
             "%s: expected cuda:N or cuda:NxT, N multiprocessors (1 to 1024) of T threads (256 to 4096), or a GPU's name, found '%s'",
             g->name, g->value);
}

static void set_rng(const struct given *g) {
    struct settings *s = g->base;
    struct given word = *g;
    bool named = !strncmp(g->value, "cuda:", 5);
    struct rng_gpu gpu = named ? rng_gpu_named(g->value + 5) : (struct rng_gpu){0};
    if (named && !gpu.n_sms && !parse_gpu(g->arena, g->value + 5, &gpu)) die_gpu(g);
    if (named) word.value = "cuda";
    s->rng = (enum rng_kind)field_word(&word);
    s->rng_gpu = gpu;
}

/* As it can be given again. */
static const char *rng_text(struct arena *a, const struct settings *s) {
    const struct rng_gpu *gpu = &s->rng_gpu;
    if (s->rng == RNG_CPU || !gpu->n_sms) return s->rng == RNG_CPU ? "cpu" : "cuda";
    if (gpu->threads_per_sm == rng_gpu_h100.threads_per_sm) return arena_printf(a, "cuda:%d", gpu->n_sms);
    return arena_printf(a, "cuda:%dx%d", gpu->n_sms, gpu->threads_per_sm);
}

static void write_rng(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct settings *s = base;
    (void)f;
    json_out_string(j, key, rng_text(j->text.arena, s));
}

static _Noreturn void die_scheduler(const struct given *g, struct scheduler_words w) {
    int n = (int)strcspn(g->value, ",:");
    const char *name = arena_printf(g->arena, "%.*s", n, g->value), *near = w.known ? NULL : scheduler_suggest(name);
    const char *hint = near ? arena_printf(g->arena, "did you mean '%s'?", near) : "'diffuse --list schedulers' shows what there is";
    if (w.known) die_hint(FAIL_USAGE, w.hint ? w.hint : hint, "%s: '%s' is not supported", g->name, name);
    die_hint(FAIL_USAGE, hint, "%s: unknown scheduler '%s'", g->name, name);
}

/* NAME, empty for the checkpoint's own, then options after ',' or ':', which the scheduler's config checks. Elsewhere the noise levels
 * are an option of their own (sd-cli: --sampling-method euler --scheduler karras): such words add to what was given, in either order. */
static void set_scheduler(const struct given *g) {
    struct settings *s = g->base;
    if (!*g->value) die(FAIL_USAGE, "%s: expected %s, found an empty string", g->name, g->field->argument);
    struct scheduler_words w = scheduler_translate(g->arena, g->value);
    if (!w.text) die_scheduler(g, w);
    bool levels_alone = *w.text == ',' && *g->value != ',' && *g->value != ':';
    bool sampler_alone = s->scheduler && *s->scheduler == ',' && !strstr(g->name, "scheduler");
    if (levels_alone && s->scheduler) s->scheduler = arena_printf(g->arena, "%s%s", s->scheduler, w.text);
    else if (sampler_alone) s->scheduler = arena_printf(g->arena, "%s%s", w.text, s->scheduler);
    else s->scheduler = w.text;
}

static void set_vae_dtype(const struct given *g) {
    struct settings *s = g->base;
    const char *word = g->field->words[field_word(g)];
    s->vae_dtype_given = strcmp(word, "auto") != 0;
    s->vae_dtype = dtype_of(word, DT_F32);
}

/* Only where it was given. */
static void write_vae_dtype(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct settings *s = base;
    (void)f;
    if (s->vae_dtype_given) json_out_string(j, key, dtype_word(s->vae_dtype));
}

static void set_mask_crop(const struct given *g) {
    struct settings *s = g->base;
    field_set_int(g);
    s->mask_crop_given = true;
}

static void write_mask_crop(struct json_out *j, const char *key, const struct field *f, const void *base) {
    const struct settings *s = base;
    (void)f;
    if (s->mask_crop_given) json_out_u64(j, key, (uint64_t)s->mask_crop);
}

static void set_resize(const struct given *g) {
    struct settings *s = g->base;
    kind_enum.set(g);
    s->resize_given = true;
}

static void write_where_set(struct json_out *j, const char *key, const struct field *f, const void *base) {
    if (*(const bool *)((const char *)base + f->offset)) json_out_bool(j, key, true);
}

static const struct field_kind kind_seed = {set_seed, write_seed, JSON_COUNT};
static const struct field_kind kind_side = {set_side, field_write_int, JSON_COUNT};
static const struct field_kind kind_size = {set_size, NULL, JSON_COUNT};
static const struct field_kind kind_rng = {set_rng, write_rng, JSON_TEXT};
static const struct field_kind kind_vae_dtype = {set_vae_dtype, write_vae_dtype, JSON_TEXT};
static const struct field_kind kind_mask_crop = {set_mask_crop, write_mask_crop, JSON_COUNT};
static const struct field_kind kind_resize = {set_resize, field_write_enum, JSON_TEXT};
static const struct field_kind kind_off = {field_set_flag, write_where_set, JSON_FLAG}; /* recorded where it was given */
static const struct field_kind kind_scheduler = {set_scheduler, field_write_text, JSON_TEXT};

/* ---- the table --------------------------------------------------------------------------------------------------- */

const char *const dtype_words[] = {"auto", "fp32", "fp16", "bf16", NULL};
static const char *const resize_modes[] = {"stretch", "fill", "crop", "crop-to-multiple", NULL};
_Static_assert(RESIZE_STRETCH == 0 && RESIZE_FILL == 1 && RESIZE_CROP == 2 && RESIZE_CUT == 3, "order of resize_modes");
static const char *const tilings[] = {"auto", "on", "off", NULL};
_Static_assert(TILING_AUTO == 0 && TILING_ON == 1 && TILING_OFF == 2, "order of tilings");
static const char *const preprocess_words[] = {"none", "canny", "depth", NULL}; /* the shells' */
static const char *const rng_kinds[] = {"cpu", "cuda", NULL};

_Static_assert(DT_F32 == 0 && DT_F16 == 1 && DT_BF16 == 2, "order of dtype_words behind auto");
_Static_assert(RNG_CPU == 0 && RNG_CUDA == 1, "order of rng_kinds");

#define AT(member) .offset = offsetof(struct settings, member)
#define IN(low, high) .min = (low), .max = (high)
#define RECORDED .recorded = true
#define RARE .rare = true
#define OF_MODEL .of_model = true

const struct field settings_fields[] = {
    {'p', "prompt", "TEXT", GROUP_PICTURE, "the prompt, if not an operand; - = standard input", &kind_text, AT(prompt), RECORDED},
    {'n', "negative", "TEXT", GROUP_PICTURE, "what to keep away from", &kind_text, AT(negative), RECORDED},
    {0, "prompt2", "TEXT", GROUP_PICTURE, "SDXL: another prompt for the second text encoder", &kind_text_given, AT(prompt2), RARE,
     RECORDED},
    {0, "negative2", "TEXT", GROUP_PICTURE, "SDXL: what to keep away from, for the second text encoder", &kind_text_given, AT(negative2),
     RARE, RECORDED},
    {0, "prompt-syntax", "NAME", GROUP_PICTURE, "how prompts are read: plain, a1111 ((red:1.3), BREAK), compel (red++)", &kind_enum_given,
     AT(prompt_syntax), .preset = "plain", .words = prompt_syntax_names, .completion = COMPLETE_WORDS, RARE, RECORDED},
    {0, "long-prompts", NULL, GROUP_PICTURE, "prompts beyond the model's limit go on in further chunks, cut as A1111 does", &kind_off,
     AT(long_prompts), RARE, RECORDED},
    {'s', "seed", "N", GROUP_PICTURE, "image k uses N + k (default, -1: random, printed)", &kind_seed, AT(seed), RECORDED},
    {'c', "count", "N", GROUP_PICTURE, "images to draw", &kind_int, AT(count), .preset = "1", IN(1, 1e9)},
    {0, "batch-size", "N", GROUP_PICTURE, "how many of them at once, each as it is alone; auto: what is faster", &kind_int_or_auto,
     AT(batch_size), .preset = "auto", IN(1, 64), RARE},
    {0, "steps", "N", GROUP_PICTURE, "denoising steps (default from the model)", &kind_int, AT(steps), IN(1, 1e6), RECORDED},
    {'g', "guidance", "X", GROUP_PICTURE, "how closely to follow the prompt, 0 to 100", &kind_number, AT(guidance), IN(0, 100), RECORDED},
    {0, "guidance-rescale", "X", GROUP_PICTURE, "0 to 1, against over-exposure", &kind_number, AT(guidance_rescale), .preset = "0",
     IN(0, 1), RECORDED},
    {'W', "width", "PX", GROUP_PICTURE, "a multiple of 8 (default from the model)", &kind_side, AT(width), RECORDED},
    {'H', "height", "PX", GROUP_PICTURE, "the same", &kind_side, AT(height), RECORDED},
    {0, "size", "WxH", GROUP_PICTURE, "both at once; one number for a square", &kind_size, .offset = 0},
    {'x', "scheduler", "NAME[,K=V]", GROUP_PICTURE, "K=V changes its config (default from the model)", &kind_scheduler, AT(scheduler),
     .completion = COMPLETE_SCHEDULER, RECORDED},
    {0, "eta", "X", GROUP_PICTURE, "0 to 1, the noise DDIM adds in each step", &kind_number, AT(eta), .preset = "0", IN(0, 1), RECORDED},
    {0, "clip-skip", "N", GROUP_PICTURE, "leave out the last N layers of the text encoder", &kind_int, AT(clip_skip), .preset = "0",
     IN(0, 1000), RECORDED},
    {0, "rng", "KIND", GROUP_PICTURE, "cpu, cuda, cuda:GPU, cuda:N[xT] SMs", &kind_rng, AT(rng), .preset = "cpu", .words = rng_kinds,
     .completion = COMPLETE_WORDS, RECORDED},
    {0, "rng-dtype", "TYPE", GROUP_PICTURE, "of the noise: fp32, fp16, bf16", &kind_enum, AT(rng_dtype), .preset = "fp32",
     .words = dtype_words + 1, .completion = COMPLETE_WORDS, RARE, RECORDED},
    {'i', "image", "FILE", GROUP_PICTURE, "begin from this picture: PNG, JPEG, WebP; - = stdin", &kind_path, AT(image),
     .completion = COMPLETE_FILE, RECORDED, .only_with_image = true},
    {0, "strength", "X", GROUP_PICTURE, "0 to 1, how much goes (default 0.8; masked 1)", &kind_number, AT(strength), IN(0, 1), RECORDED,
     .only_with_image = true},
    {0, "mask", "FILE", GROUP_PICTURE, "paint anew where white (--invert-mask: black)", &kind_path, AT(mask), .completion = COMPLETE_FILE,
     RECORDED, .only_with_image = true},
    {0, "depth", "FILE", GROUP_PICTURE, "its depth, white is near (default estimated)", &kind_path, AT(depth), .completion = COMPLETE_FILE,
     RARE, RECORDED, .only_with_image = true},
    {0, "image-guidance", "X", GROUP_PICTURE, "how closely to follow the picture beside the prompt", &kind_number, AT(image_guidance),
     IN(0, 100), RARE, RECORDED, .only_with_image = true},
    {0, "invert-mask", NULL, GROUP_PICTURE, "paint anew where the mask is black", &kind_flag, AT(invert_mask), RARE, RECORDED,
     .only_with_image = true},
    {0, "mask-blur", "PX", GROUP_PICTURE, "radius of a Gauss filter on the mask", &kind_number, AT(mask_blur), .preset = "0", IN(0, 256),
     RARE, RECORDED, .only_with_image = true},
    {0, "mask-crop", "PX", GROUP_PICTURE, "draw the mask and PX around it alone, and lay that into the picture", &kind_mask_crop,
     AT(mask_crop), IN(0, SIDE_MAX), RARE, RECORDED, .only_with_image = true},
    {0, "resize", "MODE", GROUP_PICTURE, "how image and mask come to the size: stretch, fill, crop, crop-to-multiple", &kind_resize,
     AT(resize), .preset = "stretch", .words = resize_modes, .completion = COMPLETE_WORDS, RARE, RECORDED, .only_with_image = true},
    {0, "original-size", "WxH", GROUP_PICTURE, "SDXL: as of a picture this large before it was scaled (default -W, -H)", &kind_extent,
     AT(original_size), IN(1, 65536), RARE, RECORDED},
    {0, "crop", "X,Y", GROUP_PICTURE, "SDXL: as of a picture cropped there", &kind_place, AT(crop), IN(0, 65536), RARE, RECORDED},
    {0, "target-size", "WxH", GROUP_PICTURE, "SDXL: as of a picture cropped to this (default -W, -H)", &kind_extent, AT(target_size),
     IN(1, 65536), RARE, RECORDED},
    {0, "negative-original-size", "WxH", GROUP_PICTURE, "the same, away from it: with --negative-target-size, or -i", &kind_extent,
     AT(negative_original_size), IN(1, 65536), RARE, RECORDED},
    {0, "negative-crop", "X,Y", GROUP_PICTURE, "the same, with both negative sizes", &kind_place, AT(negative_crop), IN(0, 65536), RARE,
     RECORDED},
    {0, "negative-target-size", "WxH", GROUP_PICTURE, "the same", &kind_extent, AT(negative_target_size), IN(1, 65536), RARE, RECORDED},
    {0, "refiner", "DIR", GROUP_MODEL, "SDXL: draws the last steps (--refine-at 0.8)", &kind_path_given, AT(refiner),
     .completion = COMPLETE_DIR, RARE, RECORDED, OF_MODEL},
    {0, "refine-at", "X", GROUP_MODEL, "where the refiner takes over, 0 to 1 (default 0.8)", &kind_number_given, AT(refine_at), IN(0, 1),
     RARE, RECORDED},
    {0, "aesthetic-score", "X", GROUP_PICTURE, "SDXL's refiner: 0 to 10 (default 6)", &kind_number_given, AT(aesthetic_score), IN(0, 10),
     RARE, RECORDED},
    {0, "negative-aesthetic-score", "X", GROUP_PICTURE, "the same, away from it (default 2.5)", &kind_number_given,
     AT(negative_aesthetic_score), IN(0, 10), RARE, RECORDED},
    {0, "latents", "FILE", GROUP_PICTURE, "take the noise from a safetensors file", &kind_path, AT(latents), .completion = COMPLETE_FILE,
     RECORDED},

    {0, "lora", "FILE[:X]", GROUP_PICTURE, "add a LoRA, X times; may be given again", &kind_lora, AT(loras), .completion = COMPLETE_TENSORS,
     RECORDED},
    {0, "embedding", "FILE[=WORD]", GROUP_PICTURE, "a textual inversion, and the word for it in prompts; may be given again",
     &kind_embedding, AT(embeddings), .completion = COMPLETE_FILE, RARE, RECORDED},
    {0, "lora-dir", "DIR", GROUP_PICTURE, "read <lora:NAME:X> in the prompt as NAME.safetensors in DIR", &kind_path, AT(lora_dir),
     .completion = COMPLETE_DIR, RARE},
    {0, "lora-lenient", NULL, GROUP_PICTURE, "leave out what of a LoRA the model has no place for", &kind_flag, AT(lora_lenient), RARE,
     RECORDED},

    {0, "control", "DIR", GROUP_PICTURE, "a ControlNet, or ORG/NAME cached; may be given again, with the options below", &kind_paths,
     AT(controls), .completion = COMPLETE_DIR, RARE, RECORDED},
    {0, "control-image", "FILE", GROUP_PICTURE, "the picture it is led by", &kind_paths, AT(control_images), .completion = COMPLETE_FILE,
     RARE, RECORDED},
    {0, "control-preprocess", "NAME", GROUP_PICTURE,
     "what is made of that picture before: canny[:LOW,HIGH] (default 100,200), depth[:DIR] (by the checkpoint's DPT, or that one) or none",
     &kind_preprocess, AT(control_preprocess), .words = preprocess_words, .completion = COMPLETE_WORDS, RARE, RECORDED},
    {0, "control-scale", "X", GROUP_PICTURE, "how much it leads (default 1; with -i 0.8, SD with --mask 0.5)", &kind_numbers,
     AT(control_scales), IN(0, 100), RARE, RECORDED},
    {0, "control-start", "X", GROUP_PICTURE, "from which part of the steps on it leads, 0 to 1", &kind_numbers, AT(control_starts),
     IN(0, 1), RARE, RECORDED},
    {0, "control-end", "X", GROUP_PICTURE, "until which part of the steps (default 1)", &kind_numbers, AT(control_ends), IN(0, 1), RARE,
     RECORDED},
    {0, "guess-mode", NULL, GROUP_PICTURE, "ControlNets lead the conditional output alone, where they are sure", &kind_off, AT(guess_mode),
     RARE, RECORDED},

    {'m', "model", "PATH", GROUP_MODEL, "a directory, .safetensors, or ORG/NAME[@REV] cached", &kind_path, AT(model),
     .completion = COMPLETE_MODEL, OF_MODEL},
    {0, "config", "DIR", GROUP_MODEL, "what a .safetensors model is read by, or ORG/NAME", &kind_path, AT(config),
     .completion = COMPLETE_DIR, RARE, RECORDED, OF_MODEL},
    {0, "vae", "PATH", GROUP_MODEL, "the VAE of another file or directory", &kind_path, AT(vae), .completion = COMPLETE_FILE, RARE,
     RECORDED, OF_MODEL},
    {0, "variant", "NAME", GROUP_MODEL, "weight files to prefer, such as fp16", &kind_path, AT(variant), RECORDED, OF_MODEL},
    {0, "vae-dtype", "TYPE", GROUP_MODEL, "the VAE's, which needs more range", &kind_vae_dtype, AT(vae_dtype), .preset = "auto",
     .words = dtype_words, .completion = COMPLETE_WORDS, RECORDED},
    {0, "vae-tiling", "WHEN", GROUP_MODEL, "the VAE in tiles: on, off, auto (default: where it does not fit otherwise)", &kind_enum_given,
     AT(vae_tiling), .words = tilings, .completion = COMPLETE_WORDS, RARE, RECORDED},
    {0, "no-safety-checker", NULL, GROUP_MODEL, "do not black out what the model's own checker flags", &kind_off, AT(no_safety_checker),
     RARE, RECORDED, OF_MODEL},

    {0, "dump", "DIR", GROUP_OUTPUT, "write every intermediate tensor as safetensors", &kind_path, AT(dump), .completion = COMPLETE_DIR},

    {0, "strict", NULL, GROUP_MESSAGES, "a prompt that is too long is an error", &kind_flag, AT(strict)},
};

const int n_settings_fields = sizeof settings_fields / sizeof *settings_fields;

/* ---- defaults, JSON ---------------------------------------------------------------------------------------------- */

struct settings settings_defaults(struct arena *a) {
    struct settings s = {0};
    field_presets(a, settings_fields, n_settings_fields, &s);
    s.resize_given = false;
    return s;
}

static bool is_one_of(const char *key, const char *const *list) {
    for (; list && *list; list++)
        if (!strcmp(key, *list)) return true;
    return false;
}

static _Noreturn void die_unknown_key(struct arena *a, const struct json *o, const char *key) {
    const char **names = arena_array(a, (size_t)n_settings_fields + 1, sizeof *names);
    for (int i = 0; i < n_settings_fields; i++) names[i] = settings_fields[i].name;
    const char *near = suggest(key, names);
    const struct foreign_option *theirs = foreign_option(key, strlen(key));
    if (theirs && theirs->hint) die_hint(FAIL_DATA, theirs->hint, "%s: unknown key \"%s\"", json_place(a, o, key), key);
    if (theirs) die(FAIL_DATA, "%s: \"%s\" is not supported", json_place(a, o, key), key);
    if (near) die_hint(FAIL_DATA, arena_printf(a, "did you mean \"%s\"?", near), "%s: unknown key \"%s\"", json_place(a, o, key), key);
    die(FAIL_DATA, "%s: unknown key \"%s\"", json_place(a, o, key), key);
}

static void take_key(struct arena *a, struct settings *s, const struct json *o, const char *key) {
    const struct field *f = field_known(settings_fields, n_settings_fields, key);
    if (!f) die_unknown_key(a, o, key);
    field_from_json(a, f, s, o, key);
}

/* Under two names one setting would have two values. */
static void check_names(struct arena *a, const struct json *o, int n, const char *const *others) {
    const struct field *f = field_known(settings_fields, n_settings_fields, json_key(o, n));
    for (int i = 0; f && i < n; i++)
        if (!is_one_of(json_key(o, i), others) && field_known(settings_fields, n_settings_fields, json_key(o, i)) == f)
            die(FAIL_DATA, "%s: \"%s\" and \"%s\" are the same setting: expected one of them", json_place(a, o, json_key(o, n)),
                json_key(o, i), json_key(o, n));
}

/* What two keys say has no order. */
static void check_size_keys(struct arena *a, const struct json *o) {
    const char *side = json_is_null(o, "width") ? "height" : "width";
    if (!json_is_null(o, "size") && !json_is_null(o, side))
        die(FAIL_DATA, "%s: size and %s: expected one of them", json_place(a, o, side), side);
}

void settings_from_json(struct arena *a, struct settings *s, const struct json *o, const char *const *others) {
    check_size_keys(a, o);
    for (int i = 0; i < json_n_keys(o); i++)
        if (!is_one_of(json_key(o, i), others)) {
            take_key(a, s, o, json_key(o, i));
            check_names(a, o, i, others);
        }
}

void settings_write(struct json_out *j, const struct settings *s) {
    for (const struct field *f = settings_fields; f < settings_fields + n_settings_fields; f++)
        if (f->recorded && (s->image || !f->only_with_image)) f->kind->write(j, field_key(j->text.arena, f), f, s);
}

/* ---- dtypes ------------------------------------------------------------------------------------------------------ */

const char *dtype_word(enum dtype dtype) {
    return dtype == DT_F16 ? "fp16" : dtype == DT_BF16 ? "bf16" : "fp32";
}

enum dtype dtype_of(const char *word, enum dtype otherwise) {
    return !strcmp(word, "fp32") || !strcmp(word, "bf16x3") ? DT_F32
           : !strcmp(word, "fp16")                          ? DT_F16
           : !strcmp(word, "bf16")                          ? DT_BF16
                                                            : otherwise;
}
