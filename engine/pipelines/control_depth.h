/* A ControlNet's picture as the depth of what it shows, estimated by a DPT: white is near (transformers pipelines/depth_estimation.py). */
#ifndef ENGINE_PIPELINES_CONTROL_DEPTH_H
#define ENGINE_PIPELINES_CONTROL_DEPTH_H

#include "engine/pipelines/controls.h"

/* Opens what n->path names: a checkpoint with a 'depth_estimator' and its 'feature_extractor', or the folder of a DPTForDepthEstimation,
 * its preprocessor_config.json beside it. Dies FAIL_INPUT, FAIL_DATA, FAIL_UNSUPPORTED. */
void control_depth_open(struct arena *a, struct control_net *n);
/* d->seen from a picture. Dies FAIL_UNSUPPORTED where the estimator does not take it. */
void control_depth_see(struct arena *a, struct control_depth *d, const struct image *picture);
/* The map of a picture of that size, grey in RGB; without pixels while the device plans. */
struct image control_depth_run(struct arena *a, struct device *dev, const struct control_depth *d, int W, int H);

#endif
