/* What every device has in front of its ops: the contract of ops.h asserted, for planning, running and counting alike; and images that
 * do not lie back to back (view_tokens) handed on one at a time, so that the device's own ops, but attention, know whole views only. */
#ifndef ENGINE_OPS_CHECK_H
#define ENGINE_OPS_CHECK_H

#include "engine/ops.h"

/* A device's `ops`; they call its `own`. */
extern const struct ops ops_checked;

#endif
