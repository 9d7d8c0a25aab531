#include "engine/images/extract.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "engine/base/config.h"
#include "engine/base/error.h"
#include "engine/images/read.h"

enum { SIDE_MAX = 4096, VALUE_MAX = 1000000 };

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* {"height": h, "width": w}, {"shortest_edge": n}, or n alone: old files' way to say either. */
static void read_size(struct extractor *e, struct arena *a, const struct json *config, bool square) {
    if (json_is_null(config, "size")) return;
    e->shortest = e->W = e->H = 0;
    if (!json_is_object(config, "size")) {
        int n = (int)json_int(config, "size", 0, 1, SIDE_MAX);
        if (square) e->W = e->H = n;
        else e->shortest = n;
        return;
    }
    struct json *size = json_object(a, config, "size");
    static const struct config_only rules[] = {{"longest_edge", ONLY_NULL, 0, NULL}, {"max_height", ONLY_NULL, 0, NULL}};
    config_require(size, rules, 2);
    e->shortest = (int)json_int(size, "shortest_edge", 0, 1, SIDE_MAX);
    e->H = (int)json_int(size, "height", 0, 1, SIDE_MAX);
    e->W = (int)json_int(size, "width", 0, 1, SIDE_MAX);
    if (!e->shortest && (!e->H || !e->W))
        die(FAIL_DATA, "%s: field 'size': expected shortest_edge, or height and width", json_path(config));
}

static void read_crop(struct extractor *e, struct arena *a, const struct json *config) {
    if (json_is_null(config, "crop_size")) return;
    if (!json_is_object(config, "crop_size")) {
        e->crop_W = e->crop_H = (int)json_int(config, "crop_size", 0, 1, SIDE_MAX);
        return;
    }
    struct json *size = json_object(a, config, "crop_size");
    e->crop_H = (int)json_int(size, "height", 0, 1, SIDE_MAX);
    e->crop_W = (int)json_int(size, "width", 0, 1, SIDE_MAX);
    if (!e->crop_H || !e->crop_W) die(FAIL_DATA, "%s: field 'crop_size': expected height and width", json_path(config));
}

static void read_three(const struct json *config, const char *key, float values[3]) {
    double given[3];
    int n = json_number_array(config, key, given, 3);
    if (n >= 0 && n != 3) die(FAIL_DATA, "%s: field '%s': expected 3 numbers, found %d", json_path(config), key, n);
    for (int i = 0; i < n; i++) {
        if (!(fabs(given[i]) <= VALUE_MAX)) die(FAIL_DATA, "%s: field '%s': expected numbers up to %d", json_path(config), key, VALUE_MAX);
        values[i] = (float)given[i];
    }
}

static void read_common(struct extractor *e, struct arena *a, const struct json *config, bool square) {
    read_size(e, a, config, square);
    read_crop(e, a, config);
    e->resize = json_bool(config, "do_resize", e->resize);
    e->center_crop = json_bool(config, "do_center_crop", e->center_crop);
    e->rescale = json_bool(config, "do_rescale", e->rescale);
    e->normalize = json_bool(config, "do_normalize", e->normalize);
    e->factor = (float)(1 / json_number(config, "rescale_factor", 1.0 / 255, 1e-6, 1e6));
    e->filter = (enum resize_filter)json_int(config, "resample", e->filter, 0, 5);
    if (e->filter != RESIZE_BILINEAR && e->filter != RESIZE_BICUBIC)
        die(FAIL_UNSUPPORTED, "%s: 'resample': %d is not supported", json_path(config), (int)e->filter);
    read_three(config, "image_mean", e->mean);
    read_three(config, "image_std", e->std);
    for (int c = 0; c < 3; c++)
        if (!(e->std[c] > 0)) die(FAIL_DATA, "%s: field 'image_std': expected numbers above 0", json_path(config));
    if (e->center_crop && !e->crop_W) die(FAIL_DATA, "%s: field 'crop_size' is missing", json_path(config));
    if (!e->rescale || !e->normalize)
        die(FAIL_UNSUPPORTED, "%s: 'do_%s': false is not supported", json_path(config), e->rescale ? "normalize" : "rescale");
}

void extractor_clip(struct extractor *e, struct arena *a, const struct json *config) {
    *e = (struct extractor){
        .resize = true, .center_crop = true, .rescale = true, .normalize = true, .shortest = 224, .crop_W = 224, .crop_H = 224};
    e->filter = RESIZE_BICUBIC;
    e->multiple = 1;
    e->factor = 255;
    memcpy(e->mean, (float[]){0.48145466f, 0.4578275f, 0.40821073f}, sizeof e->mean);
    memcpy(e->std, (float[]){0.26862954f, 0.26130258f, 0.27577711f}, sizeof e->std);
    if (config) read_common(e, a, config, false);
}

void extractor_dpt(struct extractor *e, struct arena *a, const struct json *config) {
    *e = (struct extractor){.resize = true, .rescale = true, .normalize = true, .W = 384, .H = 384};
    e->filter = RESIZE_BICUBIC;
    e->multiple = 1;
    e->factor = 255;
    for (int c = 0; c < 3; c++) e->mean[c] = e->std[c] = 0.5f;
    if (!config) return;
    static const struct config_only rules[] = {{"do_pad", ONLY_FALSE, 0, NULL}};
    config_require(config, rules, 1);
    read_common(e, a, config, true);
    if (!e->W || !e->H) die(FAIL_UNSUPPORTED, "%s: 'size': shortest_edge is not supported", json_path(config));
    e->keep_aspect = json_bool(config, "keep_aspect_ratio", false);
    e->multiple = (int)json_int(config, "ensure_multiple_of", 1, 1, SIDE_MAX);
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* Python rounds halves to the even neighbour, as rint does. */
static double to_multiple(double length, int multiple) {
    return rint(length / multiple) * multiple;
}

/* What resizing gives: shortest side, or exact, or DPT's "scale as little as possible". */
static void resized_size(const struct extractor *e, int W, int H, int *to_W, int *to_H) {
    double w = e->W, h = e->H;
    if (e->shortest) {
        w = W <= H ? e->shortest : floor((double)((int64_t)e->shortest * W) / H);
        h = W <= H ? floor((double)((int64_t)e->shortest * H) / W) : e->shortest;
    } else if (e->keep_aspect || e->multiple > 1) {
        double scale_h = h / H, scale_w = w / W;
        if (e->keep_aspect && fabs(1 - scale_w) < fabs(1 - scale_h)) scale_h = scale_w;
        else if (e->keep_aspect) scale_w = scale_h;
        h = to_multiple(scale_h * H, e->multiple);
        w = to_multiple(scale_w * W, e->multiple);
    }
    if (!(w >= 1 && h >= 1 && w * h <= (double)IMAGE_SIDE_MAX * IMAGE_SIDE_MAX))
        die(FAIL_DATA, "a picture of %dx%d pixels: too thin for a network that wants %.0fx%.0f of it", W, H, w, h);
    *to_W = (int)w;
    *to_H = (int)h;
}

void extractor_size(const struct extractor *e, int W, int H, int *out_W, int *out_H) {
    *out_W = W;
    *out_H = H;
    if (e->resize) resized_size(e, W, H, out_W, out_H);
    if (e->center_crop) *out_W = e->crop_W, *out_H = e->crop_H;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* First black around what is smaller than the crop, the odd line behind; then the middle. */
static struct image center_crop(struct arena *a, const struct image *in, int W, int H) {
    int pad_x = W > in->W ? (W - in->W) / 2 : 0, pad_y = H > in->H ? (H - in->H) / 2 : 0;
    int x = W > in->W ? -pad_x : (in->W - W) / 2, y = H > in->H ? -pad_y : (in->H - H) / 2;
    return image_crop(a, in, (struct image_box){x, y, x + W, y + H});
}

void extractor_run(const struct extractor *e, struct arena *a, float *out, const struct image *in) {
    assert(in->C == 3);
    struct arena *scratch = image_scratch(a);
    struct image image = *in;
    if (e->resize) {
        int W, H;
        resized_size(e, in->W, in->H, &W, &H);
        image = resize_torchvision(scratch, in, W, H, e->filter);
    }
    if (e->center_crop) image = center_crop(scratch, &image, e->crop_W, e->crop_H);
    float mean[3], std[3];
    for (int c = 0; c < 3; c++) mean[c] = e->mean[c] * e->factor, std[c] = e->std[c] * e->factor;
    size_t n = (size_t)image.W * (size_t)image.H;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) out[3 * i + c] = ((float)image.pixels[3 * i + c] - mean[c]) / std[c];
    arena_free(scratch);
}
