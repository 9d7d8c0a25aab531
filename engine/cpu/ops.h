/* The ops, for the files that define them: those that the Makefile compiles once for each ISA (isa.h).
 *
 * Each op has two functions: cpu_X_plan, called while planning, which picks the algorithm and the weight's layout
 * and reserves scratch; and cpu_X, which computes. Ops without weights or scratch have no plan. The contract of engine/ops.h has been
 * asserted by then (engine/ops_check.h). */
#ifndef ENGINE_CPU_OPS_H
#define ENGINE_CPU_OPS_H

#include "engine/cpu/cpu.h"

/* NAME_avx2 where ISA, of the compiler's command line, is avx2. */
#define ISA_JOIN(name, isa) name##_##isa
#define ISA_ENDING(name, isa) ISA_JOIN(name, isa)
#define ISA_NAME(name) ISA_ENDING(name, ISA)

/* All that one of these files has for another: the linker says which name is missing here. */
#define cpu_add ISA_NAME(cpu_add)
#define cpu_attention ISA_NAME(cpu_attention)
#define cpu_attention_plan ISA_NAME(cpu_attention_plan)
#define cpu_conv2d ISA_NAME(cpu_conv2d)
#define cpu_conv2d_plan ISA_NAME(cpu_conv2d_plan)
#define cpu_download ISA_NAME(cpu_download)
#define cpu_download_latents ISA_NAME(cpu_download_latents)
#define cpu_embed ISA_NAME(cpu_embed)
#define cpu_embed_plan ISA_NAME(cpu_embed_plan)
#define cpu_group_norm ISA_NAME(cpu_group_norm)
#define cpu_group_norm_plan ISA_NAME(cpu_group_norm_plan)
#define cpu_layer_norm ISA_NAME(cpu_layer_norm)
#define cpu_layer_norm_plan ISA_NAME(cpu_layer_norm_plan)
#define cpu_linear ISA_NAME(cpu_linear)
#define cpu_linear_geglu ISA_NAME(cpu_linear_geglu)
#define cpu_linear_geglu_plan ISA_NAME(cpu_linear_geglu_plan)
#define cpu_linear_plan ISA_NAME(cpu_linear_plan)
#define cpu_max_pool ISA_NAME(cpu_max_pool)
#define cpu_model_input ISA_NAME(cpu_model_input)
#define cpu_modulate ISA_NAME(cpu_modulate)
#define cpu_next_row ISA_NAME(cpu_next_row)
#define cpu_resize ISA_NAME(cpu_resize)
#define cpu_row_input ISA_NAME(cpu_row_input)
#define cpu_sched_step ISA_NAME(cpu_sched_step)
#define cpu_sched_step_plan ISA_NAME(cpu_sched_step_plan)
#define cpu_set_schedule ISA_NAME(cpu_set_schedule)
#define cpu_silu ISA_NAME(cpu_silu)
#define cpu_timestep_embed ISA_NAME(cpu_timestep_embed)
#define cpu_to_rgb8 ISA_NAME(cpu_to_rgb8)
#define cpu_upload ISA_NAME(cpu_upload)
#define cpu_upload_latents ISA_NAME(cpu_upload_latents)
#define conv_direct_plan ISA_NAME(conv_direct_plan)
#define conv_direct ISA_NAME(conv_direct)
#define conv_narrow_fits ISA_NAME(conv_narrow_fits)
#define conv_narrow_packed ISA_NAME(conv_narrow_packed)
#define conv_narrow_plan ISA_NAME(conv_narrow_plan)
#define conv_narrow ISA_NAME(conv_narrow)
#define conv_winograd_fits ISA_NAME(conv_winograd_fits)
#define conv_winograd_packed ISA_NAME(conv_winograd_packed)
#define conv_winograd_plan ISA_NAME(conv_winograd_plan)
#define conv_winograd ISA_NAME(conv_winograd)
#define gemm_fits ISA_NAME(gemm_fits)
#define gemm_packed ISA_NAME(gemm_packed)
#define gemm_plan ISA_NAME(gemm_plan)
#define gemm_run ISA_NAME(gemm_run)
#define linear_dnnl ISA_NAME(linear_dnnl)
#define linear_dnnl_geglu ISA_NAME(linear_dnnl_geglu)
#define linear_dnnl_geglu_plan ISA_NAME(linear_dnnl_geglu_plan)
#define linear_dnnl_plan ISA_NAME(linear_dnnl_plan)
#define panel_gemm ISA_NAME(panel_gemm)

op_conv2d cpu_conv2d_plan, cpu_conv2d;
op_linear cpu_linear_plan, cpu_linear;
op_linear_geglu cpu_linear_geglu_plan, cpu_linear_geglu;
op_attention cpu_attention_plan, cpu_attention;
op_group_norm cpu_group_norm_plan, cpu_group_norm;
op_layer_norm cpu_layer_norm_plan, cpu_layer_norm;
op_embed cpu_embed_plan, cpu_embed;
op_timestep_embed cpu_timestep_embed;
op_silu cpu_silu;
op_modulate cpu_modulate;
op_add cpu_add;
op_resize cpu_resize;
op_max_pool cpu_max_pool;
op_model_input cpu_model_input;
op_set_schedule cpu_set_schedule;
op_next_row cpu_next_row;
op_row_input cpu_row_input;
op_sched_step cpu_sched_step_plan, cpu_sched_step;
op_to_rgb8 cpu_to_rgb8;
op_upload cpu_upload;
op_download cpu_download;
op_upload_latents cpu_upload_latents;
op_download_latents cpu_download_latents;

#endif
