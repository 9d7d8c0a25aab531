"""Writes test/fixtures/models/xl.safetensors: what the text encoders and each block of the UNet of synthetic/xl compute (see make_models.py)."""

import torch
from diffusers import StableDiffusionXLPipeline

from common import FIXTURES, deterministic, save_tensors
from make_models import UNET_BLOCKS, Recorder, add
from make_synthetic_xl import P, PROMPT, checkpoint


def text_case(out, case, tokenizer, encoder):
    ids = tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    result = encoder(ids, output_hidden_states=True)
    pooled = {"text_projection": result.text_embeds} if "text_embeds" in result else {}
    add(out, case, {"ids": ids, "hidden": result.hidden_states[-2], **pooled})


def unet_case(out, case, unet, size, images, seed):
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(seed + len(shape)))
    sample, context, pooled, timestep = draw(images, 4, *size), draw(images, 77, 40), draw(images, P), torch.tensor([321.0])
    numbers = torch.tensor([[64.0, 48, 3, 5, 80, 96], [1024, 700, 0, 0, 33, 17]])[:images]
    with Recorder(unet, UNET_BLOCKS + "|add_embedding") as blocks:
        result = unet(sample, timestep, context, added_cond_kwargs={"text_embeds": pooled, "time_ids": numbers}).sample
    add(out, case, {"sample": sample, "timestep": timestep, "context": context, "pooled": pooled[:, None], "numbers": numbers, "out": result,
                    **blocks})


def main():
    deterministic()
    out = {}
    pipe = checkpoint("xl").load(StableDiffusionXLPipeline)
    text_case(out, "text", pipe.tokenizer, pipe.text_encoder)
    text_case(out, "text_2", pipe.tokenizer_2, pipe.text_encoder_2)
    unet_case(out, "unet_two", pipe.unet, (4, 4), 2, 30)
    unet_case(out, "unet_odd", pipe.unet, (5, 7), 1, 31)
    save_tensors(FIXTURES / "models" / "xl.safetensors", out)


main()
