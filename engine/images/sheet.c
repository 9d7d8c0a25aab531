#include "engine/images/sheet.h"

#include <assert.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/images/resize.h"

/* Lines of a label to the left of a row, and above or below a picture; what is longer ends in dots. */
enum {
    ROW_LINES = 8,
    CELL_LINES = 4,
    LINE_BYTES = 1024,
    TEXT_GLYPHS_MAX = 256,
    ROW_LABEL_GLYPHS = 28,
    CELL_MIN = 16,
    PICTURE_A_SCALE = 160
};

/* Where everything lies, in pixels. */
struct layout {
    int scale;          /* pixels of a glyph's pixel */
    int gap;            /* between cells and around texts */
    int cell_w, cell_h; /* of a picture's place */
    int left, top;      /* of the first cell */
    int below;          /* for the labels below each cell */
    int W, H;
};

static int line_height(const struct layout *l) {
    return (FONT_H + 2) * l->scale;
}

static int glyphs_in(const struct layout *l, int width) {
    int n = width / ((FONT_W + 1) * l->scale);
    return n < TEXT_GLYPHS_MAX ? n : TEXT_GLYPHS_MAX;
}

/* Bytes of the line that a text begins with: up to its end or a line break, or as many as `width` glyphs show, where it can be behind a
 * sign that parts words. */
static size_t line_bytes(const char *text, int width) {
    size_t at = 0, parted = 0;
    const uint8_t *out[1];
    char sign[5] = "";
    for (int n = 0; text[at] && text[at] != '\n';) {
        size_t bytes = 1;
        while (bytes < sizeof sign - 1 && ((unsigned char)text[at + bytes] & 0xc0) == 0x80) bytes++;
        memcpy(sign, text + at, bytes);
        sign[bytes] = 0;
        n += font_text(sign, 1, out);
        if (n > width) return parted ? parted : at ? at : bytes;
        at += bytes;
        if (strchr(" =,;:_-/", *sign)) parted = at;
    }
    return at;
}

/* The text's next line of at most `width` glyphs, the last of `left` being all that follows; *text moves behind it. False: there is none.
 */
static bool next_line(const char **text, int width, int left, char line[LINE_BYTES]) {
    const char *s = *text;
    if (!s || !*s || !left) return false;
    size_t n = left == 1 ? strcspn(s, "\n") : line_bytes(s, width), kept = n < LINE_BYTES ? n : LINE_BYTES - 1;
    memcpy(line, s, kept);
    line[kept] = 0;
    *text = s + n + strspn(s + n, s[n] == ' ' ? " " : "");
    if (**text == '\n') ++*text;
    return true;
}

/* The longest line of all labels, in glyphs, and the most lines. */
static void measure(const char *const *labels, int n, int width, int most, int *glyphs, int *lines) {
    const uint8_t *out[TEXT_GLYPHS_MAX];
    char line[LINE_BYTES];
    *glyphs = *lines = 0;
    for (int i = 0; labels && i < n; i++) {
        int n_lines = 0;
        for (const char *s = labels[i]; next_line(&s, width, most - n_lines, line); n_lines++) {
            int shown = font_text(line, width, out);
            if (shown > *glyphs) *glyphs = shown;
        }
        if (n_lines > *lines) *lines = n_lines;
    }
}

static struct layout lay_out(const struct sheet *s) {
    struct layout l = {0};
    int glyphs, above, below, other;
    double shrink = 1;
    measure(s->row_labels, s->rows, ROW_LABEL_GLYPHS, ROW_LINES, &glyphs, &other);
    for (;; shrink *= 0.98) {
        l.cell_w = (int)(s->W * shrink);
        l.cell_h = (int)(s->H * shrink);
        if (l.cell_w < CELL_MIN || l.cell_h < CELL_MIN)
            die(FAIL_USAGE, "a sheet of %d x %d pictures of %dx%d: expected at most %d pixels on a side", s->columns, s->rows, s->W, s->H,
                SHEET_SIDE_MAX);
        int smaller = l.cell_w < l.cell_h ? l.cell_w : l.cell_h;
        l.scale = smaller / PICTURE_A_SCALE < 1 ? 1 : smaller / PICTURE_A_SCALE;
        l.gap = 4 * l.scale;
        measure(s->column_labels, s->columns, glyphs_in(&l, l.cell_w), CELL_LINES, &other, &above);
        measure(s->cell_labels, s->columns * s->rows, glyphs_in(&l, l.cell_w), CELL_LINES, &other, &below);
        l.left = l.gap + (glyphs ? glyphs * (FONT_W + 1) * l.scale + l.gap : 0);
        l.top = l.gap + (above ? above * line_height(&l) + l.gap : 0);
        l.below = below * line_height(&l);
        int64_t W = l.left + (int64_t)s->columns * (l.cell_w + l.gap), H = l.top + (int64_t)s->rows * (l.cell_h + l.below + l.gap);
        if (W > SHEET_SIDE_MAX || H > SHEET_SIDE_MAX) continue;
        l.W = (int)W, l.H = (int)H;
        return l;
    }
}

static void draw_glyph(struct image *on, const uint8_t *glyph, int x, int y, int scale) {
    for (int v = 0; v < FONT_H * scale; v++)
        for (int u = 0; u < FONT_W * scale; u++)
            if (glyph[v / scale] >> (FONT_W - 1 - u / scale) & 1 && x + u < on->W && y + v < on->H)
                memset(on->pixels + ((size_t)(y + v) * (size_t)on->W + (size_t)(x + u)) * 3, 0, 3);
}

/* Lines one below the other. */
static void draw_text(struct image *on, const struct layout *l, const char *text, int x, int y, int width, int most) {
    const uint8_t *glyphs[TEXT_GLYPHS_MAX];
    char line[LINE_BYTES];
    for (int i = 0; next_line(&text, glyphs_in(l, width), most - i, line); i++, y += line_height(l)) {
        int n = font_text(line, glyphs_in(l, width), glyphs);
        for (int k = 0; k < n; k++) draw_glyph(on, glyphs[k], x + k * (FONT_W + 1) * l->scale, y, l->scale);
    }
}

static void draw_cell(struct arena *a, struct image *on, const struct layout *l, const struct sheet *s, int cell) {
    int x = l->left + cell % s->columns * (l->cell_w + l->gap), y = l->top + cell / s->columns * (l->cell_h + l->below + l->gap);
    struct image picture;
    struct arena *work = image_scratch(a);
    if (s->picture(s->data, work, cell, &picture)) {
        double fit_w = (double)l->cell_w / picture.W, fit_h = (double)l->cell_h / picture.H, fit = fit_w < fit_h ? fit_w : fit_h;
        int W = (int)(picture.W * fit + 0.5), H = (int)(picture.H * fit + 0.5);
        if (fit < 1) picture = resize_pillow(work, &picture, W > 0 ? W : 1, H > 0 ? H : 1, RESIZE_LANCZOS);
        image_paste(on, &picture, x, y);
    }
    if (s->cell_labels) draw_text(on, l, s->cell_labels[cell], x, y + l->cell_h + l->scale, l->cell_w, CELL_LINES);
    arena_free(work);
}

struct image sheet_draw(struct arena *a, const struct sheet *s) {
    assert(s->columns > 0 && s->rows > 0 && s->columns <= SHEET_CELLS_MAX / s->rows && s->W > 0 && s->H > 0);
    struct layout l = lay_out(s);
    struct image sheet = image_new(a, l.W, l.H, 3);
    memset(sheet.pixels, 255, (size_t)l.W * (size_t)l.H * 3);
    for (int c = 0; s->column_labels && c < s->columns; c++)
        draw_text(&sheet, &l, s->column_labels[c], l.left + c * (l.cell_w + l.gap), l.gap, l.cell_w, CELL_LINES);
    for (int r = 0; s->row_labels && r < s->rows; r++)
        draw_text(&sheet, &l, s->row_labels[r], l.gap, l.top + r * (l.cell_h + l.below + l.gap), l.left - 2 * l.gap, ROW_LINES);
    for (int i = 0; i < s->columns * s->rows; i++) draw_cell(a, &sheet, &l, s, i);
    return sheet;
}
