/* The latents a picture begins with: noise, or a picture's and noise, and what lies beside them for all rows. */
#ifndef ENGINE_PIPELINES_BEGIN_H
#define ENGINE_PIPELINES_BEGIN_H

#include "engine/pipelines/picture.h"

/* The draws in diffusers' order: the picture's latents, the noise, the masked picture's latents (drawn also where nothing reads them). */
void picture_begin(struct picture *p);

#endif
