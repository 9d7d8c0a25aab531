#include "engine/images/containers.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x112 };

int exif_orientation(const uint8_t *exif, size_t n) {
    struct tiff t;
    struct tiff_entry e;
    int value = 0;
    if (!tiff_open(&t, exif, n)) return 0;
    for (size_t i = 0; tiff_entry(&t, t.ifd, i, &e); i++) {
        if (e.tag != TAG_ORIENTATION || e.count != 1 || (e.type != TIFF_SHORT && e.type != TIFF_LONG)) continue;
        uint32_t v = tiff_number(&t, &e);
        value = v >= 1 && v <= 8 ? (int)v : 1;
    }
    return value;
}

/* tiff:Orientation="6" or tiff:Orientation>6 */
int xmp_orientation(const uint8_t *xmp, size_t n) {
    static const char name[] = "tiff:Orientation";
    const uint8_t *end = xmp + n;
    while ((xmp = memmem(xmp, (size_t)(end - xmp), name, sizeof name - 1)) != NULL) {
        xmp += sizeof name - 1;
        size_t skip = end - xmp >= 3 && !memcmp(xmp, "=\"", 2) ? 2 : end - xmp >= 2 && *xmp == '>' ? 1 : 0;
        if (skip && xmp[skip] >= '0' && xmp[skip] <= '9') return xmp[skip] - '0';
    }
    return 0;
}
