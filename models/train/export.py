"""Saves the trained weights as a StableDiffusionPipeline directory in half precision.

    python export.py --work DIR --out models/doodle
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from captions import KNOWN
from networks import load_tokenizer, shipped_scheduler

LIMIT = 12 * 2**20


def assemble(work):
    """The averaged weights as a pipeline, in single precision."""
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(work / ("decoder" if (work / "decoder").exists() else "autoencoder")), text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder"),
        tokenizer=load_tokenizer(work), unet=UNet2DConditionModel.from_pretrained(work / "unet"), scheduler=shipped_scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


# What the program draws with where it is not told (diffusers' argument names), and what it may say of a prompt or a size.
GENERATION = {"num_inference_steps": 20, "guidance_scale": 2.5, "trained_sizes": [96, 192], "known_words": KNOWN}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    p.add_argument("--out", type=Path, default=Path("models/doodle"))
    args = p.parse_args()
    assemble(args.work).to(torch.float16).save_pretrained(args.out, safe_serialization=True)
    shutil.rmtree(args.out / "tokenizer")  # CLIP's own four files rather than the one that transformers makes of them
    shutil.copytree(args.work / "tokenizer", args.out / "tokenizer")
    swap = args.out / "scheduler" / "scheduler_config.json"  # DDIM and others would clip the latents, had it not been said; as Stable Diffusion's does
    swap.write_text(json.dumps(json.loads(swap.read_text()) | {"clip_sample": False}, indent=2, sort_keys=True) + "\n")
    (args.out / "generation_config.json").write_text(json.dumps(GENERATION) + "\n")
    for config in args.out.rglob("config.json"):
        lines = config.read_text().splitlines(keepends=True)
        config.write_text("".join(line for line in lines if '"_name_or_path"' not in line))
    for weights in args.out.rglob("*.safetensors"):
        weights.chmod(0o644)
    total = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file())
    print(f"{args.out}: {total / 2**20:.2f} MiB")
    assert total <= LIMIT


if __name__ == "__main__":
    main()
