#include "engine/images/write.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum image_format image_format_of(const char *name) {
    const char *dot = strrchr(name, '.');
    if (dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"))) return IMAGE_JPEG;
    return dot && !strcasecmp(dot, ".webp") ? IMAGE_WEBP : IMAGE_PNG;
}

const void *image_encode(struct arena *a, enum image_format format, const struct image *image, struct image_comments comments, int quality,
                         size_t *size) {
    assert((image->C == 3 || image->C == 1) && quality >= 1 && quality <= 100);
    if (format == IMAGE_JPEG) return jpeg_encode(a, image, comments, quality, size);
    if (format == IMAGE_WEBP) return webp_encode(a, image, comments, quality, size);
    return png_encode(a, image, comments, size);
}
