#include "engine/images/image.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

struct image image_new(struct arena *a, int W, int H, int C) {
    assert(W > 0 && H > 0 && (C == 1 || C == 3));
    return (struct image){W, H, C, arena_array(a, (size_t)W * (size_t)H, (size_t)C)};
}

struct image image_grey(struct arena *a, const struct image *in) {
    struct image out = image_new(a, in->W, in->H, 1);
    size_t n = (size_t)in->W * (size_t)in->H;
    const uint8_t *p = in->pixels;
    if (in->C == 1) memcpy(out.pixels, p, n);
    else
        for (size_t i = 0; i < n; i++, p += 3) out.pixels[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    return out;
}

struct image image_rgb(struct arena *a, const struct image *in) {
    if (in->C == 3) return *in;
    struct image out = image_new(a, in->W, in->H, 3);
    for (size_t i = 0; i < (size_t)in->W * (size_t)in->H; i++) memset(out.pixels + 3 * i, in->pixels[i], 3);
    return out;
}

void image_paste(struct image *on, const struct image *in, int x, int y) {
    assert(on->C == in->C);
    int x1 = x < 0 ? 0 : x, x2 = x + in->W < on->W ? x + in->W : on->W;
    int y1 = y < 0 ? 0 : y, y2 = y + in->H < on->H ? y + in->H : on->H;
    size_t C = (size_t)in->C;
    for (int row = y1; row < y2 && x1 < x2; row++)
        memcpy(on->pixels + ((size_t)row * (size_t)on->W + (size_t)x1) * C,
               in->pixels + ((size_t)(row - y) * (size_t)in->W + (size_t)(x1 - x)) * C, (size_t)(x2 - x1) * C);
}

struct image image_crop(struct arena *a, const struct image *in, struct image_box box) {
    struct image out = image_new(a, box.x2 - box.x1, box.y2 - box.y1, in->C);
    image_paste(&out, in, -box.x1, -box.y1);
    return out;
}

void image_invert(struct image *image) {
    size_t n = (size_t)image->W * (size_t)image->H * (size_t)image->C;
    for (size_t i = 0; i < n; i++) image->pixels[i] = (uint8_t)(255 - image->pixels[i]);
}

/* Orientation o reads the stored picture from one corner, by rows (1 to 4) or by columns (5 to 8). */
struct image image_orient(struct arena *a, const struct image *in, int o) {
    if (o < 2 || o > 8) return *in;
    int W = in->W, H = in->H;
    bool turned = o >= 5, from_right = o == 2 || o == 3 || o == 7 || o == 8, from_bottom = o == 3 || o == 4 || o == 6 || o == 7;
    struct image out = image_new(a, turned ? H : W, turned ? W : H, in->C);
    uint8_t *to = out.pixels;
    for (int y = 0; y < out.H; y++)
        for (int x = 0; x < out.W; x++, to += in->C) {
            int u = turned ? y : x, v = turned ? x : y;
            size_t from = (size_t)(from_bottom ? H - 1 - v : v) * (size_t)W + (size_t)(from_right ? W - 1 - u : u);
            memcpy(to, in->pixels + from * (size_t)in->C, (size_t)in->C);
        }
    return out;
}

static void free_scratch(void *scratch) {
    arena_free(scratch);
}

struct arena *image_scratch(struct arena *a) {
    struct arena *scratch = arena_alloc(a, sizeof *scratch);
    arena_on_free(a, free_scratch, scratch);
    return scratch;
}
