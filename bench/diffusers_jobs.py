"""Draws the prompts on standard input with pinned diffusers, the model resident on the CPU; prints the seconds it took, start and model
apart. bench/jobs.sh runs it.

    diffusers_jobs.py -m DIR -o DIR [--threads 2] [--steps 20] <PROMPTS"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch

parser = argparse.ArgumentParser()
parser.add_argument("-m", dest="model", type=pathlib.Path, required=True)
parser.add_argument("-o", dest="output", type=pathlib.Path, required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=20)
args = parser.parse_args()

torch.set_num_threads(args.threads)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
pipe = diffusers.DiffusionPipeline.from_pretrained(args.model, dtype=torch.float32, safety_checker=None, requires_safety_checker=False)
pipe.set_progress_bar_config(disable=True)
prompts = sys.stdin.read().splitlines()
start = time.monotonic()
for n, prompt in enumerate(prompts):
    generator = torch.Generator("cpu").manual_seed(1)
    image = pipe(prompt, num_inference_steps=args.steps, generator=generator).images[0]
    image.save(args.output / f"theirs-{n}.png")
print(f"{time.monotonic() - start:.2f}")
