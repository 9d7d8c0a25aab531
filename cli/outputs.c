#include "cli/outputs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/archive.h"
#include "cli/outdir.h"
#include "cli/paths.h"
#include "cli/resume.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

void output_die_other(const char *path) {
    die_hint(FAIL_CREATE, "-f replaces it, --on-exists skip leaves it", "%s: the file exists, of another request", path);
}

bool output_stays(struct arena *a, const struct run *run, int k, const char *path) {
    const struct options *o = run->options;
    enum resume found = o->resume ? resume_look(a, o, run->request, k, path) : RESUME_ABSENT;
    if (found == RESUME_SAME) return true;
    if (found == RESUME_OTHER && o->on_exists == EXISTS_ERROR) output_die_other(path);
    return !publish_check(path, o->on_exists);
}

/* A shorter run would leave some of an older one's steps. */
static void check_dump(struct arena *a, const struct request *r, const struct options *o, int k) {
    const char *dir = request_dump_dir(r, a, k);
    bool there = file_exists(arena_printf(a, "%s/noise.safetensors", dir)) || file_exists(arena_printf(a, "%s/step-0000.safetensors", dir));
    if (there && o->on_exists != EXISTS_OVERWRITE && !o->resume) die_hint(FAIL_CREATE, "-f replaces it", "--dump: %s: holds a dump", dir);
}

bool check_outputs(struct arena *a, const struct run *run) {
    enum { CHECKED_MAX = 10000 };
    const struct request *r = run->request;
    const struct options *o = run->options;
    bool missing = o->settings.count > CHECKED_MAX;
    if (!strcmp(o->output, "-") || o->archive) return true;
    for (int k = 0; k < o->settings.count && k < CHECKED_MAX; k++) {
        const char *path = path_of_image(a, r, o, k, -1);
        if (o->sheet && !strcmp(path, o->sheet)) die(FAIL_USAGE, "%s: --sheet has this name, too", path);
        if (r->settings.dump) check_dump(a, r, o, k);
        if (!outdir_prepare(path, o->mkdirs, o->dry_run)) {
            missing = true;
            continue;
        }
        bool there = output_stays(a, run, k, path);
        missing |= !there;
        for (int step = o->save_every; o->save_every && !there && step < request_rows(r); step += o->save_every)
            publish_check(path_of_image(a, r, o, k, step), o->on_exists);
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
