#include "cli/outputs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/archive.h"
#include "cli/outdir.h"
#include "cli/paths.h"
#include "cli/recorded.h"
#include "cli/resume.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

static _Noreturn void die_there(const char *path, const char *what) {
    die_hint(FAIL_CREATE, "-f replaces it, --on-exists skip leaves it", "%s: the file exists, %s", path, what);
}

void output_die_other(const char *path) {
    die_there(path, resume_words(RESUME_OTHER));
}

bool output_stays(struct arena *a, const struct run *run, int k, const char *path) {
    const struct options *o = run->options;
    enum resume found = o->resume ? resume_look(a, o, run->request, k, path, NULL) : RESUME_ABSENT;
    const char *differs = resume_words(found);
    if (found == RESUME_SAME) return true;
    if (differs && o->on_exists == EXISTS_ERROR) die_there(path, differs);
    return !publish_check(path, o->on_exists);
}

const char *output_dump(struct arena *a, const struct options *o) {
    const char *dir = o->settings.dump;
    size_t n = dir ? strlen(dir) : 0;
    while (n > 1 && dir[n - 1] == '/') n--;
    return dir ? arena_printf(a, "%.*s", (int)n, dir) : NULL;
}

/* A shorter run would leave some of an older one's steps. */
static void check_dump(struct arena *a, const struct request *r, const struct options *o, int k) {
    const char *dir = request_dump_dir(r, a, k), *all = output_dump(a, o);
    bool there = file_exists(arena_printf(a, "%s/noise.safetensors", dir)) || file_exists(arena_printf(a, "%s/step-0000.safetensors", dir));
    if (there && o->on_exists != EXISTS_OVERWRITE && !o->resume) die_hint(FAIL_CREATE, "-f replaces it", "--dump: %s: holds a dump", dir);
    if (!outdir_prepare(all, o->mkdirs, o->dry_run)) return;
    if (name_exists(dir)) publish_check(arena_printf(a, "%s/noise.safetensors", dir), EXISTS_OVERWRITE);
    else publish_check(name_exists(all) ? dir : all, EXISTS_ERROR); /* it is to be made */
}

void output_check_name(const struct options *o, const char *path) {
    const struct {
        const char *option, *path;
    } taken[] = {{"--manifest", o->manifest}, {"--sheet", o->sheet}, {"--preview", o->preview}, {"--dump", o->settings.dump}};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (taken[i].path && outdir_same(path, taken[i].path)) die(FAIL_USAGE, "%s: %s has this name, too", path, taken[i].option);
}

static void check_input(const struct options *o, const char *path) {
    struct stat st, preview;
    if (!path) return;
    bool linked = stat(path, &st) == 0 && stat(o->preview, &preview) == 0 && same_file(&st, &preview);
    if (linked || outdir_same(path, o->preview)) die(FAIL_USAGE, "%s: --preview has this name, too", path);
}

void output_check_inputs(const struct options *o) {
    const struct settings *s = &o->settings;
    if (!o->preview) return;
    const char *const paths[] = {s->image, s->mask, s->depth, s->latents, o->batch, o->from ? o->from->path : NULL};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) check_input(o, paths[i]);
    for (int i = 0; i < s->control_images.n; i++) check_input(o, s->control_images.items[i]);
    for (int i = 0; i < s->loras.n; i++) check_input(o, s->loras.items[i].path);
    for (int i = 0; i < s->embeddings.n; i++) check_input(o, s->embeddings.items[i].path);
}

bool check_outputs(struct arena *a, const struct run *run) {
    enum { CHECKED_MAX = 10000 };
    const struct request *r = run->request;
    const struct options *o = run->options;
    bool missing = o->settings.count > CHECKED_MAX;
    output_check_inputs(o);
    for (int k = 0; r->settings.dump && k < o->settings.count && k < CHECKED_MAX; k++) check_dump(a, r, o, k);
    if (!strcmp(o->output, "-") || o->archive) return true;
    for (int k = 0; k < o->settings.count && k < CHECKED_MAX; k++) {
        const char *path = path_of_image(a, r, o, k, -1);
        output_check_name(o, path);
        if (!outdir_prepare(path, o->mkdirs, o->dry_run)) {
            missing = true;
            continue;
        }
        bool there = output_stays(a, run, k, path);
        missing |= !there;
        for (int step = o->save_every; o->save_every && !there && step < request_rows(r); step += o->save_every) {
            const char *snapshot = path_of_image(a, r, o, k, step);
            output_check_name(o, snapshot);
            output_check_own(a, run, snapshot);
            publish_check(snapshot, o->on_exists);
        }
    }
    return missing;
}

/* With -f, two jobs of one name: a file's own number tells, however its path is written. */
static const char *identity(struct arena *a, const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 ? arena_printf(a, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino) : NULL;
}

static _Noreturn void die_own(const char *path, uint64_t line) {
    die(FAIL_CREATE, "%s: line %llu made it: expected another \"id\" or \"output\"", path, (unsigned long long)line);
}

void output_check_entry(const struct run *run, const char *name) {
    archive_check_name(name);
    uint64_t line = names_add(run->written, name, run->line);
    if (line) die_own(name, line);
}

void output_check_own(struct arena *a, const struct run *run, const char *path) {
    const char *id = run->written ? identity(a, path) : NULL;
    uint64_t line = id ? names_find(run->written, id) : 0;
    if (line && run->options->on_exists == EXISTS_OVERWRITE) die_own(path, line);
}

void output_note_own(struct arena *a, const struct run *run, const char *path) {
    const char *id = run->written && run->options->on_exists == EXISTS_OVERWRITE ? identity(a, path) : NULL;
    if (id) names_add(run->written, id, run->line);
}
