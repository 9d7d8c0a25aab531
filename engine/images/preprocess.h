/* What is made of a picture before a ControlNet sees it. */
#ifndef ENGINE_IMAGES_PREPROCESS_H
#define ENGINE_IMAGES_PREPROCESS_H

#include <stdbool.h>
#include "engine/images/image.h"

/* "none", "canny" (100 and 200) or "canny:LOW,HIGH", each a number from 0 to 10000, the first no larger; "depth" or "depth:DIR". */
struct preprocess {
    bool canny, depth;
    double low, high;
    const char *estimator; /* DIR, in the text; NULL: the checkpoint's own */
};
bool preprocess_parse(const char *text, struct preprocess *p);

/* Canny's edges (1986), white on black, as OpenCV's Canny(in, low, high) finds them in 8 bits: 3x3 Sobel, |dx| + |dy| of the channel where
 * that is largest, pixels beyond the border as those on it. RGB in, RGB out. */
struct image image_canny(struct arena *a, const struct image *in, double low, double high);

#endif
