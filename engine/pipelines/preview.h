/* The picture on its way without its VAE, for a tenth of a thousandth of its time: each colour of a latent's pixels a linear function of
 * the latent's channels. The functions are the checkpoint's own, whatever its VAE: least squares over what that makes of random latents,
 * once for each model. (Elsewhere they are tables of a few families of models.) */
#ifndef ENGINE_PIPELINES_PREVIEW_H
#define ENGINE_PIPELINES_PREVIEW_H

#include "engine/pipelines/picture.h"

/* Why a picture of the request is not shown on its way, or NULL. */
const char *preview_missing(const struct request *r);
/* From on_step, r->snapshots being set: the picture after `row`, one pixel for each latent, or all of them where there is no VAE. Latents
 * that are still as loud as their noise are brought to the scale of those that the VAE knows. The latents stay what they are. */
struct image preview_draw(struct arena *a, struct picture *p, int row);

#endif
