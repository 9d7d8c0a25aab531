/* The safety checker's part of a picture, as StableDiffusionPipeline.run_safety_checker has it: the picture as bytes, through the
 * feature extractor's resize, crop and normalisation, through the checker. */
#ifndef ENGINE_PIPELINES_SAFETY_H
#define ENGINE_PIPELINES_SAFETY_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"

struct model;
struct request;

/* Reads the feature extractor's config into m->extractor. Dies FAIL_DATA or FAIL_UNSUPPORTED. */
void safety_open(struct model *m);
/* Dies FAIL_UNSUPPORTED where the extractor makes another size of the request's pictures than the checker takes. */
void safety_check(const struct request *r);
/* The checker's part of request_plan. */
void safety_plan(const struct request *r);
/* Is it flagged?        rgb [height,width,3] of the request's size */
bool safety_flags(const struct request *r, struct arena *a, uint8_t *rgb);

#endif
