#include "cli/option_table.h"

#include <string.h>
#include "cli/completion.h"
#include "cli/help.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "schedulers/scheduler.h"

enum { SIZE_UNIT = 8, SIZE_MAX_PX = 8192 };

/* ---- handlers: one for each kind of value ------------------------------------------------------------------------ */

static void *field(struct options *o, const struct option_spec *spec) {
    return (char *)o + spec->field;
}

static void set_text(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a;
    *(const char **)field(o, spec) = value;
}

/* A file or directory: "" is always a mistake (an unset shell variable). */
static void set_path(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    if (!*value) die(FAIL_USAGE, "--%s: expected %s, found an empty string", spec->name, spec->argument);
    set_text(a, o, spec, value);
}

static void set_flag(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)value;
    *(bool *)field(o, spec) = true;
}

/* parse_u64 without its 0x form. */
static bool parse_digits(const char *s, uint64_t *n) {
    return s[strspn(s, "0123456789")] == 0 && parse_u64(s, n);
}

static void set_int(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a;
    uint64_t n;
    if (!parse_digits(value, &n) || (double)n < spec->min || (double)n > spec->max)
        die(FAIL_USAGE, "--%s: expected a whole number from %.0f to %.0f, found '%s'", spec->name, spec->min, spec->max, value);
    *(int *)field(o, spec) = (int)n;
}

static void set_number(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a;
    double x;
    if (!parse_double(value, &x) || !(x >= spec->min && x <= spec->max))
        die(FAIL_USAGE, "--%s: expected a number from %g to %g, found '%s'", spec->name, spec->min, spec->max, value);
    *(double *)field(o, spec) = x;
}

/* The words of a choice as a sentence: "auto, cpu or cuda". */
static const char *word_list(struct arena *a, const char *const *words) {
    const char *text = words[0];
    for (int i = 1; words[i]; i++) text = arena_printf(a, "%s%s%s", text, words[i + 1] ? ", " : " or ", words[i]);
    return text;
}

static int word_index(struct arena *a, const struct option_spec *spec, const char *value) {
    for (int i = 0; spec->words[i]; i++)
        if (!strcmp(value, spec->words[i])) return i;
    const char *near = suggest(value, spec->words);
    const char *hint = near ? arena_printf(a, "did you mean '%s'?", near) : NULL;
    const char *expected = word_list(a, spec->words);
    if (hint) die_hint(FAIL_USAGE, hint, "--%s: expected %s, found '%s'", spec->name, expected, value);
    die(FAIL_USAGE, "--%s: expected %s, found '%s'", spec->name, expected, value);
}

/* The words stand in the order of the enum. */
static void set_enum(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    *(int *)field(o, spec) = word_index(a, spec, value);
}

static void set_word(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    *(const char **)field(o, spec) = spec->words[word_index(a, spec, value)];
}

/* ---- handlers of single options ---------------------------------------------------------------------------------- */

static void set_seed(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a;
    if (!parse_u64(value, &o->seed))
        die_hint(FAIL_USAGE, "leave --seed out for a random one", "--%s: expected a whole number from 0 to %llu, found '%s'", spec->name,
                 (unsigned long long)UINT64_MAX, value);
    o->seed_given = true;
}

static void check_size(struct arena *a, const struct option_spec *spec, const char *value, bool whole, uint64_t n) {
    if (whole && n >= SIZE_UNIT && n <= SIZE_MAX_PX && n % SIZE_UNIT == 0) return;
    const char *near = "";
    if (whole && n < SIZE_UNIT) near = arena_printf(a, "; the nearest is %d", SIZE_UNIT);
    else if (whole && n > SIZE_MAX_PX) near = arena_printf(a, "; the nearest is %d", SIZE_MAX_PX);
    else if (whole) near = arena_printf(a, "; the nearest are %d and %d", (int)(n / 8 * 8), (int)(n / 8 * 8 + 8));
    die(FAIL_USAGE, "--%s: expected a multiple of %d from %d to %d, found '%s'%s", spec->name, SIZE_UNIT, SIZE_UNIT, SIZE_MAX_PX, value,
        near);
}

/* One side, decimal digits only. */
static int parse_side(struct arena *a, const struct option_spec *spec, const char *value) {
    uint64_t n = 0;
    bool whole = parse_digits(value, &n);
    check_size(a, spec, value, whole, n);
    return (int)n;
}

static void set_side(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    *(int *)field(o, spec) = parse_side(a, spec, value);
}

static void set_size(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    size_t n = strcspn(value, "xX");
    if (!value[n]) die(FAIL_USAGE, "--%s: expected WIDTHxHEIGHT, found '%s'", spec->name, value);
    o->width = parse_side(a, spec, arena_printf(a, "%.*s", (int)n, value));
    o->height = parse_side(a, spec, value + n + 1);
}

/* One of the words, or "cuda:N" with N in [min, max], which goes into *number. */
static int parse_indexed(struct arena *a, const struct option_spec *spec, const char *value, int *number) {
    if (strncmp(value, "cuda:", 5)) return word_index(a, spec, value);
    uint64_t n;
    if (!parse_digits(value + 5, &n) || (double)n < spec->min || (double)n > spec->max)
        die(FAIL_USAGE, "--%s: expected cuda:N with N from %.0f to %.0f, found '%s'", spec->name, spec->min, spec->max, value);
    *number = (int)n;
    return word_index(a, spec, "cuda");
}

static void set_rng(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    o->rng = (enum rng_kind)parse_indexed(a, spec, value, &o->rng_sms);
}

static void set_device(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    o->device_index = -1;
    o->device = (enum device_kind)parse_indexed(a, spec, value, &o->device_index);
}

/* NAME, empty for the checkpoint's own, then options after ',' or ':', which the scheduler's config checks. */
static void set_scheduler(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    char *list = arena_strdup(a, value), *name = strsep(&list, ",:");
    if (*name && !scheduler_find(name)) {
        const char *near = scheduler_suggest(name);
        const char *hint = near ? arena_printf(a, "did you mean '%s'?", near) : "'diffuse --list schedulers' shows what there is";
        die_hint(FAIL_USAGE, hint, "--%s: unknown scheduler '%s'", spec->name, name);
    }
    o->scheduler = value;
}

static void set_command(struct options *o, const struct option_spec *spec, enum command command) {
    if (o->command != CMD_GENERATE && o->command != command)
        die(FAIL_USAGE, "--%s: another of --inspect, --tokens, --show-schedule and --list is given too, expected one", spec->name);
    o->command = command;
}

static void set_inspect(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)value;
    set_command(o, spec, CMD_INSPECT);
}

static void set_show_schedule(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)value;
    set_command(o, spec, CMD_SHOW_SCHEDULE);
}

static void set_tokens(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a;
    set_command(o, spec, CMD_TOKENS);
    o->tokens_text = value;
}

static void set_list(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    word_index(a, spec, value);
    set_command(o, spec, CMD_LIST_SCHEDULERS);
}

static void set_force(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)spec, (void)value;
    o->on_exists = EXISTS_OVERWRITE;
}

static void set_no_clobber(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)spec, (void)value;
    o->on_exists = EXISTS_NUMBER;
}

static void count_verbose(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)a, (void)spec, (void)value;
    o->verbose++;
}

/* ---- options that print something and end the program ------------------------------------------------------------ */

static void set_completion(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)o;
    typedef const char *script(struct arena *);
    static script *const scripts[] = {completion_bash, completion_zsh, completion_fish};
    print_and_exit(scripts[word_index(a, spec, value)](a));
}

static void set_help(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)o, (void)spec, (void)value;
    print_and_exit(help_text(a));
}

static void set_version(struct arena *a, struct options *o, const struct option_spec *spec, const char *value) {
    (void)o, (void)spec, (void)value;
    print_and_exit(version_text(a));
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const char *const lists[] = {"schedulers", NULL};
static const char *const dtypes[] = {"auto", "fp32", "fp16", "bf16", NULL};
static const char *const rng_kinds[] = {"cpu", "cuda", NULL};
static const char *const rng_dtypes[] = {"fp32", "fp16", "bf16", NULL};
static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
static const char *const on_exists[] = {"error", "skip", "number", "overwrite", NULL};
static const char *const whens[] = {"auto", "always", "never", NULL};
static const char *const metadata_levels[] = {"full", "minimal", "none", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

_Static_assert(DT_F32 == 0 && DT_F16 == 1 && DT_BF16 == 2, "order of rng_dtypes");
_Static_assert(RNG_CPU == 0 && RNG_CUDA == 1, "order of rng_kinds");
_Static_assert(DEVICE_AUTO == 0 && DEVICE_CPU == 1 && DEVICE_CUDA == 2, "order of devices");
_Static_assert(EXISTS_ERROR == 0 && EXISTS_SKIP == 1 && EXISTS_NUMBER == 2 && EXISTS_OVERWRITE == 3, "order of on_exists");
_Static_assert(WHEN_AUTO == 0 && WHEN_ALWAYS == 1 && WHEN_NEVER == 2, "order of whens");

const char *const option_group_titles[N_GROUPS] = {
    [GROUP_PICTURE] = "Picture",   [GROUP_MODEL] = "Model and device",
    [GROUP_OUTPUT] = "Output",     [GROUP_LOOK] = "Look inside, draw nothing",
    [GROUP_MESSAGES] = "Messages",
};

#define AT(member) .field = offsetof(struct options, member)
#define IN(low, high) .min = (low), .max = (high)

const struct option_spec option_table[] = {
    {'p', "prompt", "TEXT", GROUP_PICTURE, "the prompt, if not an operand; - = standard input", .set = set_text, AT(prompt)},
    {'n', "negative", "TEXT", GROUP_PICTURE, "what to keep away from", .set = set_text, AT(negative)},
    {0, "negative-prompt", "TEXT", GROUP_PICTURE, NULL, .set = set_text, AT(negative)},
    {'s', "seed", "N", GROUP_PICTURE, "image k uses N + k (default random, printed)", .set = set_seed},
    {'c', "count", "N", GROUP_PICTURE, "images to draw (default 1)", .set = set_int, AT(count), IN(1, 1e9)},
    {0, "steps", "N", GROUP_PICTURE, "denoising steps (default from the pipeline)", .set = set_int, AT(steps), IN(1, 1e6)},
    {'g', "guidance", "X", GROUP_PICTURE, "how closely to follow the prompt, 0 to 100", .set = set_number, AT(guidance), IN(0, 100)},
    {0, "cfg-scale", "X", GROUP_PICTURE, NULL, .set = set_number, AT(guidance), IN(0, 100)},
    {0, "guidance-rescale", "X", GROUP_PICTURE, "0 to 1, against over-exposure", .set = set_number, AT(guidance_rescale), IN(0, 1)},
    {'W', "width", "PX", GROUP_PICTURE, "a multiple of 8 (default from the model)", .set = set_side, AT(width)},
    {'H', "height", "PX", GROUP_PICTURE, "the same", .set = set_side, AT(height)},
    {0, "size", "WxH", GROUP_PICTURE, "both at once", .set = set_size},
    {'x', "scheduler", "NAME[,K=V]", GROUP_PICTURE, "K=V changes its config (default from the model)", .set = set_scheduler},
    {0, "eta", "X", GROUP_PICTURE, "0 to 1, the noise DDIM adds in each step", .set = set_number, AT(eta), IN(0, 1)},
    {0, "clip-skip", "N", GROUP_PICTURE, "leave out the last N layers of the text encoder", .set = set_int, AT(clip_skip), IN(0, 1000)},
    {0, "rng", "KIND", GROUP_PICTURE, "noise as torch draws it: cpu, cuda, cuda:N SMs", .set = set_rng, IN(1, 1024), .words = rng_kinds},
    {0, "rng-dtype", "TYPE", GROUP_PICTURE, "and in which type: fp32, fp16, bf16", .set = set_enum, AT(rng_dtype), .words = rng_dtypes},
    {0, "latents", "FILE", GROUP_PICTURE, "take the noise from a safetensors file", .set = set_path, AT(latents)},

    {'m', "model", "DIR", GROUP_MODEL, "or ORG/NAME[@REV] in HF's cache (or DIFFUSE_MODEL)", .set = set_path, AT(model)},
    {0, "variant", "NAME", GROUP_MODEL, "weight files to prefer, such as fp16", .set = set_path, AT(variant)},
    {0, "dtype", "TYPE", GROUP_MODEL, "compute in auto, fp32, fp16, bf16", .set = set_word, AT(dtype), .words = dtypes},
    {0, "vae-dtype", "TYPE", GROUP_MODEL, "the same for the VAE alone, which needs more range", .set = set_word, AT(vae_dtype),
     .words = dtypes},
    {0, "device", "NAME", GROUP_MODEL, "auto, cpu, cuda, cuda:N", .set = set_device, IN(0, 255), .words = devices},
    {0, "threads", "N", GROUP_MODEL, "CPU threads (default one per core)", .set = set_int, AT(threads), IN(1, 1024)},

    {'o', "output", "FILE", GROUP_OUTPUT, "or DIR/ (default diffuse-{seed}.png); - = stdout", .set = set_path, AT(output)},
    {'f', "force", NULL, GROUP_OUTPUT, "replace existing files", .set = set_force},
    {0, "on-exists", "WHAT", GROUP_OUTPUT, "error (default), skip, number, overwrite", .set = set_enum, AT(on_exists), .words = on_exists},
    {0, "no-clobber", NULL, GROUP_OUTPUT, NULL, .set = set_no_clobber},
    {0, "save-every", "N", GROUP_OUTPUT, "also save the picture at every Nth step", .set = set_int, AT(save_every), IN(1, 100000)},
    {0, "metadata", "WHAT", GROUP_OUTPUT, "in the PNG: full (default), minimal, none", .set = set_word, AT(metadata),
     .words = metadata_levels},
    {'j', "json", NULL, GROUP_OUTPUT, "JSON on standard output in place of paths", .set = set_flag, AT(json)},
    {'0', "null", NULL, GROUP_OUTPUT, "end each path with NUL, not newline", .set = set_flag, AT(null_separated)},
    {0, "dump", "DIR", GROUP_OUTPUT, "write every intermediate tensor as safetensors", .set = set_path, AT(dump)},

    {0, "dry-run", NULL, GROUP_LOOK, "check everything, say what would be done", .set = set_flag, AT(dry_run)},
    {0, "bench", "N", GROUP_LOOK, "draw N times after once, report the times; also -j", .set = set_int, AT(bench), IN(1, 1e6)},
    {0, "inspect", NULL, GROUP_LOOK, "the model: components, parameters, memory", .set = set_inspect},
    {0, "tokens", "TEXT", GROUP_LOOK, "how TEXT is tokenized and what is cut off", .set = set_tokens},
    {0, "show-schedule", NULL, GROUP_LOOK, "the rows the scheduler executes; also with -j", .set = set_show_schedule},
    {0, "tsv", NULL, GROUP_LOOK, "the same, tab-separated", .set = set_flag, AT(tsv)},
    {0, "list", "schedulers", GROUP_LOOK, "the schedulers there are", .set = set_list, .words = lists},

    {'q', "quiet", NULL, GROUP_MESSAGES, "errors only", .set = set_flag, AT(quiet)},
    {'v', "verbose", NULL, GROUP_MESSAGES, "timings, memory; more with -vv", .set = count_verbose},
    {0, "strict", NULL, GROUP_MESSAGES, "a prompt that is too long is an error", .set = set_flag, AT(strict)},
    {0, "progress", "WHEN", GROUP_MESSAGES, "auto, always, never", .set = set_enum, AT(progress), .words = whens},
    {0, "color", "WHEN", GROUP_MESSAGES, "auto, always, never", .set = set_enum, AT(color), .words = whens},
    {0, "completion", "SHELL", GROUP_MESSAGES, "print the script for bash, zsh or fish", .set = set_completion, .words = shells},
    {'h', "help", NULL, GROUP_MESSAGES, "this text", .set = set_help},
    {'V', "version", NULL, GROUP_MESSAGES, "of this program and its libraries", .set = set_version},
};

const int n_options = sizeof option_table / sizeof *option_table;
