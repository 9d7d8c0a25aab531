/* Pictures in host memory, 8 bits a channel, and the moves that change no value: crop, paste, turn, grey. */
#ifndef ENGINE_IMAGES_IMAGE_H
#define ENGINE_IMAGES_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

enum image_format { IMAGE_PNG, IMAGE_JPEG, IMAGE_WEBP };

struct image {
    int W, H, C;     /* C: 3 is RGB, 1 is grey */
    uint8_t *pixels; /* [H,W,C], owned by the arena it was made in */
};

/* The region [x1,x2) x [y1,y2) in pixels. */
struct image_box {
    int x1, y1, x2, y2;
};

/* A black picture. */
struct image image_new(struct arena *a, int W, int H, int C);
/* Grey as Pillow's convert("L") makes it: (19595 R + 38470 G + 7471 B + 32768) >> 16. A grey picture is copied. */
struct image image_grey(struct arena *a, const struct image *in);
/* RGB: a grey picture with its value thrice, an RGB one as it is, its pixels not copied. */
struct image image_rgb(struct arena *a, const struct image *in);
/* Pillow's crop: what lies outside the picture is black. The box must not be empty. */
struct image image_crop(struct arena *a, const struct image *in, struct image_box box);
/* Copies `in` onto `on` with its corner at x, y (may be negative); what sticks out is left away. Same C. */
void image_paste(struct image *on, const struct image *in, int x, int y);
/* 255 - v everywhere, in place. */
void image_invert(struct image *image);
/* Upright from EXIF orientation 1 to 8 (others: as it is); W and H change places for 5 to 8. */
struct image image_orient(struct arena *a, const struct image *in, int orientation);

/* An empty arena for work in between: arena_free it as soon as it can go; it goes with `a` at the latest, after die() too. */
struct arena *image_scratch(struct arena *a);

#endif
