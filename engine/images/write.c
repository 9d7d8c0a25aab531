#include "engine/images/write.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *extension;
    enum image_format format;
} formats[] = {{".png", IMAGE_PNG}, {".jpg", IMAGE_JPEG}, {".jpeg", IMAGE_JPEG}, {".webp", IMAGE_WEBP}};

bool image_format_named(const char *extension, enum image_format *format) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcasecmp(extension, formats[i].extension)) return *format = formats[i].format, true;
    return false;
}

enum image_format image_format_of(const char *name) {
    const char *dot = strrchr(name, '.');
    enum image_format format = IMAGE_PNG;
    if (dot) image_format_named(dot, &format);
    return format;
}

const void *image_encode(struct arena *a, enum image_format format, const struct image *image, struct image_comments comments, int quality,
                         size_t *size) {
    assert((image->C == 3 || image->C == 1) && quality >= 1 && quality <= 100);
    if (format == IMAGE_JPEG) return jpeg_encode(a, image, comments, quality, size);
    if (format == IMAGE_WEBP) return webp_encode(a, image, comments, quality, size);
    return png_encode(a, image, comments, size);
}
