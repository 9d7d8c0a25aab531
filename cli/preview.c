#include "cli/preview.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/metadata.h"
#include "cli/outdir.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/images/resize.h"
#include "engine/images/write.h"
#include "engine/pipelines/preview.h"

enum { PAUSE_MS = 100 };

static const char *volatile made; /* the file, once it is ours */
static double drawn_at;

void preview_begin(const struct options *o, bool foreseen) {
    if (!o->preview || !outdir_prepare(o->preview, o->mkdirs, o->dry_run)) return;
    if (!foreseen && o->on_exists == EXISTS_OVERWRITE && name_exists(o->preview))
        die_hint(FAIL_CREATE, "take it away, or give the jobs in a file", "--preview: %s: the file exists, and a job to come may read it",
                 o->preview);
    publish_check(o->preview, o->on_exists == EXISTS_OVERWRITE ? EXISTS_OVERWRITE : EXISTS_ERROR);
    if (!o->dry_run) atexit(preview_end);
}

void preview_step(const struct options *o, struct picture *p, int row) {
    const struct request *r = p->drawing->request;
    bool last = row + 1 == request_rows(r);
    if (!o->preview || p->i || preview_missing(r) || (made && !last && clock_ms() < drawn_at + PAUSE_MS)) return;
    struct arena a = {0};
    struct image small = preview_draw(&a, p, row), image = resize_pillow(&a, &small, r->settings.width, r->settings.height, RESIZE_BICUBIC);
    struct image_comment comments[METADATA_COMMENTS_MAX];
    struct image_comments list = {comments, metadata_comments(&a, NULL, "minimal", comments)};
    size_t size;
    const void *file = image_encode(&a, image_format_of(o->preview), &image, list, QUALITY_DEFAULT, &size);
    struct stat st;
    if (!name_exists(o->preview)) made = o->preview; /* before it is there: a signal may come between */
    publish_file(&a, o->preview, file, size, EXISTS_OVERWRITE);
    if (!made && lstat(o->preview, &st) == 0 && S_ISREG(st.st_mode)) made = o->preview;
    drawn_at = clock_ms();
    arena_free(&a);
}

void preview_end(void) {
    if (made) unlink(made);
    made = NULL;
}
