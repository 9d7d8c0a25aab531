/* libwebp's decoder, which fails by return code and frees what is its own; the container's chunks are walked here for the orientation. */
#include <webp/decode.h>

#include <string.h>
#include "engine/base/error.h"
#include "engine/images/containers.h"

static int orientation(const struct image_file *f) {
    int exif = 0, xmp = 0;
    struct image_chunk chunk;
    for (size_t at = WEBP_CHUNKS; webp_chunk(f, &at, &chunk);) {
        if (!memcmp(chunk.type, "EXIF", 4)) exif = exif_orientation(chunk.body, chunk.n);
        if (!memcmp(chunk.type, "XMP ", 4)) xmp = xmp_orientation(chunk.body, chunk.n);
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
