#include "cli/combinations.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/option_table.h"
#include "cli/outdir.h"
#include "cli/settings_table.h"
#include "cli/sweep.h"
#include "cli/template.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/write.h"
#include "schedulers/scheduler.h"

static _Noreturn void die_pair(const char *one, const char *other, const char *why) {
    die(FAIL_USAGE, "%s and %s: %s", one, other, why);
}

static void check_output(struct arena *a, struct options *o) {
    struct settings *s = &o->settings;
    if (o->json && o->null_separated) die_pair("--json", "--null", "JSON lines end with a newline");
    if (o->json && o->tsv) die_pair("--json", "--tsv", "expected one of them");
    if (o->tsv && o->command != CMD_SHOW_SCHEDULE) die(FAIL_USAGE, "--tsv: expected --show-schedule with it, found none");
    if (options_many(o)) {
        o->output = template_with_id(a, template_of_jobs(a, o->archive ? NULL : o->output));
        template_resolve(a, o->output, 1);
    } else if (o->output && !strcmp(o->output, "-")) {
        if (s->count > 1) die_pair("--output -", "--count", "expected one image on standard output");
        if (o->save_every) die_pair("--output -", "--save-every", "expected one image on standard output");
        if (o->json) events_enable(false), die_pair("--output -", "--json", "both write to standard output");
        if (o->command == CMD_GENERATE && !o->dry_run && isatty(STDOUT_FILENO))
            die_hint(FAIL_USAGE, "'-o FILE' or '| program'", "--output -: standard output is a terminal, expected a file or a pipe");
    } else {
        o->output = template_resolve(a, o->output, s->count);
        if (template_has_id(o->output)) die(FAIL_USAGE, "--output: {id} is of a job: expected --batch with it, found none");
    }
}

/* It measures one request and writes no file. */
static void check_bench(const struct options *o) {
    const struct settings *s = &o->settings;
    if (!o->bench) return;
    if (o->command != CMD_GENERATE) die(FAIL_USAGE, "--bench: expected a picture to measure, found another command");
    if (o->output) die_pair("--bench", "--output", "no picture is written");
    if (o->save_every) die_pair("--bench", "--save-every", "no picture is written");
    if (o->preview) die_pair("--bench", "--preview", "no picture is written");
    if (s->dump) die_pair("--bench", "--dump", "no tensor is written");
    if (s->count > 1) die_pair("--bench", "--count", "one picture is drawn again and again");
    if (o->dry_run) die_pair("--bench", "--dry-run", "expected one of them");
}

/* Lines or values say what is drawn, each into files of its own. */
static void check_many(const struct options *o) {
    const char *name = o->sweep ? "--sweep" : "--batch";
    if (!options_many(o)) return;
    if (o->command != CMD_GENERATE) die(FAIL_USAGE, "%s: expected pictures to draw, found another command", name);
    if (o->bench) die_pair(name, "--bench", "one request is measured");
    if (o->settings.dump) die_pair(name, "--dump", "jobs would share it; \"dump\" in a line is for that job");
    bool stream = o->output && !strcmp(o->output, "-");
    if (stream && !o->archive) die_hint(FAIL_USAGE, "--archive tar puts them into one", "%s and --output -: each picture is a file", name);
    if (o->archive && !stream)
        die_hint(FAIL_USAGE, "-o - --archive tar >FILE.tar", "--archive: it is written to standard output: expected -o -, found %s%s",
                 o->output ? "-o " : "none", o->output ? o->output : "");
}

static void check_sweep(const struct options *o) {
    if (o->sheet && o->command != CMD_GENERATE) die(FAIL_USAGE, "--sheet: expected pictures to draw, found another command");
    if (o->sheet) template_check_name("--sheet", o->sheet);
    if (o->sheet && !strcmp(o->sheet, "-")) die(FAIL_USAGE, "--sheet: expected a file, found -");
    if (o->manifest && !strcmp(o->manifest, "-"))
        die_hint(FAIL_USAGE, "-j has a line for each picture", "--manifest: expected a file, found -");
    if (o->sheet && o->bench) die_pair("--sheet", "--bench", "no picture is written");
    if (o->sheet && o->shard.count) die_pair("--sheet", "--shard", "the other pictures are others'");
    if (o->sheet && o->output && !strcmp(o->output, "-")) die_pair("--sheet", "--output -", "expected a file for each picture");
    if (!o->sweep) return;
    if (o->batch) die_pair("--sweep", "--batch", "expected one of them");
    if (o->settings.count > 1) die_pair("--sweep", "--count", "--sweep seed=1,2,3 draws several");
}

static void check_preview(const struct options *o) {
    if (!o->preview) return;
    if (o->command != CMD_GENERATE) die(FAIL_USAGE, "--preview: expected pictures to draw, found another command");
    template_check_picture("--preview", o->preview);
    if (o->sheet && outdir_same(o->sheet, o->preview)) die_pair("--preview", "--sheet", "both have this name");
    if (o->manifest && outdir_same(o->manifest, o->preview)) die_pair("--preview", "--manifest", "both have this name");
}

static void check_batch(struct arena *a, const struct options *o, const char *prompt) {
    check_many(o);
    check_sweep(o);
    const char *of_many = o->shard.count ? "--shard" : o->manifest ? "--manifest" : o->halt ? "--halt" : o->archive ? "--archive" : NULL;
    if (of_many && !options_many(o)) die(FAIL_USAGE, "%s: expected --batch with it, found none", of_many);
    if (!o->batch) return;
    if (!o->batch[strspn(o->batch, "0123456789")])
        die_hint(FAIL_USAGE, arena_printf(a, "-c %s draws so many images; ./%s is the file", o->batch, o->batch),
                 "--batch: expected a file of jobs or -, found '%s'", o->batch);
    if (prompt && !strcmp(prompt, "-")) die_pair("--batch", "the prompt -", "the lines are the prompts");
}

void options_check_combinations(struct arena *a, struct options *o, const char *prompt) {
    check_bench(o);
    check_preview(o);
    check_batch(a, o, prompt);
    check_output(a, o);
}

/* ---- one picture ------------------------------------------------------------------------------------------------- */

static void check_directory(const char *option, const char *path) {
    struct stat st;
    if (!path) return;
    if (stat(path, &st) != 0) die(FAIL_INPUT, "%s: %s: %s", option, path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) die(FAIL_INPUT, "%s: %s: expected a directory", option, path);
}

void options_check_text(const char *name, const char *text) {
    size_t bad, n = text ? strlen(text) : 0;
    if (n > TEXT_MAX) die(FAIL_USAGE, "%s: expected at most %d bytes, found more", name, TEXT_MAX);
    if (n && !utf8_valid(text, n, &bad)) die(FAIL_USAGE, "%s: expected UTF-8, found an invalid byte at offset %zu", name, bad);
}

void options_check_picture(const struct options *o) {
    const struct settings *s = &o->settings;
    bool lossy_sheet = o->sheet && image_format_of(o->sheet) != IMAGE_PNG;
    options_check_text("prompt", s->prompt);
    options_check_text("--negative", s->negative);
    options_check_text("--prompt2", s->prompt2);
    options_check_text("--negative2", s->negative2);
    if (s->seed > UINT64_MAX - (uint64_t)(s->count - 1))
        die(FAIL_USAGE, "--seed and --count: the last seed would be beyond %llu", (unsigned long long)UINT64_MAX);
    if (!isnan(s->refine_at) && !s->refiner) die_hint(FAIL_USAGE, "--refiner DIR", "--refine-at: there is no refiner");
    if (s->lora_lenient && !s->loras.n && !s->lora_dir && !options_many(o))
        die_hint(FAIL_USAGE, "--lora FILE", "--lora-lenient: there is no LoRA");
    check_directory("--lora-dir", s->lora_dir);
    if (o->quality && image_format_of(o->output) == IMAGE_PNG && !lossy_sheet)
        die(FAIL_USAGE, "--quality: a PNG keeps every pixel, expected NAME.jpg or NAME.webp, found '%s'", o->output);
}

/* ---- the order --------------------------------------------------------------------------------------------------- */

/* What --from keeps of what was said before it, recorded_apply's. */
static bool survives(const struct field *f) {
    static const char *const kept[] = {"model", "count", "dump", "strict", NULL};
    for (int i = 0; kept[i]; i++)
        if (!strcmp(f->name, kept[i])) return true;
    return false;
}

static bool is_setting(const struct field *f) {
    return f >= settings_fields && f < settings_fields + n_settings_fields;
}

static bool draws(const struct field *f) {
    if (is_setting(f)) return !strcmp(f->name, "count") || !survives(f);
    bool prints = !strcmp(f->name, "json") || !strcmp(f->name, "null");
    return (f->group == GROUP_OUTPUT && !prints) || !strcmp(f->name, "bench") || !strcmp(f->name, "dry-run");
}

/* Do several of it add up, or has it a note of its own? */
static bool adds_up(struct arena *a, const struct options *o, const struct field *f, const char *value) {
    static const char *const own[] = {"width", "height", "size", "on-exists", "sweep", NULL};
    for (int i = 0; own[i]; i++)
        if (!strcmp(f->name, own[i])) return true;
    if (!strcmp(f->name, "scheduler")) return strcmp(scheduler_translate(a, value).text, o->settings.scheduler) != 0;
    return f->kind->json == JSON_LIST || f->kind->json == JSON_NUMBERS;
}

/* Another value was given before, and is not used then. An alias may have one, there to be changed: no prompt, nor a file to begin from,
 * and not behind the prompt. */
static void note_again(struct arena *a, struct options *o, int i, const char *name, const char *value) {
    const struct field *f = option_row(i);
    bool alias = !strcmp(f->name, "model") || !strcmp(f->name, "output");
    bool one = (f->kind == &kind_path && !alias) || !strcmp(f->name, "from") || !strcmp(f->name, "prompt");
    const char *before = one ? o->given[i] : o->settled[i];
    if (!value || !before || !strcmp(before, value) || adds_up(a, o, f, value)) return;
    o->again_note = arena_printf(a, "%s%s%s %s: given after %s, and holds", o->again_note ? o->again_note : "", o->again_note ? "; " : "",
                                 name, value, before);
}

void options_note(struct arena *a, struct options *o, int i, const char *name, const char *value) {
    const struct field *f = option_row(i);
    note_again(a, o, i, name, value);
    if (o->behind_prompt) o->settled[i] = value ? value : "";
    o->behind_prompt |= !strcmp(f->name, "prompt");
    o->given[i] = value ? value : "";
    if (!o->of_drawing && draws(f)) o->of_drawing = name;
    if (!o->before_from && is_setting(f) && !survives(f)) o->before_from = name;
    if (strcmp(f->name, "from")) return;
    if (o->before_from) o->from_note = arena_printf(a, "%s has no effect: --from, behind it, takes its place", o->before_from);
    o->before_from = NULL;
}

/* What each of them looks at besides model and device, which may stand in an alias. */
static const struct looks {
    enum command command;
    const char *name;
    const char *at[16];
} looks[] = {
    {CMD_LIST_SCHEDULERS, "--list", {NULL}},
    {CMD_LIST_MODELS, "--list", {NULL}},
    {CMD_TOKENS, "--tokens", {"prompt-syntax", "long-prompts", "embedding", "prompt"}},
    {CMD_SHOW_SCHEDULE, "--show-schedule", {"steps", "scheduler", "eta", "strength", "image", "mask", "depth", "size", "width", "height"}},
    {CMD_INSPECT,
     "--inspect",
     {"steps", "scheduler", "guidance", "size", "width", "height", "image", "mask", "depth", "control", "control-image", "lora",
      "embedding", "prompt"}},
};

void options_note_beside(const struct options *o) {
    for (size_t c = 0; c < sizeof looks / sizeof *looks; c++)
        for (int i = 0; looks[c].command == o->command && i < option_count(); i++) {
            const struct field *f = option_row(i);
            bool draws_it = f->group == GROUP_PICTURE || (f->group == GROUP_OUTPUT && strcmp(f->name, "json"));
            for (const char *const *at = looks[c].at; draws_it && *at; at++) draws_it = strcmp(*at, f->name) != 0;
            if (o->given[i] && draws_it) warn("--%s has no effect on %s", f->name, looks[c].name);
        }
}
