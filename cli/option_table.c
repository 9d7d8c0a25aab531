#include "cli/option_table.h"

#include <limits.h>
#include <string.h>

#include "cli/completion.h"
#include "cli/events.h"
#include "cli/help.h"
#include "cli/man.h"
#include "cli/recorded.h"
#include "cli/settings_table.h"
#include "cli/sweep.h"
#include "engine/base/error.h"
#include "engine/pipelines/stages.h"
#include "schedulers/scheduler.h"

/* ---- handlers of single options ---------------------------------------------------------------------------------- */

/* One of the words, or "cuda:N", whose N goes into *number. */
static int device_word(const struct given *g, int *number) {
    const struct field *f = g->field;
    struct given word = *g;
    uint64_t n;
    if (strncmp(g->value, "cuda:", 5)) return field_word(g);
    if (!parse_digits(g->value + 5, &n) || (double)n < f->min || (double)n > f->max)
        die(FAIL_USAGE, "%s: expected cuda:N with N from %.0f to %.0f, found '%s'", g->name, f->min, f->max, g->value);
    *number = (int)n;
    word.value = "cuda";
    return field_word(&word);
}

static void set_device(const struct given *g) {
    struct options *o = g->base;
    o->device_given = true;
    o->device_index = -1;
    o->device = (enum device_kind)device_word(g, &o->device_index);
}

static void set_command(const struct given *g, enum command command) {
    struct options *o = g->base;
    if (o->command != CMD_GENERATE && o->command != command)
        die(FAIL_USAGE, "%s: another of --inspect, --info, --verify, --tokens, --show-schedule and --list is given too, expected one",
            g->name);
    o->command = command;
}

static void set_inspect(const struct given *g) {
    set_command(g, CMD_INSPECT);
}

static void set_show_schedule(const struct given *g) {
    set_command(g, CMD_SHOW_SCHEDULE);
}

static void set_info(const struct given *g) {
    set_command(g, CMD_INFO);
}

static void set_verify(const struct given *g) {
    set_command(g, CMD_VERIFY);
}

/* Every setting that pictures record becomes the picture's: what was said before of one, too. */
static void set_from(const struct given *g) {
    struct options *o = g->base;
    if (!*g->value) die(FAIL_USAGE, "%s: expected a picture, found an empty string", g->name);
    if (!strcmp(g->value, "-")) die(FAIL_USAGE, "%s: expected a file, found -", g->name);
    struct recorded *r = recorded_read(g->arena, g->value);
    recorded_apply(r, &o->settings);
    o->elsewhere_width = o->settings.width;
    o->elsewhere_height = o->settings.height;
    o->from = r;
    options_take_dtype(o, recorded_fact(r, "dtype"));
}

static void set_sweep(const struct given *g) {
    struct options *o = g->base;
    if (!o->sweep) o->sweep = arena_alloc(g->arena, sizeof *o->sweep);
    sweep_add(g->arena, o->sweep, g->name, g->value);
}

/* Given twice, the later one holds. */
static void set_progress_fd(const struct given *g) {
    uint64_t fd;
    if (!parse_digits(g->value, &fd) || fd > INT_MAX || !events_to((int)fd))
        die_hint(FAIL_USAGE, "3>FILE opens 3", "%s: expected a descriptor above 1 that is open for writing, found '%s'", g->name, g->value);
}

static void set_tokens(const struct given *g) {
    set_command(g, CMD_TOKENS);
    ((struct options *)g->base)->tokens_text = g->value;
}

static void set_list(const struct given *g) {
    static const char one[] = "schedulers=";
    if (strncmp(g->value, one, sizeof one - 1)) {
        set_command(g, field_word(g) ? CMD_LIST_MODELS : CMD_LIST_SCHEDULERS);
        return;
    }
    set_command(g, CMD_LIST_SCHEDULERS);
    const char *name = g->value + sizeof one - 1;
    struct scheduler_words w = scheduler_translate(g->arena, name);
    const struct scheduler *s = w.text ? sched_choice_parse(g->arena, w.text).target : NULL;
    if (!s) die_hint(FAIL_USAGE, "--list schedulers", "%s: unknown scheduler '%s'", g->name, name);
    ((struct options *)g->base)->listed = s;
}

static void take_on_exists(const struct given *g, enum on_exists what) {
    struct options *o = g->base;
    if (o->exists_option && o->on_exists != what)
        o->exists_note = arena_printf(g->arena, "%s: given after %s, and holds", g->name, o->exists_option);
    o->on_exists = what;
    o->exists_option = g->name;
}

static void set_force(const struct given *g) {
    take_on_exists(g, EXISTS_OVERWRITE);
}

static void set_on_exists(const struct given *g) {
    take_on_exists(g, (enum on_exists)field_word(g));
}

static void set_shard(const struct given *g) {
    ((struct options *)g->base)->shard = shard_parse(g->arena, g->name, g->value);
}

static void set_no_clobber(const struct given *g) {
    take_on_exists(g, EXISTS_NUMBER);
}

static void count_verbose(const struct given *g) {
    ((struct options *)g->base)->verbose++;
}

/* ---- options that print something and end the program ------------------------------------------------------------ */

static void set_completion(const struct given *g) {
    typedef const char *script(struct arena *);
    static script *const scripts[] = {completion_bash, completion_zsh, completion_fish};
    print_and_exit(scripts[field_word(g)](g->arena));
}

static void set_help(const struct given *g) {
    print_and_exit(help_text(g->arena));
}

static void set_man(const struct given *g) {
    print_and_exit(man_page(g->arena));
}

static void set_version(const struct given *g) {
    print_and_exit(version_text(g->arena));
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct field_kind kind_device = {.set = set_device};
static const struct field_kind kind_info = {.set = set_info}, kind_verify = {.set = set_verify}, kind_from = {.set = set_from};
static const struct field_kind kind_inspect = {.set = set_inspect}, kind_show_schedule = {.set = set_show_schedule};
static const struct field_kind kind_tokens = {.set = set_tokens}, kind_list = {.set = set_list};
static const struct field_kind kind_force = {.set = set_force}, kind_no_clobber = {.set = set_no_clobber};
static const struct field_kind kind_on_exists = {.set = set_on_exists, .json = JSON_TEXT};
static const struct field_kind kind_sweep = {.set = set_sweep};
static const struct field_kind kind_progress_fd = {.set = set_progress_fd};
static const struct field_kind kind_shard = {.set = set_shard};
static const struct field_kind kind_verbose = {.set = count_verbose}, kind_completion = {.set = set_completion};
static const struct field_kind kind_help = {.set = set_help}, kind_version = {.set = set_version}, kind_man = {.set = set_man};

static const char *const lists[] = {"schedulers", "models", NULL};
static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
static const char *const on_exists[] = {"error", "skip", "number", "overwrite", NULL};
static const char *const archives[] = {"none", "tar", NULL};
static const char *const offloads[] = {"auto", "none", "stage", NULL};
static const char *const halts[] = {"never", "soon", "now", NULL};
static const char *const whens[] = {"auto", "always", "never", NULL};
static const char *const metadata_levels[] = {"full", "minimal", "none", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

_Static_assert(DEVICE_AUTO == 0 && DEVICE_CPU == 1 && DEVICE_CUDA == 2, "order of devices");
_Static_assert(EXISTS_ERROR == 0 && EXISTS_SKIP == 1 && EXISTS_NUMBER == 2 && EXISTS_OVERWRITE == 3, "order of on_exists");
_Static_assert(ARCHIVE_NONE == 0 && ARCHIVE_TAR == 1, "order of archives");
_Static_assert(OFFLOAD_AUTO == 0 && OFFLOAD_NONE == 1 && OFFLOAD_STAGE == 2, "order of offloads");
_Static_assert(HALT_NEVER == 0 && HALT_SOON == 1 && HALT_NOW == 2, "order of halts");
_Static_assert(WHEN_AUTO == 0 && WHEN_ALWAYS == 1 && WHEN_NEVER == 2, "order of whens");

const char *const field_group_titles[N_GROUPS] = {
    [GROUP_PICTURE] = "Picture",   [GROUP_MODEL] = "Model and device",
    [GROUP_OUTPUT] = "Output",     [GROUP_LOOK] = "Look inside, draw nothing",
    [GROUP_MESSAGES] = "Messages",
};

#define AT(member) .offset = offsetof(struct options, member)
#define NO_PLACE .offset = 0 /* the kind knows where it goes */
#define IN(low, high) .min = (low), .max = (high)
#define RARE .rare = true
#define OF_JOB .of_job = true
#define ONE_OF(list) .words = (list), .completion = COMPLETE_WORDS

const char *const compute_words[] = {"auto", "fp32", "fp16", "bf16", "bf16x3", NULL};

static const struct field option_fields[] = {
    {0, "dtype", "TYPE", GROUP_MODEL, "auto, fp32, fp16, bf16, bf16x3", &kind_word, AT(dtype), .preset = "auto", ONE_OF(compute_words)},
    {0, "device", "NAME", GROUP_MODEL, "auto, cpu, cuda, cuda:N", &kind_device, AT(device), .preset = "auto", IN(0, 255), ONE_OF(devices)},
    {0, "threads", "N", GROUP_MODEL, "CPU threads (default one per core)", &kind_int, AT(threads), IN(1, 1024)},

    {0, "offload", "WHEN", GROUP_MODEL, "a part of the model in memory at a time: stage, none, auto (where all do not fit)", &kind_enum,
     AT(offload), .preset = "auto", ONE_OF(offloads), RARE},

    {0, "from", "PICTURE", GROUP_MODEL, "take its settings; see --info, --verify", &kind_from, NO_PLACE, .completion = COMPLETE_FILE},

    {'o', "output", "FILE", GROUP_OUTPUT, "or DIR/; .png, .jpg, .webp (diffuse-{seed}.png)", &kind_path, AT(output),
     .completion = COMPLETE_FILE},
    {'b', "batch", "FILE", GROUP_OUTPUT, "a line a job: prompt, JSON; - = stdin (--resume)", &kind_path, AT(batch),
     .completion = COMPLETE_FILE},
    {0, "resume", NULL, GROUP_OUTPUT, "do not draw again what is there of the same request", &kind_flag, AT(resume), RARE},
    {0, "manifest", "FILE", GROUP_OUTPUT, "append a JSON line for each picture of the batch, made or failed", &kind_path, AT(manifest),
     .completion = COMPLETE_FILE, RARE},
    {0, "archive", "tar", GROUP_OUTPUT,
     "with -o -: the batch's pictures as a tar stream, each with its settings as JSON, as WebDataset reads them", &kind_enum, AT(archive),
     ONE_OF(archives), RARE},
    {0, "shard", "I/N", GROUP_OUTPUT, "of the batch's jobs those whose number mod N is I; auto, auto/N: as Slurm, Kubernetes or MPI say",
     &kind_shard, NO_PLACE, RARE},
    {0, "halt", "WHEN", GROUP_OUTPUT, "once a job of the batch failed, end: never, soon (after it), now", &kind_enum, AT(halt),
     .preset = "never", ONE_OF(halts), RARE},
    {0, "sweep", "NAME=V,V", GROUP_OUTPUT, "draw every combination of settings' values, as a batch; --sheet shows them", &kind_sweep,
     NO_PLACE, RARE},
    {0, "sheet", "FILE", GROUP_OUTPUT, "also all pictures of the run, small and labelled, on one", &kind_path, AT(sheet),
     .completion = COMPLETE_FILE, RARE},
    {'f', "force", NULL, GROUP_OUTPUT, "replace existing files", &kind_force, NO_PLACE},
    {0, "on-exists", "WHAT", GROUP_OUTPUT, "error, skip, number, overwrite", &kind_on_exists, NO_PLACE, .preset = "error",
     ONE_OF(on_exists), OF_JOB},
    {0, "no-clobber", NULL, GROUP_OUTPUT, "as --on-exists number", &kind_no_clobber, NO_PLACE, RARE},
    {0, "mkdirs", NULL, GROUP_OUTPUT, "make directories of outputs that are missing", &kind_flag, AT(mkdirs), OF_JOB},
    {0, "save-every", "N", GROUP_OUTPUT, "also save the picture at every Nth step", &kind_int, AT(save_every), IN(1, 100000), OF_JOB},
    {0, "preview", "FILE", GROUP_OUTPUT, "the picture as it is being drawn, anew at each step (at most ten a second), gone at the end",
     &kind_path, AT(preview), .completion = COMPLETE_FILE, RARE},
    {0, "quality", "N", GROUP_OUTPUT, "of .jpg and .webp (default 90); 100: lossless .webp", &kind_int, AT(quality), IN(1, 100), OF_JOB},
    {0, "metadata", "WHAT", GROUP_OUTPUT, "in the picture: full, minimal, none", &kind_word, AT(metadata), .preset = "full",
     ONE_OF(metadata_levels), OF_JOB},
    {'j', "json", NULL, GROUP_OUTPUT, "JSON on standard output in place of paths", &kind_flag, AT(json)},
    {'0', "null", NULL, GROUP_OUTPUT, "end each path with NUL, not newline", &kind_flag, AT(null_separated)},

    {0, "info", NULL, GROUP_LOOK, "print the settings that the pictures named (- = stdin) carry, of this program or another; also -j",
     &kind_info, NO_PLACE, RARE},
    {0, "verify", NULL, GROUP_LOOK, "draw the pictures named (- = stdin) again and say whether they come out the same; also -j",
     &kind_verify, NO_PLACE, RARE},
    {0, "dry-run", NULL, GROUP_LOOK, "check everything, say what would be done", &kind_flag, AT(dry_run)},
    {0, "bench", "N", GROUP_LOOK, "draw N times after once, report the times; also -j", &kind_int, AT(bench), IN(1, 1e6)},
    {0, "inspect", NULL, GROUP_LOOK, "the model: components, parameters, memory", &kind_inspect, NO_PLACE},
    {0, "tokens", "TEXT", GROUP_LOOK, "how TEXT is tokenized and what is cut off", &kind_tokens, NO_PLACE},
    {0, "show-schedule", NULL, GROUP_LOOK, "the rows the scheduler executes; -j, --tsv", &kind_show_schedule, NO_PLACE},
    {0, "tsv", NULL, GROUP_LOOK, "--show-schedule with tabs between the columns", &kind_flag, AT(tsv), .rare = true},
    {0, "list", "WHAT", GROUP_LOOK, "schedulers, schedulers=NAME, models (cached ones)", &kind_list, NO_PLACE, ONE_OF(lists)},

    {'q', "quiet", NULL, GROUP_MESSAGES, "errors only, and what -v says", &kind_flag, AT(quiet)},
    {'v', "verbose", NULL, GROUP_MESSAGES, "timings, memory; more with -vv", &kind_verbose, NO_PLACE},
    {0, "progress", "WHEN", GROUP_MESSAGES, "auto, always, never", &kind_enum, AT(progress), .preset = "auto", ONE_OF(whens)},
    {0, "progress-fd", "N", GROUP_MESSAGES, "what -j prints goes to this descriptor, 2 or more, as JSON lines", &kind_progress_fd, NO_PLACE,
     RARE},
    {0, "color", "WHEN", GROUP_MESSAGES, "auto, always, never", &kind_enum, AT(color), .preset = "auto", ONE_OF(whens)},
    {0, "completion", "SHELL", GROUP_MESSAGES, "print the script for bash, zsh or fish", &kind_completion, NO_PLACE, ONE_OF(shells)},
    {0, "man", NULL, GROUP_MESSAGES, "print the man page", &kind_man, NO_PLACE},
    {'h', "help", NULL, GROUP_MESSAGES, "this text", &kind_help, NO_PLACE},
    {'V', "version", NULL, GROUP_MESSAGES, "of this program and its libraries", &kind_version, NO_PLACE},
};

static const int n_option_fields = sizeof option_fields / sizeof *option_fields;

int option_count(void) {
    return n_settings_fields + n_option_fields;
}

const struct field *option_row(int i) {
    return i < n_settings_fields ? &settings_fields[i] : &option_fields[i - n_settings_fields];
}

void *option_base(struct options *o, int i) {
    return i < n_settings_fields ? (void *)&o->settings : (void *)o;
}

struct options options_defaults(struct arena *a) {
    struct options o = {.device_index = -1, .settings = settings_defaults(a)};
    field_presets(a, option_fields, n_option_fields, &o);
    o.given = arena_array(a, (size_t)option_count(), sizeof *o.given);
    o.settled = arena_array(a, (size_t)option_count(), sizeof *o.settled);
    o.device_given = false;
    o.exists_option = NULL;
    return o;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* What is no setting; false: it is none of the options. */
static bool take_key(struct arena *a, struct options *o, const struct json *object, const char *key) {
    bool setting = field_find(settings_fields, n_settings_fields, key) != NULL;
    const struct field *f = setting ? NULL : field_known(option_fields, n_option_fields, key);
    if (!f) return false;
    if (!strcmp(f->name, "output"))
        die_hint(FAIL_DATA, "did you mean \"output\"?", "%s: unknown key \"%s\"", json_place(a, object, key), key);
    const char *instead = f->kind == &kind_force ? "overwrite" : f->kind == &kind_no_clobber ? "number" : NULL;
    if (instead) die(FAIL_DATA, "%s: \"%s\" is an option alone: expected \"on-exists\":\"%s\"", json_place(a, object, key), key, instead);
    if (!f->of_job)
        die(FAIL_DATA, "%s: \"%s\" is the whole run's: expected --%s on the command line", json_place(a, object, key), key, f->name);
    field_from_json(a, f, o, object, key);
    return true;
}

void options_from_json(struct arena *a, struct options *o, const struct json *object) {
    static const char *const others[] = {"id", "output"};
    enum { N_OTHERS = sizeof others / sizeof *others };
    int n = N_OTHERS;
    o->exists_option = NULL; /* the line's wins */
    const char **taken = arena_array(a, (size_t)json_n_keys(object) + N_OTHERS + 1, sizeof *taken);
    memcpy(taken, others, sizeof others);
    for (int i = 0; i < json_n_keys(object); i++) {
        const char *key = json_key(object, i);
        bool other = !strcmp(key, others[0]) || !strcmp(key, others[1]);
        if (!other && take_key(a, o, object, key)) taken[n++] = key;
    }
    settings_from_json(a, &o->settings, object, taken);
}
