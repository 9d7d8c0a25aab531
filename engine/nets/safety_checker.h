/* The checker of SD 1.x's pictures (diffusers pipelines/stable_diffusion/safety_checker.py): a picture whose CLIP embedding lies too near
 * one of 17 concepts is flagged, and sooner where it also lies near one of 3 that want special care. */
#ifndef ENGINE_NETS_SAFETY_CHECKER_H
#define ENGINE_NETS_SAFETY_CHECKER_H

#include "engine/nets/clip_vision.h"

enum { SAFETY_SPECIAL = 3, SAFETY_CONCEPTS = 17, SAFETY_ALL = SAFETY_SPECIAL + SAFETY_CONCEPTS };

struct safety_checker {
    struct clip_vision vision;
    int projection_dim;               /* P */
    struct weight *visual_projection; /* [P,C] */
    /* Read on the host, a few KB a picture; no device loads them. */
    struct weight *special_care_embeds, *concept_embeds;                 /* [3,P] [17,P] */
    struct weight *special_care_embeds_weights, *concept_embeds_weights; /* [3] [17]: how near is too near */
};

/* Reads the config and binds every tensor; dies FAIL_DATA or FAIL_UNSUPPORTED. Lives in the binder's arena. */
struct safety_checker *safety_checker_bind(struct binder *binder);

/* y = visual_projection(the vision tower's class token)        x [1,S,S,3]   y [1,1,1,P] */
void safety_checker_embed(struct device *dev, const struct safety_checker *m, struct view y, struct view x);

/* Of a picture's embedding and each of the embeddings compared with, and how much of it is allowed: the special ones first. */
struct safety_cosines {
    float cosine[SAFETY_ALL], allowed[SAFETY_ALL];
};
/* embeds: host [P]. Dies FAIL_IO where the file cannot be read any more. */
struct safety_cosines safety_checker_compare(const struct safety_checker *m, struct arena *a, const float *embeds);
/* scores: by how much each is too near, in thousandths rounded as numpy does; above 0 flags. True if one of the 17 does. */
bool safety_checker_rule(const struct safety_cosines *c, float scores[SAFETY_ALL]);

#endif
