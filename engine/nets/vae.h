/* AutoencoderKL's decoder (Rombach et al. 2022; diffusers models/autoencoders/vae.py). */
#ifndef ENGINE_NETS_VAE_H
#define ENGINE_NETS_VAE_H

#include "engine/nets/blocks.h"

enum { VAE_LEVELS_MAX = 8, VAE_LATENTS_MAX = 64 };

struct vae_up_block {
    int n_resnets;
    struct resnet *resnets;
    struct weight *upsampler_w, *upsampler_b; /* NULL in the last block */
};

struct vae {
    int latent_channels, out_channels, n_levels, layers_per_block, groups;
    int block_out_channels[VAE_LEVELS_MAX];
    double scaling_factor;
    bool force_upcast;                                          /* fp16 has not the range for it; who heeds it is the pipeline's affair */
    int n_means, n_deviations;                                  /* -1: none */
    double means[VAE_LATENTS_MAX], deviations[VAE_LATENTS_MAX]; /* of the latents' channels */
    int factor;                                                 /* pixels per latent: 2^(n_levels-1) */
    int sample_size;                                            /* pixels of a tile's side (vae_tiles.h) */
    struct weight *post_quant_conv_w, *post_quant_conv_b;       /* [Z,Z] [Z], or NULL */
    struct weight *conv_in_w, *conv_in_b;
    struct resnet mid_resnets[2];
    bool mid_attention;
    struct attention_block mid_attn;
    struct vae_up_block up_blocks[VAE_LEVELS_MAX];
    struct weight *conv_norm_out_w, *conv_norm_out_b, *conv_out_w, *conv_out_b;
    struct vae_encoder *encoder; /* vae_encoder.h; NULL where the file has none. Its weights are loaded where it is planned */
};

struct vae *vae_bind(struct binder *binder);
/* x [N,H,W,Z], latents / scaling_factor    y [N,H*factor,W*factor,3] in about [-1,1] */
void vae_decode(struct device *dev, const struct vae *m, struct view y, struct view x);

#endif
