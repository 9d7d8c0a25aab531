#include "cli/plot.h"

#include <math.h>
#include <stdint.h>

enum { HEIGHT = 8, LABEL = 9 /* " 0.0413 " */, WIDTH_MAX = 64 };

/* log σ of the row that column x of `width` shows: stairs where rows are few; NaN where the logarithm is none. */
static double level(const struct schedule *s, int x, int width) {
    double sigma = (double)s->rows[(int64_t)x * s->n_rows / width].sigma;
    return sigma > 0 && isfinite(sigma) ? log(sigma) : NAN;
}

/* "   14.6 |", or blanks of the same width between the ends of the scale. */
static void add_label(struct buffer *b, int y, double low, double high) {
    if (y != 0 && y != HEIGHT - 1) buffer_printf(b, "%*s|", LABEL, "");
    else buffer_printf(b, "%*.3g |", LABEL - 1, exp(y ? low : high));
}

void plot_sigmas(struct buffer *b, const struct schedule *s, int columns) {
    int room = columns - LABEL - 1, width = room < WIDTH_MAX ? room : WIDTH_MAX;
    double low = INFINITY, high = -INFINITY;
    for (int x = 0; x < width; x++) {
        low = fmin(low, level(s, x, width));
        high = fmax(high, level(s, x, width));
    }
    if (!(high > low)) return;
    buffer_printf(b, "\n%*s sigma, logarithmic\n", LABEL, "");
    for (int y = 0; y < HEIGHT; y++) {
        int blanks = 0;
        add_label(b, y, low, high);
        for (int x = 0; x < width; x++, blanks++) {
            double at = (high - level(s, x, width)) / (high - low) * (HEIGHT - 1);
            if (isnan(at) || lround(at) != y) continue;
            buffer_printf(b, "%*s*", blanks, "");
            blanks = -1;
        }
        buffer_printf(b, "\n");
    }
    buffer_printf(b, "%*s+", LABEL, "");
    for (int x = 0; x < width; x++) buffer_add(b, "-", 1);
    buffer_printf(b, "\n%*s 1%*d\n", LABEL, "", width - 1, s->n_rows);
}
