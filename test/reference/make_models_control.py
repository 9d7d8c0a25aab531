"""Writes test/fixtures/models/control-unsaid.safetensors and control-xl-unsaid.safetensors: what the ControlNets of those checkpoints of
synthetic/ add to a UNet, block by block (see make_models.py). A scene is a net and its operands."""

import torch
from diffusers import ControlNetModel

from common import FIXTURES, deterministic, save_tensors
from make_models import Recorder, add
from make_synthetic_control import sd_nets, xl_nets

BLOCKS = r"controlnet_cond_embedding|controlnet_down_blocks\.\d+|controlnet_mid_block"


def case(out, net, name, size, images, factor, seed):
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(seed + len(shape)))
    sample, context, timestep = draw(images, 4, *size), draw(images, 9, net.config.cross_attention_dim), torch.tensor([321.0])
    picture = draw(1, 3, size[0] * factor, size[1] * factor).sigmoid()
    given = {"sample": sample, "timestep": timestep, "context": context, "picture": picture}
    added = None
    if net.config.addition_embed_type:
        pooled = draw(images, net.config.projection_class_embeddings_input_dim - 6 * net.config.addition_time_embed_dim)
        numbers = torch.tensor([[64.0, 48, 3, 5, 80, 96], [1024, 700, 0, 0, 33, 17]])[:images]
        given |= {"pooled": pooled[:, None], "numbers": numbers}
        added = {"text_embeds": pooled, "time_ids": numbers}
    with Recorder(net, BLOCKS) as blocks:
        down, mid = net(sample, timestep, context, picture.repeat(images, 1, 1, 1), added_cond_kwargs=added, return_dict=False)
    residuals = {f"controlnet_down_blocks.{i}": d for i, d in enumerate(down)} | {"controlnet_mid_block": mid}
    add(out, name, {**given, "controlnet_cond_embedding": blocks["controlnet_cond_embedding"], **residuals})


def main():
    deterministic()
    for name, make, factor in (("control-unsaid", sd_nets, 4), ("control-xl-unsaid", xl_nets, 8)):
        out, checkpoint = {}, make()
        for seed, folder in enumerate(("one", "pool")):
            net = ControlNetModel.from_pretrained(checkpoint.dir / folder)
            case(out, net, f"{folder}_two", (4, 4), 2, factor, 40 + seed)
            case(out, net, f"{folder}_odd", (5, 7), 1, factor, 50 + seed)
        save_tensors(FIXTURES / "models" / f"{name}.safetensors", out)


if __name__ == "__main__":
    main()
