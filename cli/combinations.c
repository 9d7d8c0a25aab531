#include "cli/combinations.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/settings_table.h"
#include "cli/sweep.h"
#include "cli/template.h"
#include "engine/base/error.h"
#include "engine/images/write.h"

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
    if (o->quality && image_format_of(o->output) == IMAGE_PNG)
        die(FAIL_USAGE, "--quality: a PNG keeps every pixel; expected -o NAME.jpg or -o NAME.webp");
}

/* It measures one request and writes no file. */
static void check_bench(const struct options *o) {
    const struct settings *s = &o->settings;
    if (!o->bench) return;
    if (o->command != CMD_GENERATE) die(FAIL_USAGE, "--bench: expected a picture to measure, found another command");
    if (o->output) die_pair("--bench", "--output", "no picture is written");
    if (o->save_every) die_pair("--bench", "--save-every", "no picture is written");
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
    if ((o->output && !strcmp(o->output, "-")) != (o->archive != ARCHIVE_NONE))
        die(FAIL_USAGE, "%s: expected a file for each job, or -o - --archive tar, found one of these", name);
}

static void check_sweep(const struct options *o) {
    if (o->sheet && o->command != CMD_GENERATE) die(FAIL_USAGE, "--sheet: expected pictures to draw, found another command");
    if (o->sheet) template_check_name("--sheet", o->sheet);
    if (o->sheet && o->bench) die_pair("--sheet", "--bench", "no picture is written");
    if (o->sheet && o->shard.count) die_pair("--sheet", "--shard", "the other pictures are others'");
    if (o->sheet && o->output && !strcmp(o->output, "-")) die_pair("--sheet", "--output -", "expected a file for each picture");
    if (!o->sweep) return;
    if (o->batch) die_pair("--sweep", "--batch", "expected one of them");
    if (o->settings.count > 1) die_pair("--sweep", "--count", "--sweep seed=1,2,3 draws several");
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
    check_batch(a, o, prompt);
    check_output(a, o);
    if (options_many(o)) return; /* each job's are checked by themselves */
    settings_check(&o->settings);
    const struct settings *s = &o->settings;
    if (s->lora_lenient && !s->loras.n && !s->lora_dir) die_hint(FAIL_USAGE, "--lora FILE", "--lora-lenient: there is no LoRA");
}

/* ---- settings alone ---------------------------------------------------------------------------------------------- */

static void check_directory(const char *option, const char *path) {
    struct stat st;
    if (!path) return;
    if (stat(path, &st) != 0) die(FAIL_INPUT, "%s: %s: %s", option, path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) die(FAIL_INPUT, "%s: %s: expected a directory", option, path);
}

void settings_check(const struct settings *s) {
    if (!isnan(s->refine_at) && !s->refiner) die_hint(FAIL_USAGE, "--refiner DIR", "--refine-at: there is no refiner");
    check_directory("--lora-dir", s->lora_dir);
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

void options_note(struct arena *a, struct options *o, const struct field *f, const char *name) {
    if (!o->of_drawing && draws(f)) o->of_drawing = name;
    if (!o->before_from && is_setting(f) && !survives(f)) o->before_from = name;
    if (strcmp(f->name, "from")) return;
    if (o->before_from) o->from_note = arena_printf(a, "%s has no effect: --from, behind it, takes its place", o->before_from);
    o->before_from = NULL;
}
