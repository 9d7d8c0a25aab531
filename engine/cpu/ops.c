/* What one ISA's compilation has for the device. */
#include "engine/cpu/isa.h"
#include "engine/cpu/ops.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

extern const struct cpu_ops ISA_NAME(cpu_ops);
const struct cpu_ops ISA_NAME(cpu_ops) = {
    .isa = TEXT(ISA),
    .planning =
        {
            .linear = cpu_linear_plan,
            .linear_geglu = cpu_linear_geglu_plan,
            .conv2d = cpu_conv2d_plan,
            .group_norm = cpu_group_norm_plan,
            .layer_norm = cpu_layer_norm_plan,
            .attention = cpu_attention_plan,
            .embed = cpu_embed_plan,
            .sched_step = cpu_sched_step_plan,
        },
    .running =
        {
            .linear = cpu_linear,
            .linear_geglu = cpu_linear_geglu,
            .conv2d = cpu_conv2d,
            .group_norm = cpu_group_norm,
            .layer_norm = cpu_layer_norm,
            .attention = cpu_attention,
            .embed = cpu_embed,
            .timestep_embed = cpu_timestep_embed,
            .silu = cpu_silu,
            .modulate = cpu_modulate,
            .add = cpu_add,
            .resize = cpu_resize,
            .max_pool = cpu_max_pool,
            .model_input = cpu_model_input,
            .set_schedule = cpu_set_schedule,
            .next_row = cpu_next_row,
            .row_input = cpu_row_input,
            .sched_step = cpu_sched_step,
            .to_rgb8 = cpu_to_rgb8,
            .upload = cpu_upload,
            .download = cpu_download,
            .upload_latents = cpu_upload_latents,
            .download_latents = cpu_download_latents,
        },
};
