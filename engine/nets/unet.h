/* The denoisers: UNet2DConditionModel (diffusers models/unets/unet_2d_condition.py) of SD 1.x and 2.x, which attends to a prompt, and
 * UNet2DModel (unet_2d.py) of DDPM, which does not. They differ in the attention between their resnets. */
#ifndef ENGINE_NETS_UNET_H
#define ENGINE_NETS_UNET_H

#include "engine/nets/blocks.h"
#include "engine/nets/denoiser.h"

enum { UNET_LEVELS_MAX = 8, UNET_LAYERS_MAX = 32 };

enum unet_attention {
    ATTENTION_NONE,  /* DownBlock2D, UpBlock2D */
    ATTENTION_CROSS, /* CrossAttnDownBlock2D, …: a transformer after each resnet */
    ATTENTION_SELF,  /* AttnDownBlock2D, …: an attention block after each resnet */
};

struct unet_level {
    enum unet_attention attention;
    int n_layers;
    struct resnet *resnets;               /* n_layers */
    struct transformer *transformers;     /* n_layers, where ATTENTION_CROSS */
    struct attention_block *attentions;   /* n_layers, where ATTENTION_SELF */
    struct weight *sampler_w, *sampler_b; /* down- or up-sampler [C,C,3,3], NULL at the last level */
};

struct unet {
    bool conditional;                /* UNet2DConditionModel: takes a prompt */
    int sample_height, sample_width; /* default size of its input */
    int size_multiple, size_least;   /* of height and width of its input: multiples of the one, from the other on, itself one */
    int in_channels, out_channels, n_levels, groups, attention_groups, cross_dim, downsample_padding;
    int block_out_channels[UNET_LEVELS_MAX];
    int layers_per_block[UNET_LEVELS_MAX], n_heads[UNET_LEVELS_MAX];
    int down_blocks[UNET_LEVELS_MAX][UNET_LAYERS_MAX], up_blocks[UNET_LEVELS_MAX][UNET_LAYERS_MAX + 1], mid_blocks; /* per transformer */
    enum unet_attention down_attention[UNET_LEVELS_MAX], up_attention[UNET_LEVELS_MAX], mid_attention;
    bool flip_sin_to_cos;
    bool scale_shift; /* resnets take a scale and a shift from the time embedding, not an addend */
    float freq_shift, eps;
    int guidance_dim;          /* of the sinusoid of the guidance that goes into the time embedding (latent consistency models); 0: none */
    int added_dim, number_dim; /* SDXL: of what is added to the time embedding, and of each number's sinusoid in it; or 0 */

    struct weight *cond_proj_w; /* [C,guidance_dim], where there is one */
    struct weight *time_linear_1_w, *time_linear_1_b, *time_linear_2_w, *time_linear_2_b;
    struct weight *add_linear_1_w, *add_linear_1_b, *add_linear_2_w, *add_linear_2_b; /* where added_dim */
    struct weight *time_emb_proj_w, *time_emb_proj_b; /* every resnet's projection, stacked: [n_temb,E] [n_temb] */
    int n_temb;
    int n_transformer_blocks;
    struct weight *conv_in_w, *conv_in_b;
    struct unet_level down[UNET_LEVELS_MAX], up[UNET_LEVELS_MAX];
    int n_mid_resnets; /* 2, with attention between them if any; 1; or 0: there is no middle */
    struct resnet mid_resnets[2];
    struct transformer mid_transformer; /* where mid_attention is ATTENTION_CROSS */
    struct attention_block mid_attn;    /* where it is ATTENTION_SELF */
    struct weight *conv_norm_out_w, *conv_norm_out_b, *conv_out_w, *conv_out_b;
};

/* Fills the configuration's part of *m; dies FAIL_DATA, FAIL_UNSUPPORTED. */
void unet_read_config(struct unet *m, const struct json *config, bool conditional);
/* The same of what a ControlNet shares with a UNet2DConditionModel: all but the way up. */
void unet_read_encoder_config(struct unet *m, const struct json *config);
/* Binds that part alone: time embedding, conv_in, the way down, the middle. */
void unet_bind_encoder(struct unet *m, struct binder *binder);
/* Reads the config and binds every tensor; lives in the binder's arena. */
struct unet *unet_bind(struct binder *binder);

/* What depends on the conditions and the timesteps alone, computed once a run. */
struct unet_run {
    struct view temb;    /* [1,1,n_rows,M*n_temb]: M is 1, or each image's own where something is added */
    struct view *kv;     /* n_transformer_blocks views [N,1,T,2C], in order of use … */
    const int *n_tokens; /* … [N]: of each image the first so many of the T count; NULL: all */
};
/* The context is there where the UNet is conditional, what is added where added_dim; t: n_rows host floats. Views in the device's arena,
 * *run in `a`. */
struct unet_run *unet_prepare(struct device *dev, const struct unet *m, struct arena *a, const struct conditions *given, const float *t,
                              int n_rows);

enum { UNET_SKIPS_MAX = UNET_LEVELS_MAX * (UNET_LAYERS_MAX + 1) + 1 };
/* Channels of each skip, in order of production; returns how many. */
int unet_skips(const struct unet *m, int channels[UNET_SKIPS_MAX]);

/* The model output at the timestep that temb [1,1,1,M*n_temb], a row of run->temb, stands for.
 *   x [N,H,W,in_channels]   y [N,H,W,out_channels]; H, W multiples of size_multiple, from size_least on
 *   controls: nets that add to its skips and its middle, or NULL (controlnet.h) */
void unet_forward(struct device *dev, const struct unet *m, const struct unet_run *run, struct view y, struct view x, struct view temb,
                  const struct controls *controls);

/* What the way up reads: the skips in order of production, and what the middle makes. */
struct unet_features {
    int n;
    struct view skips[UNET_SKIPS_MAX], mid;
};
/* The way down and the middle alone, of a net without a way up. addend [N,H,W,C0] is added to what conv_in makes. Views in the device's
 * arena. */
void unet_encode(struct device *dev, const struct unet *m, const struct unet_run *run, struct unet_features *y, struct view x,
                 struct view temb, struct view addend);

#endif
