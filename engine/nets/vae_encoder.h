/* AutoencoderKL's encoder (Rombach et al. 2022; diffusers models/autoencoders/vae.py): pictures to the mean and log variance of latents. */
#ifndef ENGINE_NETS_VAE_ENCODER_H
#define ENGINE_NETS_VAE_ENCODER_H

#include "engine/nets/vae.h"

struct vae_down_block {
    int n_resnets;
    struct resnet *resnets;
    struct weight *downsampler_w, *downsampler_b; /* NULL in the last block */
};

struct vae_encoder {
    const struct vae *vae;
    struct weight *conv_in_w, *conv_in_b;
    struct vae_down_block down_blocks[VAE_LEVELS_MAX];
    struct resnet mid_resnets[2];
    struct attention_block mid_attn; /* where the decoder has one */
    struct weight *conv_norm_out_w, *conv_norm_out_b, *conv_out_w, *conv_out_b;
    struct weight *quant_conv_w, *quant_conv_b; /* [2Z,2Z] [2Z], or NULL */
};

/* NULL where the file has no encoder; else every tensor is bound. */
struct vae_encoder *vae_encoder_bind(struct binder *binder, const struct vae *m);
/* x [1,H,W,3] in [-1,1], H and W multiples of the factor    y [1,H/factor,W/factor,2Z]: mean, then log variance */
void vae_encode(struct device *dev, const struct vae_encoder *m, struct view y, struct view x);

#endif
