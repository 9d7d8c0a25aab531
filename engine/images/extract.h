/* Pictures for the networks that look at them (the safety checker's CLIP, the depth estimator's DPT), as transformers' CLIPImageProcessor
 * and DPTImageProcessor make them with torchvision, whose kind transformers 5 uses. */
#ifndef ENGINE_IMAGES_EXTRACT_H
#define ENGINE_IMAGES_EXTRACT_H

#include <stdbool.h>
#include "engine/base/json.h"
#include "engine/images/image.h"
#include "engine/images/resize.h"

/* preprocessor_config.json, defaults filled in. */
struct extractor {
    bool resize, center_crop, rescale, normalize;
    bool keep_aspect; /* DPT: the axis that changes less decides */
    int shortest;     /* > 0: the shorter side's length; else … */
    int W, H;         /* … the size */
    int multiple;     /* DPT: of this, each side */
    int crop_W, crop_H;
    enum resize_filter filter;
    float mean[3], std[3];
    float factor; /* of rescale */
};

/* Die FAIL_DATA (malformed) or FAIL_UNSUPPORTED, by key, for what is not done here. config NULL: the class's defaults. */
void extractor_clip(struct extractor *e, struct arena *a, const struct json *config);
void extractor_dpt(struct extractor *e, struct arena *a, const struct json *config);

/* The size in which a picture of W x H comes out. Dies FAIL_DATA where nothing would be left of it. */
void extractor_size(const struct extractor *e, int W, int H, int *out_W, int *out_H);
/* out [H,W,3] of that size, from RGB. */
void extractor_run(const struct extractor *e, struct arena *a, float *out, const struct image *in);

#endif
