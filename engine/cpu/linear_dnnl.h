/* Linear layers by oneDNN; linear.c chooses. */
#ifndef ENGINE_CPU_LINEAR_DNNL_H
#define ENGINE_CPU_LINEAR_DNNL_H

#include "engine/cpu/ops.h"

op_linear linear_dnnl_plan, linear_dnnl;
op_linear_geglu linear_dnnl_geglu_plan, linear_dnnl_geglu;

#endif
