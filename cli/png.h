/* PNG files, in memory: publishing them whole is engine/base/file.h's. */
#ifndef CLI_PNG_H
#define CLI_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct png_comment {
    const char *keyword; /* 1..79 Latin-1 bytes */
    const char *text;    /* UTF-8 */
    bool international;  /* iTXt even where tEXt could hold it */
};

/* A PNG file of 8-bit RGB with the comments, in order, before the pixels: tEXt where the text is printable Latin-1, else iTXt. No time,
 * no gamma: the same input gives the same bytes.   rgb: [H,W,3]   *size receives the file's length. */
const void *png_encode(struct arena *a, const uint8_t *rgb, int W, int H, const struct png_comment *comments, int n_comments, size_t *size);

#endif
