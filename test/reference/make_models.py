"""Writes test/fixtures/models/CHECKPOINT.safetensors: what each block of the tiny checkpoints' models computes.

Tensors are named CASE/MODULE by diffusers' module path (text: as published checkpoints name it) and laid out as torch has them.
Every block is kept for `text`, `unet_t500`, `unet_odd` and `vae_odd`, only inputs and the final output for the other cases."""

import re

import torch

from common import CHECKPOINTS, FIXTURES, deterministic, load_pipeline, save_tensors

PROMPT = "a photo of an astronaut riding a horse on mars, 4k!"
NEGATIVE = "blurry, ugly"

TEXT_BLOCKS = r"embeddings|encoder\.layers\.\d+|final_layer_norm"
UNET_BLOCKS = (
    r"time_embedding|conv_in|conv_out|mid_block\.(resnets|attentions)\.\d+"
    r"|(down|up)_blocks\.\d+\.(resnets|attentions|downsamplers|upsamplers)\.\d+"
)
VAE_BLOCKS = (
    r"post_quant_conv|decoder\.(conv_in|conv_out|mid_block\.(resnets|attentions)\.\d+|up_blocks\.\d+\.(resnets|upsamplers)\.\d+)"
)
NO_BLOCKS = r"(?!)"


class Recorder:
    """Collects the outputs of the modules whose whole path matches `pattern` during a with block."""

    def __init__(self, model, pattern, prefix=""):
        self.modules = {prefix + name: m for name, m in model.named_modules() if re.fullmatch(pattern, name)}
        self.outputs = {}

    def __enter__(self):
        self.hooks = [m.register_forward_hook(self.keep(name)) for name, m in self.modules.items()]
        return self.outputs

    def keep(self, name):
        def hook(module, args, output):
            value = output if isinstance(output, torch.Tensor) else output[0]
            self.outputs[name] = value.clone()

        return hook

    def __exit__(self, *exception):
        for h in self.hooks:
            h.remove()
        assert not any(exception) and self.outputs.keys() == self.modules.keys()


def add(out, case, tensors):
    out.update({f"{case}/{name}": t for name, t in tensors.items()})


def text_cases(out, pipe):
    ids = pipe.tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with Recorder(pipe.text_encoder, TEXT_BLOCKS, "text_model.") as blocks:
        pipe.text_encoder(ids)
    add(out, "text", {"ids": ids, **blocks})
    for skip in (1, 2):
        embeddings, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False, clip_skip=skip)
        add(out, "text", {f"clip_skip_{skip}": embeddings})


def unet_case(out, pipe, case, size, timestep, context, seed, every_block):
    sample = torch.randn(context.shape[0], 4, *size, generator=torch.Generator().manual_seed(seed))
    timestep = torch.tensor([timestep], dtype=torch.float32)
    with Recorder(pipe.unet, UNET_BLOCKS if every_block else NO_BLOCKS) as blocks:
        result = pipe.unet(sample, timestep, context).sample
    add(out, case, {"sample": sample, "timestep": timestep, "context": context, "out": result, **blocks})


def unet_cases(out, pipe):
    positive, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
    both = torch.cat([negative, positive])
    unet_case(out, pipe, "unet_t1", (16, 16), 1, both, 10, False)
    unet_case(out, pipe, "unet_t500", (16, 16), 500, both, 11, True)
    unet_case(out, pipe, "unet_t981.5", (16, 16), 981.5, both, 12, False)
    unet_case(out, pipe, "unet_odd", (5, 7), 321, positive, 13, True)
    unet_case(out, pipe, "unet_wide", (8, 24), 640, both, 14, False)


def vae_case(out, pipe, case, size, seed, every_block):
    latents = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(seed)) / pipe.vae.config.scaling_factor
    with Recorder(pipe.vae, VAE_BLOCKS if every_block else NO_BLOCKS) as blocks:
        result = pipe.vae.decode(latents).sample
    add(out, case, {"latents": latents, "out": result, **blocks})


def main():
    deterministic()
    for name in CHECKPOINTS:
        pipe = load_pipeline(FIXTURES / name)
        out = {}
        text_cases(out, pipe)
        unet_cases(out, pipe)
        vae_case(out, pipe, "vae", (8, 8), 20, False)
        vae_case(out, pipe, "vae_odd", (5, 7), 21, True)
        save_tensors(FIXTURES / "models" / f"{name}.safetensors", out)


if __name__ == "__main__":
    main()
