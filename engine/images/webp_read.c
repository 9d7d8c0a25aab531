/* libwebp's decoder, which fails by return code and frees what is its own; the container's chunks are walked here for the orientation. */
#include <webp/decode.h>

#include <string.h>
#include "engine/base/error.h"
#include "engine/images/read.h"

static uint32_t little32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int orientation(const struct image_file *f) {
    int exif = 0, xmp = 0;
    for (size_t at = 12; f->n - at >= 8;) {
        size_t n = little32(f->data + at + 4), left = f->n - at - 8;
        const uint8_t *body = f->data + at + 8;
        if (n > left) break;
        if (!memcmp(f->data + at, "EXIF", 4)) exif = exif_orientation(body, n);
        if (!memcmp(f->data + at, "XMP ", 4)) xmp = xmp_orientation(body, n);
        if (n + (n & 1) > left) break;
        at += 8 + n + (n & 1);
    }
    return exif ? exif : xmp ? xmp : 1;
}

static const char *reason(VP8StatusCode status) {
    return status == VP8_STATUS_NOT_ENOUGH_DATA       ? "the file ends too soon"
           : status == VP8_STATUS_SUSPENDED           ? "the file ends too soon"
           : status == VP8_STATUS_UNSUPPORTED_FEATURE ? "unknown features"
                                                      : "malformed";
}

struct image webp_decode(struct arena *a, struct image_file *f) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) die(FAIL_INTERNAL, "webp: library of another version than the headers");
    VP8StatusCode status = WebPGetFeatures(f->data, f->n, &config.input);
    if (status != VP8_STATUS_OK) die(FAIL_DATA, "%s: webp: %s", f->name, reason(status));
    if (config.input.has_animation) die(FAIL_DATA, "%s: webp: an animation; expected a single picture", f->name);
    image_check_size(f, (uint64_t)config.input.width, (uint64_t)config.input.height);
    struct image out = image_new(a, config.input.width, config.input.height, 3);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out.pixels;
    config.output.u.RGBA.stride = out.W * 3;
    config.output.u.RGBA.size = (size_t)out.W * (size_t)out.H * 3;
    status = WebPDecode(f->data, f->n, &config);
    WebPFreeDecBuffer(&config.output);
    if (status == VP8_STATUS_OUT_OF_MEMORY) die(FAIL_MEMORY, "%s: webp: out of memory", f->name);
    if (status != VP8_STATUS_OK) die(FAIL_DATA, "%s: webp: %s", f->name, reason(status));
    f->orientation = orientation(f);
    return out;
}
