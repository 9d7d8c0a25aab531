#include "cli/job.h"

#include <string.h>
#include <unistd.h>
#include "cli/combinations.h"
#include "cli/option_table.h"
#include "cli/outdir.h"
#include "cli/paths.h"
#include "cli/resume.h"
#include "cli/settings_table.h"
#include "cli/template.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/base/text.h"

enum { ID_MAX = 200 };

static void check_id(const char *id) {
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(id);
    if (n && n <= ID_MAX && strspn(id, legal) == n && *id != '.' && *id != '-') return;
    die(FAIL_DATA, "id: expected 1 to %d of A-Z a-z 0-9 . _ - with neither . nor - first, found '%.*s'", ID_MAX, ID_MAX, id);
}

static void check_job(struct arena *a, const struct options *o, const struct settings *given) {
    const struct settings *s = &o->settings;
    for (const struct field *f = settings_fields; f < settings_fields + n_settings_fields; f++)
        if (f->of_model && !field_same(a, f, s, given))
            die(FAIL_USAGE, "\"%s\" is the whole run's: expected --%s on the command line", field_key(a, f), f->name);
    if (s->image && !strcmp(s->image, "-")) die(FAIL_USAGE, "image: expected a file for a job, found -");
    options_check_picture(o);
    check_id(o->id);
    if (o->archive && o->save_every) die(FAIL_USAGE, "save-every and --archive: finished pictures alone go into it");
}

static void take_object(struct arena *a, struct options *o, const char *place, const char *line, size_t n) {
    struct json *object = json_parse_line(a, line, n, place);
    options_from_json(a, o, object);
    o->id = arena_strdup(a, json_string(object, "id", o->id));
    const char *output = json_string(object, "output", NULL);
    if (!output) return;
    if (!*output || !strcmp(output, "-"))
        die(FAIL_USAGE, "%s: output: expected a file, found '%s'", json_place(a, object, "output"), output);
    o->output = template_of_jobs(a, arena_strdup(a, output));
}

/* Behind the character and blanks; NULL where another stands there. */
static const char *behind(const char *text, char c) {
    return text && *text == c ? text + 1 + strspn(text + 1, " \t") : NULL;
}

/* Does an array of objects begin here, of which more lines may come? */
static bool begins_array(const char *text) {
    const char *item = behind(text, '['), *member = behind(item, '{');
    return item && (!*item || (member && (!*member || *member == '"')));
}

/* No prompt begins as an object does, or an array of them; one in braces or brackets may be meant. */
static void take_prompt(struct arena *a, struct options *o, const char *line) {
    const char *text = line + strspn(line, " \t");
    if (begins_array(text))
        die_hint(FAIL_USAGE, "jq -c '.[]' FILE makes JSON Lines of it", "a JSON array: expected JSON Lines, an object a line");
    if (behind(behind(text, '{'), '"')) die(FAIL_DATA, "a JSON object, where the first line is a prompt: expected all lines of one kind");
    o->settings.prompt = arena_strdup(a, line);
}

const struct options *job_read(struct arena *a, const struct options *defaults, const struct lines *l, const char *place, const char *line,
                               size_t n) {
    size_t bad;
    struct options *o = arena_alloc(a, sizeof *o);
    *o = *defaults;
    o->id = arena_printf(a, "%08llu", (unsigned long long)l->number);
    if (!utf8_valid(line, n, &bad)) die(FAIL_DATA, "expected UTF-8, found an invalid byte at column %zu", bad + 1);
    if (strlen(line) < n) die(FAIL_DATA, "expected text, found a NUL byte at column %zu", strlen(line) + 1);
    if (l->format == LINES_JSON) take_object(a, o, place, line, n);
    else take_prompt(a, o, line);
    if (!o->settings.seed_given) o->settings.seed = rng_random_seed();
    o->output = template_resolve(a, o->output, o->settings.count);
    check_job(a, o, &defaults->settings);
    resume_check(o);
    return o;
}

static void check_input(const char *path) {
    uint64_t size;
    if (path) close(open_regular(path, &size));
}

const struct request *job_check(struct arena *a, const struct options *o, struct model *m, bool pixels) {
    const struct settings *s = &o->settings;
    check_input(s->image);
    check_input(s->mask);
    check_input(s->depth);
    check_input(s->latents);
    const char *path = path_before_model(a, o, 0);
    const struct request *r = pixels ? request_open(a, m, s) : NULL;
    if (r) path = path_of_image(a, r, o, 0, -1);
    if (path && !o->archive) outdir_prepare(path, o->mkdirs, true);
    return r;
}
