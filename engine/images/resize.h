/* Resizing to the last bit as the two libraries do that pictures go through before diffusers: Pillow and torchvision.
 *
 * Both sum the same weights (a filter widened by the reduction, cut at the border, normalised) in fixed point, axis by axis, rounding to
 * 8 bits in between. They differ in the weights' precision and in which axis comes first, so by a level here and there. */
#ifndef ENGINE_IMAGES_RESIZE_H
#define ENGINE_IMAGES_RESIZE_H

#include "engine/images/image.h"

enum resize_filter { /* Pillow's numbers, as preprocessor_config.json has them */
                     RESIZE_NEAREST = 0,
                     RESIZE_LANCZOS = 1,
                     RESIZE_BILINEAR = 2,
                     RESIZE_BICUBIC = 3,
                     RESIZE_BOX = 4,
                     RESIZE_HAMMING = 5,
};

/* Pillow 13's Image.resize((W, H), filter). W, H > 0. */
struct image resize_pillow(struct arena *a, const struct image *in, int W, int H, enum resize_filter filter);
/* torchvision's resize of uint8, antialias on; bilinear and bicubic only. */
struct image resize_torchvision(struct arena *a, const struct image *in, int W, int H, enum resize_filter filter);

enum resize_edge { EDGE_TOP, EDGE_BOTTOM, EDGE_LEFT, EDGE_RIGHT };
/* What Pillow makes of the strip without thickness at an edge, bicubically enlarged to n pixels: the bands of "fill". */
struct image resize_edge(struct arena *a, const struct image *in, enum resize_edge edge, int n);

#endif
