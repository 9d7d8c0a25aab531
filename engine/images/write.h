/* Pictures out, in memory: publishing them whole is engine/base/file.h's. */
#ifndef ENGINE_IMAGES_WRITE_H
#define ENGINE_IMAGES_WRITE_H

#include "engine/images/comments.h"
#include "engine/images/image.h"

enum { QUALITY_DEFAULT = 90, QUALITY_LOSSLESS = 100 };

/* Of ".png", ".jpg", ".jpeg", ".webp", whatever the case; false for any other. */
bool image_format_named(const char *extension, enum image_format *format);
/* By the ending of a file's name; PNG for any other. */
enum image_format image_format_of(const char *name);

/* A file of the picture, RGB or grey (WebP has no grey: three equal channels), with the comments. quality 1..100 for JPEG and WebP; at 100
 * WebP keeps every pixel, as PNG always does. No time, no gamma: the same input gives the same bytes. *size receives the file's length. A
 * JPEG holds 64 KiB of Exif and as much XMP: what is more is left out with a warning. Dies FAIL_USAGE where the picture is larger than WebP
 * can be (16383). */
const void *image_encode(struct arena *a, enum image_format format, const struct image *image, struct image_comments comments, int quality,
                         size_t *size);

/* ---- one per format ---- */

/* tEXt where the text is printable Latin-1, else iTXt; in order, before the pixels. */
const void *png_encode(struct arena *a, const struct image *image, struct image_comments comments, size_t *size);
const void *jpeg_encode(struct arena *a, const struct image *image, struct image_comments comments, int quality, size_t *size);
const void *webp_encode(struct arena *a, const struct image *image, struct image_comments comments, int quality, size_t *size);

/* The comments that have a place in Exif, as a TIFF structure without "Exif\0\0"; NULL if there are none. */
const void *exif_encode(struct arena *a, struct image_comments comments, size_t *size);

#endif
