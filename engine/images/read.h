/* Pictures from strangers: PNG, JPEG and WebP, told apart by their first bytes. What comes out is what diffusers' load_image makes of the
 * file with Pillow: upright by its EXIF (or XMP) orientation, RGB; alpha, gamma and colour profile are ignored, not applied.
 *
 * Nothing is believed before it is checked, nothing large allocated before the file could hold it. Every failure dies FAIL_DATA (FAIL_INPUT
 * where there is no such file), one line "NAME: …", and leaves nothing behind once the arena goes. */
#ifndef ENGINE_IMAGES_READ_H
#define ENGINE_IMAGES_READ_H

#include "engine/images/image.h"

enum {
    IMAGE_SIDE_MAX = 16384,
    IMAGE_FILE_MAX = 512 << 20,   /* bytes of a file */
    IMAGE_PLAIN_MAX = 16 << 20,   /* pixels; with more than these the file must … */
    IMAGE_PIXELS_PER_BYTE = 4096, /* … have a byte for so many (solid colour has 1 for 1000 in PNG) */
};

/* The file's bytes, and what messages call it; "-" is standard input. */
const void *image_file_read(struct arena *a, const char *path, size_t *n, const char **name);
/* The file's picture; "-" is standard input. */
struct image image_read(struct arena *a, const char *path);
/* The same of n bytes in memory; name for messages. */
struct image image_decode(struct arena *a, const void *data, size_t n, const char *name);

/* ---- one per format: stored as in the file, RGB, not turned ---- */

struct image_file {
    const uint8_t *data;
    size_t n;
    const char *name;   /* for messages */
    struct arena *work; /* for what is needed while decoding */
    int orientation;    /* set by the decoder: 1 to 8, 1 where the file does not say */
};

struct image png_decode(struct arena *a, struct image_file *f);
struct image jpeg_decode(struct arena *a, struct image_file *f);
struct image webp_decode(struct arena *a, struct image_file *f);

/* By its first bytes; dies where it is none of these. */
enum image_format image_format_in(const struct image_file *f);

/* Dies unless a picture of W x H may be allocated for this file; the limits are those above. */
void image_check_size(const struct image_file *f, uint64_t W, uint64_t H);

/* Orientation in an EXIF block (TIFF, after its "Exif\0\0" if there), 0 where it is absent or malformed. */
int exif_orientation(const uint8_t *exif, size_t n);
/* tiff:Orientation in an XMP packet, 0 where it is absent. Pillow asks it where EXIF has none. */
int xmp_orientation(const uint8_t *xmp, size_t n);

#endif
