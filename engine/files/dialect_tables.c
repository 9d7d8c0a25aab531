/* Who calls which tensor what. Published by what diffusers' loaders/single_file_utils.py reads, and checked against it. */
#include "engine/files/dialect.h"

#include <stddef.h>

#define END \
    { .ours = NULL }

/* Only layers that are themselves "attentions.N" were saved under these names: those of VAEs and of UNet2DModel. */
static const struct rename old_attention[] = {
    {"attentions.#.to_q.", "attentions.{a}.query.", TAKE_ALL},
    {"attentions.#.to_k.", "attentions.{a}.key.", TAKE_ALL},
    {"attentions.#.to_v.", "attentions.{a}.value.", TAKE_ALL},
    {"attentions.#.to_out.0.", "attentions.{a}.proj_attn.", TAKE_ALL},
    END,
};
const struct dialect dialect_old_attention = {"", old_attention};

/* CompVis' and Stability's UNet: blocks are counted through, three of ours to a level, the sampler its own or behind the third. */
#define UNET_NAMES                                                                                                                        \
    {"resnets.#.norm1.", "resnets.{a}.in_layers.0.", TAKE_ALL}, {"resnets.#.conv1.", "resnets.{a}.in_layers.2.", TAKE_ALL},               \
        {"resnets.#.time_emb_proj.", "resnets.{a}.emb_layers.1.", TAKE_ALL}, {"resnets.#.norm2.", "resnets.{a}.out_layers.0.", TAKE_ALL}, \
        {"resnets.#.conv2.", "resnets.{a}.out_layers.3.", TAKE_ALL},                                                                      \
        {"resnets.#.conv_shortcut.", "resnets.{a}.skip_connection.", TAKE_ALL},                                                           \
        {"down_blocks.#.resnets.#.", "input_blocks.{1+3a+b}.0.", TAKE_ALL},                                                               \
        {"down_blocks.#.attentions.#.", "input_blocks.{1+3a+b}.1.", TAKE_ALL},                                                            \
        {"down_blocks.#.downsamplers.0.conv.", "input_blocks.{3+3a}.0.op.", TAKE_ALL},                                                    \
        {"mid_block.resnets.#.", "middle_block.{2a}.", TAKE_ALL}, {"mid_block.attentions.0.", "middle_block.1.", TAKE_ALL},               \
        {"up_blocks.#.resnets.#.", "output_blocks.{3a+b}.0.", TAKE_ALL},                                                                  \
        {"up_blocks.#.attentions.#.", "output_blocks.{3a+b}.1.", TAKE_ALL},                                                               \
        {"up_blocks.#.upsamplers.0.conv.", "output_blocks.{2+3a}.2.conv.", TAKE_ALL},                                                     \
        {"time_embedding.linear_1.", "time_embed.0.", TAKE_ALL}, {"time_embedding.linear_2.", "time_embed.2.", TAKE_ALL},                 \
        {"add_embedding.linear_1.", "label_emb.0.0.", TAKE_ALL}, {"add_embedding.linear_2.", "label_emb.0.2.", TAKE_ALL},                 \
        {"conv_in.", "input_blocks.0.0.", TAKE_ALL}, {"conv_norm_out.", "out.0.", TAKE_ALL}, {"conv_out.", "out.2.", TAKE_ALL}, END

const struct rename unet_renames[] = {UNET_NAMES};
/* Where the first level of the way up has no attention, its sampler takes that place. */
const struct rename unet_plain_top_renames[] = {{"up_blocks.0.upsamplers.0.conv.", "output_blocks.2.1.conv.", TAKE_ALL}, UNET_NAMES};

const struct rename vae_renames[] = {
    {"encoder.down_blocks.#.resnets.#.", "encoder.down.{a}.block.{b}.", TAKE_ALL},
    {"encoder.down_blocks.#.downsamplers.0.conv.", "encoder.down.{a}.downsample.conv.", TAKE_ALL},
    {"decoder.up_blocks.#.resnets.#.", "decoder.up.{3-a}.block.{b}.", TAKE_ALL},
    {"decoder.up_blocks.#.upsamplers.0.conv.", "decoder.up.{3-a}.upsample.conv.", TAKE_ALL},
    {"mid_block.resnets.#.", "mid.block_{1+a}.", TAKE_ALL},
    {"mid_block.attentions.0.group_norm.", "mid.attn_1.norm.", TAKE_ALL},
    {"mid_block.attentions.0.to_q.", "mid.attn_1.q.", TAKE_ALL},
    {"mid_block.attentions.0.to_k.", "mid.attn_1.k.", TAKE_ALL},
    {"mid_block.attentions.0.to_v.", "mid.attn_1.v.", TAKE_ALL},
    {"mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out.", TAKE_ALL},
    {"conv_shortcut.", "nin_shortcut.", TAKE_ALL},
    {"conv_norm_out.", "norm_out.", TAKE_ALL},
    END,
};

const struct rename same_renames[] = {END};

/* open_clip's text tower. */
const struct rename openclip_renames[] = {
    {"text_model.embeddings.token_embedding.", "token_embedding.", TAKE_ALL},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", TAKE_ALL},
    {"text_model.final_layer_norm.", "ln_final.", TAKE_ALL},
    {"text_projection.weight", "text_projection", TAKE_TRANSPOSED},
    {"text_model.encoder.layers.#.", "transformer.resblocks.{a}.", TAKE_ALL},
    {"resblocks.#.layer_norm1.", "resblocks.{a}.ln_1.", TAKE_ALL},
    {"resblocks.#.layer_norm2.", "resblocks.{a}.ln_2.", TAKE_ALL},
    {"resblocks.#.mlp.fc1.", "resblocks.{a}.mlp.c_fc.", TAKE_ALL},
    {"resblocks.#.mlp.fc2.", "resblocks.{a}.mlp.c_proj.", TAKE_ALL},
    {"self_attn.q_proj.", "attn.in_proj_", TAKE_THIRD_1},
    {"self_attn.k_proj.", "attn.in_proj_", TAKE_THIRD_2},
    {"self_attn.v_proj.", "attn.in_proj_", TAKE_THIRD_3},
    {"self_attn.out_proj.", "attn.out_proj.", TAKE_ALL},
    END,
};
