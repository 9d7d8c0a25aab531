#include "cli/contacts.h"

#include <math.h>
#include <string.h>
#include "cli/events.h"
#include "cli/metadata.h"
#include "cli/outdir.h"
#include "cli/result.h"
#include "cli/resume.h"
#include "cli/sweep.h"
#include "engine/base/error.h"
#include "engine/images/read.h"
#include "engine/images/sheet.h"
#include "engine/images/write.h"

enum { ROW_MAX = 6 /* pictures of a sweep over one setting that stand side by side */ };

struct contacts {
    struct arena *arena;
    const struct options *options;
    int n; /* cells */
    struct contact {
        const char *path, *label; /* path NULL: not made */
    } cells[SHEET_CELLS_MAX];
    int W, H;                 /* the largest */
    enum on_exists on_exists; /* of the sheet: --resume makes its own anew, with the pictures that came to it */
    bool told;                /* that there are too many */
};

struct contacts *contacts_new(struct arena *a, const struct options *o) {
    if (!o->sheet) return NULL;
    struct contacts *c = arena_alloc(a, sizeof *c);
    c->arena = a;
    c->options = o;
    if (o->sweep && o->sweep->n_jobs > SHEET_CELLS_MAX)
        die(FAIL_USAGE, "--sheet: %d pictures, expected at most %d", o->sweep->n_jobs, SHEET_CELLS_MAX);
    c->on_exists = o->resume && o->on_exists == EXISTS_ERROR && resume_is_sheet(o->sheet) ? EXISTS_OVERWRITE : o->on_exists;
    if (outdir_prepare(o->sheet, o->mkdirs, true)) publish_check(o->sheet, c->on_exists);
    return c;
}

void contacts_begin(const struct contacts *c) {
    if (c) outdir_prepare(c->options->sheet, c->options->mkdirs, false);
}

void contacts_add(struct contacts *c, int number, const char *path, const char *label, int W, int H) {
    if (!c) return;
    int i = c->options->sweep ? number : c->n;
    if (i >= SHEET_CELLS_MAX) {
        if (!c->told) warn("--sheet: the first %d pictures alone", SHEET_CELLS_MAX);
        c->told = true;
        return;
    }
    c->cells[i] = (struct contact){arena_strdup(c->arena, path), arena_strdup(c->arena, label)};
    if (i >= c->n) c->n = i + 1;
    if (W > c->W) c->W = W;
    if (H > c->H) c->H = H;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* Somebody may have taken it away. */
static bool read_picture(void *data, struct arena *a, int cell, struct image *out) {
    struct contacts *c = data;
    struct job job;
    if (cell >= c->n || !c->cells[cell].path) return false;
    if (job_enter(&job)) {
        *out = image_read(a, c->cells[cell].path);
        job_leave(&job);
        return true;
    }
    warn("--sheet: %s", job.message);
    return false;
}

/* One axis across, all others down, a line each. */
static void label_axes(struct arena *a, const struct sweep *s, struct sheet *sheet) {
    int last = s->n_axes - 1;
    sheet->columns = s->axes[last].n;
    sheet->rows = s->n_jobs / sheet->columns;
    sheet->column_labels = arena_array(a, (size_t)sheet->columns, sizeof *sheet->column_labels);
    for (int i = 0; i < sheet->columns; i++) sheet->column_labels[i] = sweep_label(a, &s->axes[last], i);
    if (!last) return;
    sheet->row_labels = arena_array(a, (size_t)sheet->rows, sizeof *sheet->row_labels);
    for (int r = 0; r < sheet->rows; r++) {
        const char *text = "";
        for (int k = 0; k < last; k++)
            text = arena_printf(a, "%s%s%s", text, k ? "\n" : "", sweep_label(a, &s->axes[k], sweep_value(s, k, r * sheet->columns)));
        sheet->row_labels[r] = text;
    }
}

static void label_cells(struct arena *a, const struct contacts *c, struct sheet *sheet) {
    const struct sweep *s = c->options->sweep;
    int n = s ? s->n_jobs : c->n;
    sheet->columns = (int)ceil(sqrt(n));
    sheet->rows = (n + sheet->columns - 1) / sheet->columns;
    sheet->cell_labels = arena_array(a, (size_t)sheet->columns * (size_t)sheet->rows, sizeof *sheet->cell_labels);
    for (int i = 0; i < n; i++) sheet->cell_labels[i] = s ? sweep_label(a, &s->axes[0], i) : c->cells[i].label;
}

void contacts_publish(struct contacts *c) {
    if (!c || !c->n) return;
    const struct options *o = c->options;
    struct arena a = {0};
    struct sheet sheet = {.picture = read_picture, .data = c, .W = c->W, .H = c->H};
    if (o->sweep && (o->sweep->n_axes > 1 || o->sweep->n_jobs <= ROW_MAX)) label_axes(&a, o->sweep, &sheet);
    else label_cells(&a, c, &sheet);
    struct image image = sheet_draw(&a, &sheet);
    struct image_comment comments[METADATA_COMMENTS_MAX];
    int n_comments = metadata_comments(&a, NULL, strcmp(o->metadata, "none") ? "sheet" : "none", comments);
    size_t size;
    const void *file = image_encode(&a, image_format_of(o->sheet), &image, (struct image_comments){comments, n_comments},
                                    o->quality ? o->quality : QUALITY_DEFAULT, &size);
    const char *path = publish_file(&a, o->sheet, file, size, c->on_exists);
    if (path) event_sheet(path);
    if (path && !o->json) result_path(&a, path, o->null_separated);
    arena_free(&a);
}
