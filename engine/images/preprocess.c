#include "engine/images/preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/text.h"

/* ---- which ------------------------------------------------------------------------------------------------------- */

static bool parse_threshold(const char *text, size_t n, double *x) {
    char number[32];
    if (n == 0 || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = 0;
    return parse_double(number, x) && *x >= 0 && *x <= 10000;
}

bool preprocess_parse(const char *text, struct preprocess *p) {
    static const char name[] = "canny", depth[] = "depth";
    size_t n = sizeof name - 1, m = sizeof depth - 1;
    *p = (struct preprocess){.low = 100, .high = 200};
    if (!strcmp(text, "none")) return true;
    if (!strncmp(text, depth, m) && (!text[m] || (text[m] == ':' && text[m + 1]))) {
        p->depth = true;
        p->estimator = text[m] ? text + m + 1 : NULL;
        return true;
    }
    if (strncmp(text, name, n)) return false;
    p->canny = true;
    if (!text[n]) return true;
    const char *low = text + n + 1, *comma = strchr(low, ',');
    return text[n] == ':' && comma && parse_threshold(low, (size_t)(comma - low), &p->low) &&
           parse_threshold(comma + 1, strlen(comma + 1), &p->high) && p->low <= p->high;
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

struct gradient {
    int dx, dy, size;
};

/* Rows and columns -1 and n stand for: those on the border, in pixels; no gradient at all, behind it. */
struct edges {
    const struct image *in;
    struct gradient *g; /* [H+2,W+2] */
    uint8_t *state;     /* [H+2,W+2]: 1 where it may be part of an edge, 2 where it is */
    size_t width;       /* W + 2 */
    size_t *found;      /* [H*W] whose neighbours have not been looked at */
    size_t n_found;
};

static int clamp(int i, int n) {
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static int value(const struct image *in, int x, int y, int c) {
    return in->pixels[((size_t)clamp(y, in->H) * (size_t)in->W + (size_t)clamp(x, in->W)) * (size_t)in->C + (size_t)c];
}

static struct gradient sobel(const struct image *in, int x, int y, int c) {
    int left = value(in, x - 1, y - 1, c) + 2 * value(in, x - 1, y, c) + value(in, x - 1, y + 1, c);
    int right = value(in, x + 1, y - 1, c) + 2 * value(in, x + 1, y, c) + value(in, x + 1, y + 1, c);
    int above = value(in, x - 1, y - 1, c) + 2 * value(in, x, y - 1, c) + value(in, x + 1, y - 1, c);
    int below = value(in, x - 1, y + 1, c) + 2 * value(in, x, y + 1, c) + value(in, x + 1, y + 1, c);
    return (struct gradient){right - left, below - above, abs(right - left) + abs(below - above)};
}

static void find_gradients(struct edges *e) {
    const struct image *in = e->in;
    for (int y = 0; y < in->H; y++)
        for (int x = 0; x < in->W; x++) {
            struct gradient *g = &e->g[(size_t)(y + 1) * e->width + (size_t)x + 1];
            *g = sobel(in, x, y, 0);
            for (int c = 1; c < in->C; c++) {
                struct gradient other = sobel(in, x, y, c);
                if (other.size > g->size) *g = other;
            }
        }
}

/* Is it the largest across the edge, whose direction is one of four? tan 22.5° in 15 bits. */
static bool is_ridge(const struct edges *e, const struct gradient *g) {
    enum { TAN = 13573 };
    ptrdiff_t W = (ptrdiff_t)e->width;
    int64_t x = (int64_t)abs(g->dx) * TAN, y = (int64_t)abs(g->dy) << 15;
    if (y < x) return g->size > g[-1].size && g->size >= g[1].size;
    if (y > x + ((int64_t)abs(g->dx) << 16)) return g->size > g[-W].size && g->size >= g[W].size;
    ptrdiff_t s = (g->dx ^ g->dy) < 0 ? -1 : 1;
    return g->size > g[-W - s].size && g->size > g[W + s].size;
}

static void mark(struct edges *e, size_t i) {
    e->state[i] = 2;
    e->found[e->n_found++] = i;
}

static void find_ridges(struct edges *e, int low, int high) {
    for (int y = 0; y < e->in->H; y++)
        for (int x = 0; x < e->in->W; x++) {
            size_t i = (size_t)(y + 1) * e->width + (size_t)x + 1;
            if (e->g[i].size <= low || !is_ridge(e, &e->g[i])) continue;
            if (e->g[i].size > high) mark(e, i);
            else e->state[i] = 1;
        }
}

/* What touches an edge and may be one, is. */
static void follow(struct edges *e) {
    while (e->n_found) {
        size_t i = e->found[--e->n_found], above = i - e->width, below = i + e->width;
        const size_t near[] = {above - 1, above, above + 1, i - 1, i + 1, below - 1, below, below + 1};
        for (int k = 0; k < 8; k++)
            if (e->state[near[k]] == 1) mark(e, near[k]);
    }
}

struct image image_canny(struct arena *a, const struct image *in, double low, double high) {
    struct arena *scratch = image_scratch(a);
    size_t W = (size_t)in->W + 2, H = (size_t)in->H + 2;
    struct edges e = {.in = in, .width = W};
    e.g = arena_array(scratch, W * H, sizeof *e.g);
    e.state = arena_alloc(scratch, W * H);
    e.found = arena_array(scratch, W * H, sizeof *e.found);
    find_gradients(&e);
    find_ridges(&e, (int)floor(low), (int)floor(high));
    follow(&e);
    struct image out = image_new(a, in->W, in->H, 3);
    for (size_t y = 0; y < (size_t)in->H; y++)
        for (size_t x = 0; x < (size_t)in->W; x++)
            if (e.state[(y + 1) * W + x + 1] == 2) memset(out.pixels + 3 * (y * (size_t)in->W + x), 255, 3);
    arena_free(scratch);
    return out;
}
