"""Contact sheets: prompts x styles, and prompts given on the command line.

    python sample.py MODEL sheet.png                       a dozen subjects down, every style across
    python sample.py MODEL picture.png "a red cat" ...     one picture for each prompt
"""
import json
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

ROWS = ["a squirrel", "a red cat", "a dog", "a blue bird", "a fish", "a yellow house", "a tree", "a boat", "a purple butterfly", "a mushroom", "an umbrella", "a rocket"]
COLUMNS = ["", "as a line drawing", "as pixel art", "in watercolour", "at night", "in Picasso style", "as pop art", "in crayon"]


def load(model):
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.defaults = json.loads((Path(model) / "generation_config.json").read_text())
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


def pictures(pipe, prompts, seeds, steps=None, guidance=None, at_once=16, **more):
    """One picture for each prompt, each from its own seed's noise, as the program draws it: with the checkpoint's own defaults."""
    steps, guidance = steps or pipe.defaults["num_inference_steps"], pipe.defaults["guidance_scale"] if guidance is None else guidance
    out, shape = [], (1, pipe.unet.config.in_channels, pipe.unet.config.sample_size, pipe.unet.config.sample_size)
    for k in range(0, len(prompts), at_once):
        noise = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds[k:k + at_once]])
        noise = noise.to(pipe.device)
        out += pipe(prompts[k:k + at_once], latents=noise, num_inference_steps=steps, guidance_scale=guidance, **more).images
    return out


def sheet(images, columns):
    w, h = images[0].size
    out = Image.new("RGB", (columns * (w + 4), -(-len(images) // columns) * (h + 4)), (255, 255, 255))
    for k, image in enumerate(images):
        out.paste(image, (k % columns * (w + 4) + 2, k // columns * (h + 4) + 2))
    return out


def main():
    model, out, *prompts = sys.argv[1:]
    columns = min(8, len(prompts)) if prompts else len(COLUMNS)
    prompts = prompts or [f"{row} {column}".strip() for row in ROWS for column in COLUMNS]
    sheet(pictures(load(model), prompts, range(len(prompts))), columns).save(out)


if __name__ == "__main__":
    main()
