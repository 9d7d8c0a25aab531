/* What a picture says about itself: texts under keywords, in PNG, JPEG and WebP. */
#ifndef ENGINE_IMAGES_COMMENTS_H
#define ENGINE_IMAGES_COMMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/base/arena.h"

/* The keywords that JPEG and WebP have a place for:
 *   "parameters"         Exif's UserComment in UTF-16, where AUTOMATIC1111 and its readers have it
 *   "diffuse"            Exif's MakerNote
 *   "Software"           Exif's Software
 *   "XML:com.adobe.xmp"  the XMP packet */
struct image_comment {
    const char *keyword; /* 1..79 Latin-1 bytes */
    const char *text;    /* UTF-8 */
    bool international;  /* PNG: iTXt even where tEXt could hold it */
};

struct image_comments {
    const struct image_comment *items;
    int n;
};

/* The text with that keyword, the first of several; or NULL. */
const char *comment_text(struct image_comments comments, const char *keyword);

enum { COMMENT_MAX = 1 << 20 /* bytes of one text, unpacked */, COMMENTS_MAX = 64 };

/* The comments of the file's n bytes, from a stranger: what image_encode wrote, and what other programs write where they put theirs. PNG:
 * tEXt (Latin-1, or UTF-8 against the rules), zTXt, iTXt and eXIf, before and behind the pixels; JPEG: Exif; WebP: Exif. Exif's IFD0 may
 * hold "prompt:…", which is then a comment of that keyword, as ComfyUI's nodes write it. Each text is UTF-8 without NUL. name: for
 * messages. Dies FAIL_DATA where the file is none of these, is cut off, or holds more or larger texts than the limits; the pixels are not
 * looked at. */
struct image_comments image_comments_read(struct arena *a, const void *data, size_t n, const char *name);

#endif
