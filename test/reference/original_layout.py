"""From diffusers' tensor names to those of the programs that trained the models (CompVis, Stability, open_clip), as single files have them. Written
down from the maps in diffusers' loaders/single_file_utils.py, whose converters must give every name and value back (`check`)."""

import re

import torch
from diffusers.loaders import single_file_utils as sfu

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "conv_shortcut": "skip_connection"}
UNET_TOP = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
            "add_embedding.linear_2": "label_emb.0.2", "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}


def unet_name(name, config):
    n = config["layers_per_block"] + 1
    stem, leaf = name.rsplit(".", 1)
    if stem in UNET_TOP:
        return f"{UNET_TOP[stem]}.{leaf}"
    side, b, kind, r, rest = re.match(r"(down|mid|up)_block(?:s\.(\d+))?\.(\w+)\.(\d+)\.(.*)", name).groups()
    b, r = int(b or 0), int(r)
    if kind == "resnets":
        rest = RESNET[rest.rsplit(".", 1)[0]] + "." + leaf
    slot = 0 if kind == "resnets" else 1
    if side == "mid":
        return f"middle_block.{2 * r if kind == 'resnets' else 1}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{(b + 1) * n}.0.op.{leaf}"
    if kind == "upsamplers":
        return f"output_blocks.{b * n + n - 1}.{2 if 'CrossAttn' in config['up_block_types'][b] else 1}.conv.{leaf}"
    return f"input_blocks.{1 + b * n + r}.{slot}.{rest}" if side == "down" else f"output_blocks.{b * n + r}.{slot}.{rest}"


def vae_name(name, config):
    last = len(config["block_out_channels"]) - 1
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)", r"encoder.down.\1.block.\2", name)
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.conv", r"encoder.down.\1.downsample.conv", name)
    name = re.sub(r"decoder\.up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"decoder.up.{last - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"decoder\.up_blocks\.(\d+)\.upsamplers\.0\.conv", lambda m: f"decoder.up.{last - int(m[1])}.upsample.conv", name)
    name = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    for ours, theirs in {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
        name = name.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def openclip_parts(keys):
    """Their name -> our names, one below the other: q, k and v are one."""
    names = {"embeddings.token_embedding.weight": "token_embedding.weight", "embeddings.position_embedding.weight": "positional_embedding",
             "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias", "text_projection.weight": "text_projection"}
    inner = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}
    parts = {}
    for key in keys:
        bare = key.removeprefix("text_model.")
        if bare in names:
            parts[names[bare]] = [key]
            continue
        i, stem, leaf = re.match(r"encoder\.layers\.(\d+)\.(.*)\.(\w+)", bare).groups()
        if stem in inner:
            parts[f"transformer.resblocks.{i}.{inner[stem]}.{leaf}"] = [key]
        elif stem == "self_attn.q_proj":
            parts[f"transformer.resblocks.{i}.attn.in_proj_{leaf}"] = [key.replace("q_proj", f"{c}_proj") for c in "qkv"]
    return parts


def is_square_filter(name):
    """What we have as a matrix is a 1x1 convolution there."""
    return re.search(r"mid\.attn_1\.(q|k|v|proj_out)\.weight$", name) is not None
