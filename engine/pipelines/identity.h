/* Which model it is, wherever it lies. */
#ifndef ENGINE_PIPELINES_IDENTITY_H
#define ENGINE_PIPELINES_IDENTITY_H

#include <stdint.h>
#include "engine/pipelines/model.h"

/* 64 hex digits of what pictures depend on: the contents of the configs, vocabularies and weights of the model's parts and its refiner's.
 * Weights go in as their hashes (weight_hash.h), which the first process that asks computes where they are not known: it waits for them. */
const char *model_identity(struct model *m);
/* The same of one of its ControlNets. */
const char *control_identity(struct model *m, const struct control_net *n);
/* Bytes of the large files they have to wait for; 0: none. */
uint64_t model_identity_unknown(struct model *m);

#endif
