/* What PNG, WebP and Exif blocks are lists of: shared by those who look for pixels and those who look for texts. */
#ifndef ENGINE_IMAGES_CONTAINERS_H
#define ENGINE_IMAGES_CONTAINERS_H

#include <stdbool.h>
#include "engine/images/read.h"

struct image_chunk {
    const uint8_t *type; /* 4 bytes */
    const uint8_t *body; /* n bytes, all within the file */
    size_t n;
};

enum { PNG_CHUNKS = 8, WEBP_CHUNKS = 12 }; /* offset of the first one */

/* The chunk at *at, which moves on. Dies FAIL_DATA where the file ends before it or within. CRCs are not looked at. */
struct image_chunk png_chunk(const struct image_file *f, size_t *at);
/* The same; false where there is no whole one. */
bool webp_chunk(const struct image_file *f, size_t *at, struct image_chunk *chunk);

/* ---- Exif: a TIFF structure without pixels ---- */

enum { TIFF_BYTE = 1, TIFF_ASCII = 2, TIFF_SHORT = 3, TIFF_LONG = 4, TIFF_UNDEFINED = 7 };

struct tiff {
    const uint8_t *p;
    size_t n;
    bool big_endian;
    size_t ifd; /* the first directory */
};

struct tiff_entry {
    uint32_t tag, type, count;
    size_t at; /* of its four bytes, which are in the block: the value, or where it lies */
};

/* The block, after its "Exif\0\0" if there. False: none that can be read. */
bool tiff_open(struct tiff *t, const uint8_t *exif, size_t n);
/* Entry i of the directory at offset ifd; false behind the last that is there. */
bool tiff_entry(const struct tiff *t, size_t ifd, size_t i, struct tiff_entry *e);
/* The value, where it is one number. */
uint32_t tiff_number(const struct tiff *t, const struct tiff_entry *e);
/* The e->count bytes of a BYTE (as Pillow writes what is UNDEFINED), ASCII or UNDEFINED entry; NULL where they are not all there. */
const uint8_t *tiff_bytes(const struct tiff *t, const struct tiff_entry *e);

#endif
