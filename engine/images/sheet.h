/* A contact sheet: pictures in rows and columns with labels. */
#ifndef ENGINE_IMAGES_SHEET_H
#define ENGINE_IMAGES_SHEET_H

#include <stdbool.h>
#include "engine/images/image.h"

enum {
    SHEET_CELLS_MAX = 4096,
    SHEET_SIDE_MAX = 8192, /* pixels; the pictures are made smaller until the sheet is not larger */
    FONT_W = 5,
    FONT_H = 9,
};

struct sheet {
    int columns, rows;
    /* Labels: a column's above it, a row's to the left of it, its lines one below the other ("\n"); or one below each cell. A line that is
     * wider than its place goes on below, as long as there is room for lines. NULL: none */
    const char **column_labels, **row_labels, **cell_labels;
    /* The picture of a cell, row by row; false: there is none, the place stays empty. In the arena or not, it is needed until the next. */
    bool (*picture)(void *data, struct arena *a, int cell, struct image *out);
    void *data;
    int W, H; /* of the largest picture */
};

/* columns * rows <= SHEET_CELLS_MAX. A picture that is not of the size of a cell is made smaller, never larger. Dies FAIL_USAGE where
 * there are so many that nothing would be left of them. */
struct image sheet_draw(struct arena *a, const struct sheet *s);

/* The glyphs of a text, FONT_H rows each (font.c), at most max, "..." at the end where it was cut: ASCII as it is, letters with marks
 * without them, a box for anything else. Returns how many. */
int font_text(const char *text, int max, const uint8_t *out[]);

#endif
