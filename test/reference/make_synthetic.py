"""Writes test/fixtures/synthetic: variants of UNet, VAE and pipeline that real checkpoints have (see synthetic.py).

    make_synthetic.py [NAME…]"""

import sys

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel, UNet2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from common import FIXTURES, deterministic
from make_tiny import SD1_SCHEDULER
from synthetic import Checkpoint

TOKENIZER = "tiny-sd1/tokenizer"
DOWN = ["CrossAttnDownBlock2D", "DownBlock2D"]
UP = ["UpBlock2D", "CrossAttnUpBlock2D"]


def unet(**options):
    return UNet2DConditionModel(**{"down_block_types": DOWN, "up_block_types": UP, "block_out_channels": [8, 16], "sample_size": 8,
                                   "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 2, "norm_num_groups": 4,
                                   **options})


def vae(**options):
    return AutoencoderKL(**{"down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
                            "block_out_channels": [8, 8, 16], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 32,
                            **options})


def text(tokenizer, **options):
    n = len(tokenizer)
    return CLIPTextModel(CLIPTextConfig(**{"vocab_size": n, "bos_token_id": n - 2, "eos_token_id": n - 1, "hidden_size": 16,
                                           "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **options}))


def stable_diffusion(name, unet, vae=vae(), edit=None, drop=()):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / TOKENIZER)
    pipe = StableDiffusionPipeline(vae=vae, text_encoder=text(tokenizer), tokenizer=tokenizer, unet=unet,
                                   scheduler=DDIMScheduler.from_config(SD1_SCHEDULER), safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False)
    return Checkpoint(name, pipe, {"tokenizer": TOKENIZER}, edit, drop)


def draw(checkpoint, name="plain", steps=3, args=(), cls=StableDiffusionPipeline, prompt="a photo of a cat", **options):
    pipe = checkpoint.load(cls)
    if prompt is not None:
        options["prompt"] = prompt
    seeds = [torch.Generator("cpu").manual_seed(7)]
    images = pipe(num_inference_steps=steps, generator=seeds, output_type="pil", **options).images
    checkpoint.add(name, [*([prompt] if prompt is not None else []), "-s", 7, "--steps", steps, *args], images)
    return checkpoint


def mid_block_null():
    """segmind/tiny-sd, small-sd, bk-sdm."""
    return draw(stable_diffusion("mid-block-null", unet(mid_block_type=None)))


def mid_block_null_tensors_there():
    def edit(path, data):
        if path == "unet/config.json":
            data["mid_block_type"] = None

    return draw(stable_diffusion("mid-block-null-tensors-there", unet(), edit=edit))


def mid_block_plain():
    return draw(stable_diffusion("mid-block-plain", unet(mid_block_type="UNetMidBlock2D")))


def small_differences():
    """What text to image does not read, and other spellings of what it does."""

    def edit(path, data):
        if path == "unet/config.json":
            data.update(only_cross_attention=[False, False], act_fn="swish", cross_attention_dim=[16, 16])
        if path == "vae/config.json":
            data.update(shift_factor=0.1159, latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0], act_fn="swish")

    return draw(stable_diffusion("small-differences", unet(), vae(use_quant_conv=False), edit=edit))


def vae_without_post_quant():
    return draw(stable_diffusion("vae-without-post-quant", unet(), vae(use_quant_conv=False, use_post_quant_conv=False)))


def scale_shift_conditional():
    return draw(stable_diffusion("scale-shift-conditional", unet(resnet_time_scale_shift="scale_shift")))


def pixels(name, **options):
    model = UNet2DModel(**{"sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "layers_per_block": 1,
                           "norm_num_groups": 4, "attention_head_dim": 4, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
                           "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], **options})
    return Checkpoint(name, DDPMPipeline(unet=model, scheduler=DDPMScheduler()))


def unconditional(name, **options):
    return draw(pixels(name, **options), cls=DDPMPipeline, prompt=None)


def scale_shift():
    return unconditional("scale-shift", resnet_time_scale_shift="scale_shift")


def unconditional_mid_null():
    return unconditional("unconditional-mid-null", mid_block_type=None)


FIXTURES_HERE = [mid_block_null, mid_block_null_tensors_there, mid_block_plain, small_differences, vae_without_post_quant,
                 scale_shift_conditional, scale_shift, unconditional_mid_null]


def main():
    deterministic()
    wanted = sys.argv[1:]
    for make in FIXTURES_HERE:
        if not wanted or make.__name__.replace("_", "-") in wanted:
            make().write()


main()
