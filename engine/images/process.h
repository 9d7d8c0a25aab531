/* Pictures on their way to a network and back, as diffusers' VaeImageProcessor handles them. */
#ifndef ENGINE_IMAGES_PROCESS_H
#define ENGINE_IMAGES_PROCESS_H

#include <stdbool.h>
#include "engine/images/image.h"
#include "engine/images/resize.h"

enum resize_mode {
    RESIZE_STRETCH, /* "default": both axes to size, the aspect is not kept */
    RESIZE_FILL,    /* the whole picture fits; above and below (or left and right) its edge rows go on */
    RESIZE_CROP,    /* covers the size; what sticks out goes */
    RESIZE_CUT,     /* nothing is scaled: the middle of it, for a size no larger than the picture's */
};

/* To W x H. Dies FAIL_DATA where the picture is so thin that it would have no width or height left. */
struct image image_resize(struct arena *a, const struct image *in, int W, int H, enum resize_mode mode, enum resize_filter filter);

/* out [H,W,C] = v / 255, for ControlNet; and 2 (v / 255) - 1, for the VAE; to the last bit as numpy and torch compute them. */
void image_unit(float *out, const struct image *in);
void image_signed(float *out, const struct image *in);

/* ---- masks: grey, white is repainted ---- */

/* out [H,W] = 1 where the grey mask is 128 or more, else 0. */
void mask_binarize(float *out, const struct image *mask);
/* Pillow's GaussianBlur: three box blurs. radius > 0 */
struct image image_blur(struct arena *a, const struct image *in, float radius);
/* Where padding_mask_crop works: the mask's non-zero part, grown by pad and then to the aspect W : H as far as the picture goes. False
 * where the mask is all black. */
bool mask_crop_region(const struct image *mask, int W, int H, int pad, struct image_box *box);
/* `made` (resized as RESIZE_CROP into box, black around it, where box is given) under the original, which covers it where the mask is
 * black. mask: grey, of original's size; without a box made has that size too. The filter is the processor's. */
struct image image_overlay(struct arena *a, const struct image *original, const struct image *mask, const struct image *made,
                           const struct image_box *box, enum resize_filter filter);

#endif
