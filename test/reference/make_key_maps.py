"""Writes test/fixtures/key_maps.txt.gz: of SD 1.5, SD 2.1, SDXL and its refiner as single files, each tensor's name in diffusers, which part of the
stored one it is (- all, 1 2 3 a third, T transposed) and the name there, found by giving diffusers' own converters numbered tensors.

    make_key_maps.py expected_tensors.json     names and shapes of the diffusers models"""

import gzip
import json
import sys
import types

import torch
from diffusers.loaders import single_file_utils as sfu

from common import FIXTURES
from original_layout import openclip_parts, unet_name, vae_name

D, CD, U, CU = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"
SD = {"layers_per_block": 2, "down_block_types": [CD, CD, CD, D], "up_block_types": [U, CU, CU, CU]}
XL = {"layers_per_block": 2, "down_block_types": [D, CD, CD], "up_block_types": [CU, CU, U], "addition_embed_type": "text_time"}
REFINER = {"layers_per_block": 2, "down_block_types": [D, CD, CD, D], "up_block_types": [U, CU, CU, U], "addition_embed_type": "text_time"}
VAE = {"down_block_types": [0] * 4, "up_block_types": [0] * 4, "block_out_channels": [128, 256, 512, 512]}
FAMILIES = {"sd15": ("sd15.unet", SD, "sd15.text_encoder", None), "sd21": ("sd2.unet", SD, None, ("sd2.text_encoder", "cond_stage_model.model.")),
            "xl": ("sdxl.unet", XL, "sd15.text_encoder", ("sdxl.text_encoder_2", "conditioner.embedders.1.model.")),
            "refiner": ("sdxl-refiner.unet", REFINER, None, ("sdxl.text_encoder_2", "conditioner.embedders.0.model."))}


def pairs(converted, numbers):
    """(ours, part, theirs); a tensor holds its number in three rows and three columns, tripled where it stands in the second third …"""
    for ours, value in converted.items():
        number, part = divmod(int(value.flatten()[0]), 8)
        transposed = value.ndim == 2 and value.shape[1] > 1 and int(value[0, 1]) != int(value[0, 0])
        yield ours, "T" if transposed else str(part), numbers[number]


def main():
    expected = json.load(open(sys.argv[1]))
    lines = []
    for family, (unet, config, clip, openclip) in FAMILIES.items():
        parts = {"unet": {"model.diffusion_model." + unet_name(k, config) for k in expected[unet]}}
        parts["vae"] = {"first_stage_model." + vae_name(k, VAE) for k in expected["vae"]}
        for part, names in parts.items():
            numbers = sorted(names)
            checkpoint = {k: torch.full((1,), 8 * i) for i, k in enumerate(numbers)}
            converted = sfu.convert_ldm_unet_checkpoint(checkpoint, dict(config)) if part == "unet" else sfu.convert_ldm_vae_checkpoint(checkpoint, dict(VAE))
            assert set(converted) == set(expected[unet if part == "unet" else "vae"])
            lines += [f"{family} {part} {ours} - {theirs}" for ours, _, theirs in pairs(converted, numbers)]
        if clip:
            prefix = "cond_stage_model.transformer." if family == "sd15" else "conditioner.embedders.0.transformer."
            lines += [f"{family} text_encoder {k} - {prefix}{k}" for k in expected[clip]]
        if openclip:
            key, prefix = openclip
            names = openclip_parts(expected[key])
            if family == "sd21":
                names["text_projection"] = []
            numbers = sorted(prefix + k for k in names)
            checkpoint = {}
            for i, k in enumerate(numbers):
                third = torch.arange(1, 4).repeat_interleave(3) if "in_proj" in k else torch.zeros(3, dtype=torch.int64)
                value = 8 * i + third
                checkpoint[k] = value[:, None] + 100000 * torch.arange(3) if k.endswith("text_projection") else value[:, None].expand(-1, 1)
            checkpoint[prefix + "text_projection"] = 8 * numbers.index(prefix + "text_projection") + torch.arange(3)[:, None] * 100000 + torch.zeros(3, dtype=torch.int64)
            model = types.SimpleNamespace(config=types.SimpleNamespace(hidden_size=3))
            converted = sfu.convert_open_clip_checkpoint(model, checkpoint, prefix)
            assert set(converted) == set(expected[key]), set(converted) ^ set(expected[key])
            component = "text_encoder" if family == "sd21" else "text_encoder_2"
            lines += [f"{family} {component} {ours} {part if part != '0' else '-'} {theirs}" for ours, part, theirs in pairs(converted, numbers)]
    with gzip.GzipFile(FIXTURES / "key_maps.txt.gz", "wb", 9, mtime=0) as f:
        f.write("\n".join(sorted(lines)).encode() + b"\n")
    print(len(lines), "tensors")


main()
