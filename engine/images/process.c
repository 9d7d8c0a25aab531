#include "engine/images/process.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "engine/base/error.h"

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* The edge rows or columns go on into both bands; of an odd number of lines left over the last stays black. */
static void fill_bands(struct arena *a, struct image *out, const struct image *in, bool above) {
    int n = above ? out->H / 2 - in->H / 2 : out->W / 2 - in->W / 2;
    if (n <= 0) return;
    struct image first = resize_edge(a, in, above ? EDGE_TOP : EDGE_LEFT, n),
                 last = resize_edge(a, in, above ? EDGE_BOTTOM : EDGE_RIGHT, n);
    image_paste(out, &first, 0, 0);
    image_paste(out, &last, above ? 0 : n + in->W, above ? n + in->H : 0);
}

static struct image fit(struct arena *a, const struct image *in, int W, int H, bool fill, enum resize_filter filter) {
    double ratio = (double)W / H, own = (double)in->W / in->H;
    bool whole_width = fill ? ratio < own : ratio > own, whole_height = fill ? ratio >= own : ratio <= own;
    int64_t w = whole_width ? W : (int64_t)in->W * H / in->H, h = whole_height ? H : (int64_t)in->H * W / in->W;
    if (w < 1 || h < 1) die(FAIL_DATA, "a picture of %dx%d pixels: too thin to keep its shape at %dx%d", in->W, in->H, W, H);
    if (w > INT32_MAX || h > INT32_MAX || w * h > INT32_MAX)
        die(FAIL_DATA, "a picture of %dx%d pixels: too thin to cover %dx%d", in->W, in->H, W, H);
    struct arena *scratch = image_scratch(a);
    struct image resized = resize_pillow(scratch, in, (int)w, (int)h, filter), out = image_new(a, W, H, in->C);
    image_paste(&out, &resized, W / 2 - resized.W / 2, H / 2 - resized.H / 2);
    if (fill && ratio != own) fill_bands(scratch, &out, &resized, ratio < own);
    arena_free(scratch);
    return out;
}

struct image image_resize(struct arena *a, const struct image *in, int W, int H, enum resize_mode mode, enum resize_filter filter) {
    int x = (in->W - W) / 2, y = (in->H - H) / 2;
    if (mode == RESIZE_CUT) return image_crop(a, in, (struct image_box){x, y, x + W, y + H});
    return mode == RESIZE_STRETCH ? resize_pillow(a, in, W, H, filter) : fit(a, in, W, H, mode == RESIZE_FILL, filter);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static size_t n_values(const struct image *image) {
    return (size_t)image->W * (size_t)image->H * (size_t)image->C;
}

void image_unit(float *out, const struct image *in) {
    for (size_t i = 0, n = n_values(in); i < n; i++) out[i] = (float)in->pixels[i] / 255.0f;
}

void image_signed(float *out, const struct image *in) {
    for (size_t i = 0, n = n_values(in); i < n; i++) out[i] = 2.0f * ((float)in->pixels[i] / 255.0f) - 1.0f;
}

void mask_binarize(float *out, const struct image *mask) {
    assert(mask->C == 1);
    for (size_t i = 0, n = n_values(mask); i < n; i++) out[i] = mask->pixels[i] >= 128 ? 1 : 0;
}

/* ---- masks ------------------------------------------------------------------------------------------------------- */

/* The smallest box around all that is not 0. */
static bool bounds(const struct image *mask, struct image_box *box) {
    *box = (struct image_box){mask->W, mask->H, 0, 0};
    for (int y = 0; y < mask->H; y++)
        for (int x = 0; x < mask->W; x++) {
            if (!mask->pixels[(size_t)y * (size_t)mask->W + (size_t)x]) continue;
            if (x < box->x1) box->x1 = x;
            if (x >= box->x2) box->x2 = x + 1;
            if (y < box->y1) box->y1 = y;
            box->y2 = y + 1;
        }
    return box->x2 > 0;
}

/* [begin, end) longer by `more`, the odd one at its end, moved back into [0, size) and cut there. */
static void grow(int *begin, int *end, int more, int size) {
    *begin -= more / 2;
    *end += more - more / 2;
    if (*end >= size) {
        *begin -= *end - size;
        *end = size;
    }
    if (*begin < 0) {
        *end -= *begin;
        *begin = 0;
    }
    if (*end >= size) *end = size;
}

bool mask_crop_region(const struct image *mask, int W, int H, int pad, struct image_box *box) {
    assert(mask->C == 1 && pad >= 0);
    if (!bounds(mask, box)) return false;
    box->x1 = pad < box->x1 ? box->x1 - pad : 0;
    box->y1 = pad < box->y1 ? box->y1 - pad : 0;
    box->x2 = pad < mask->W - box->x2 ? box->x2 + pad : mask->W;
    box->y2 = pad < mask->H - box->y2 ? box->y2 + pad : mask->H;
    int w = box->x2 - box->x1, h = box->y2 - box->y1;
    double own = (double)w / h, wanted = (double)W / H;
    if (own > wanted) grow(&box->y1, &box->y2, (int)(w / wanted - h), mask->H);
    else grow(&box->x1, &box->x2, (int)(h * wanted - w), mask->W);
    return true;
}

/* Pillow's product of two fractions of 255. */
static int mul255(int a, int b) {
    int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* The original passes through premultiplied alpha and back, which is what costs a level in soft edges. */
static uint8_t covered(int original, int alpha, int below) {
    int premultiplied = mul255(alpha, original), over = premultiplied;
    if (alpha != 0 && alpha != 255) over = 255 * premultiplied / alpha < 255 ? 255 * premultiplied / alpha : 255;
    return (uint8_t)((2 * (over * alpha + below * (255 - alpha)) + 255) / 510);
}

struct image image_overlay(struct arena *a, const struct image *original, const struct image *mask, const struct image *made,
                           const struct image_box *box, enum resize_filter filter) {
    int W = original->W, H = original->H;
    assert(original->C == 3 && made->C == 3 && mask->C == 1 && mask->W == W && mask->H == H);
    struct image out = image_new(a, W, H, 3);
    struct arena *scratch = image_scratch(a);
    struct image piece = *made;
    if (box) piece = image_resize(scratch, made, box->x2 - box->x1, box->y2 - box->y1, RESIZE_CROP, filter);
    image_paste(&out, &piece, box ? box->x1 : 0, box ? box->y1 : 0);
    for (size_t i = 0; i < n_values(&out); i++) out.pixels[i] = covered(original->pixels[i], 255 - mask->pixels[i / 3], out.pixels[i]);
    arena_free(scratch);
    return out;
}

/* ---- blur -------------------------------------------------------------------------------------------------------- */

enum { PASSES = 3 };

/* Half the length of the box that blurs, three times over, as a Gaussian of that deviation (Gwosdek et al. 2011), in Pillow's floats. */
static float box_radius(float deviation) {
    float sigma2 = deviation * deviation / PASSES;
    float length = (float)sqrt(12.0 * sigma2 + 1.0);
    float whole = (float)floor((length - 1.0) / 2.0);
    float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * sigma2);
    part /= 6 * (sigma2 - (whole + 1) * (whole + 1));
    return whole + part;
}

struct box {
    int radius;          /* whole pixels to each side … */
    uint32_t full, part; /* … of this weight in 1/2^24, and one more of that */
};

static int clamp(int64_t i, int n) {
    return i < 0 ? 0 : i >= n ? n - 1 : (int)i;
}

/* One line of n values, `step` apart in `out`; the ends go on beyond themselves. */
static void blur_line(uint8_t *out, const uint8_t *in, int n, int step, const struct box *b) {
    uint32_t sum = (uint32_t)(in[0] * (int64_t)(b->radius + 1));
    for (int64_t i = 0; i < b->radius; i++) {
        if (i >= n) { /* nothing but the last value from here on */
            sum += (uint32_t)(in[n - 1] * (b->radius - i));
            break;
        }
        sum += in[i];
    }
    for (int i = 0; i < n; i++) {
        int64_t left = (int64_t)i - b->radius - 1, right = (int64_t)i + b->radius;
        sum += (uint32_t)in[clamp(right, n)] - in[clamp(left, n)];
        uint32_t scaled = sum * b->full + (uint32_t)(in[clamp(left, n)] + in[clamp(right + 1, n)]) * b->part;
        out[(size_t)i * (size_t)step] = (uint8_t)((scaled + (1 << 23)) >> 24);
    }
}

/* Three passes over each of n lines of `length` values; line_step and step apart. Lines are gathered, so that columns are as near as rows.
 */
static void blur_lines(struct image *image, int n, size_t line_step, int length, int step, const struct box *b, uint8_t *line) {
    uint8_t *between = line + length;
    for (int i = 0; i < n; i++) {
        uint8_t *p = image->pixels + (size_t)i * line_step;
        for (int k = 0; k < length; k++) line[k] = p[(size_t)k * (size_t)step];
        blur_line(between, line, length, 1, b);
        blur_line(line, between, length, 1, b);
        blur_line(p, line, length, step, b);
    }
}

struct image image_blur(struct arena *a, const struct image *in, float radius) {
    assert(radius > 0);
    float r = box_radius(radius);
    struct box b = {.radius = (int)r, .full = (uint32_t)((float)(1 << 24) / (r * 2 + 1))};
    b.part = ((1u << 24) - (uint32_t)(b.radius * 2 + 1) * b.full) / 2;
    struct image out = image_crop(a, in, (struct image_box){0, 0, in->W, in->H});
    struct arena *scratch = image_scratch(a);
    uint8_t *line = arena_array(scratch, 2, (size_t)(in->W > in->H ? in->W : in->H));
    size_t row = (size_t)in->W * (size_t)in->C;
    for (int c = 0; c < in->C; c++) {
        struct image channel = out;
        channel.pixels += c;
        blur_lines(&channel, in->H, row, in->W, in->C, &b, line);
        blur_lines(&channel, in->W, (size_t)in->C, in->H, (int)row, &b, line);
    }
    arena_free(scratch);
    return out;
}
