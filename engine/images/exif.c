#include "engine/images/read.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x112, TYPE_SHORT = 3, TYPE_LONG = 4, IFD_ENTRY = 12 };

struct tiff {
    const uint8_t *p;
    size_t n;
    bool big_endian;
};

/* 2 or 4 bytes; the caller has checked that they are there. */
static uint32_t get(const struct tiff *t, size_t at, int bytes) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | t->p[at + (size_t)(t->big_endian ? i : bytes - 1 - i)];
    return v;
}

int exif_orientation(const uint8_t *exif, size_t n) {
    while (n >= 6 && !memcmp(exif, "Exif\0\0", 6)) exif += 6, n -= 6;
    if (n < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0)) return 0;
    struct tiff t = {exif, n, exif[0] == 'M'};
    size_t ifd = get(&t, 4, 4);
    if (ifd > n - 2) return 0;
    int value = 0;
    for (size_t i = 0, entries = get(&t, ifd, 2), at = ifd + 2; i < entries && at + IFD_ENTRY <= n; i++, at += IFD_ENTRY) {
        uint32_t type = get(&t, at + 2, 2);
        if (get(&t, at, 2) != TAG_ORIENTATION || get(&t, at + 4, 4) != 1 || (type != TYPE_SHORT && type != TYPE_LONG)) continue;
        uint32_t v = get(&t, at + 8, type == TYPE_SHORT ? 2 : 4);
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
