/* Planning of the ops that need neither weights nor scratch, the same on every device: shapes are checked. */
#ifndef ENGINE_PLAN_OPS_H
#define ENGINE_PLAN_OPS_H

#include "engine/ops.h"

op_silu plan_silu;
op_modulate plan_modulate;
op_add plan_add;
op_model_input plan_model_input;
op_set_schedule plan_set_schedule;
op_next_row plan_next_row;
op_row_input plan_row_input;
op_upload plan_upload;
op_download plan_download;
op_upload_latents plan_latents; /* and of download_latents */

#endif
