"""Writes test/fixtures/pipelines/doodle.{json,safetensors}: pictures of the shipped checkpoint (models/doodle), each of twelve prompts with its own
scheduler and every scheduler with some prompt.

With an argument, the program: draws twelve prompts with every scheduler, 20 steps, by diffusers and by it, and prints how they compare; exit 1 where
more than one value in a thousand is off by more than one level."""

import subprocess
import sys
import tempfile

import numpy
import torch
from PIL import Image

from common import FIXTURES, deterministic
from make_pipelines import case, more_cases, run, write

MODEL = FIXTURES.parent.parent / "models" / "doodle"
PROMPTS = [
    "a squirrel in Picasso style",
    "a red cat and a blue house",
    "two stars above a boat",
    "a green fish, pixel art",
    "a yellow flower, watercolour",
    "line drawing of a purple tree",
    "an orange car at night",
    "a pink butterfly",
    "a blue bird in Picasso style",
    "a brown dog, plain",
    "a black umbrella, watercolour",
    "a white mushroom at night",
]
SCHEDULERS = sorted({c["scheduler"] for c in more_cases()} | {"DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"})


def doodle_case(name, prompt, scheduler=None, steps=8):
    return case(name, scheduler, prompt=prompt, negative_prompt=None, steps=steps, width=128, height=128)


def fixture_cases():
    for i, prompt in enumerate(PROMPTS):
        yield doodle_case(f"prompt-{i}", prompt)
    for i, scheduler in enumerate(SCHEDULERS):
        yield doodle_case(scheduler, PROMPTS[i % len(PROMPTS)], scheduler)


def ours(program, c, path):
    command = [program, "-m", MODEL, "--device", "cpu", "--dtype", "fp32", "-x", c["scheduler"], "--steps", c["steps"], "-s", c["seed"], "-g", c["guidance"], "-f", "-q", "-o", path]
    subprocess.run([str(a) for a in [*command, c["prompt"]]], check=True, stdout=subprocess.DEVNULL)
    return numpy.asarray(Image.open(path).convert("RGB")).astype(int)


def compare_all(program):
    worst_share, worst_level = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for scheduler in SCHEDULERS:
            shares, levels = [], []
            for prompt in PROMPTS:
                out, c = {}, doodle_case("x", prompt, scheduler, steps=20)
                run(MODEL, c, out)
                error = abs(ours(program, c, f"{folder}/x.png") - out["x/image"][0].numpy().astype(int))
                shares.append((error > 1).mean())
                levels.append(error.max())
            print(f"{scheduler:34s} {len(PROMPTS)} prompts: values off by more than 1 level: at most {max(shares):.4%}; largest {max(levels)}", flush=True)
            worst_share, worst_level = max(worst_share, *shares), max(worst_level, *levels)
    print(f"all: at most {worst_share:.4%}, largest {worst_level}")
    return worst_share <= 1e-3


def main():
    deterministic()
    torch.set_grad_enabled(False)
    if len(sys.argv) > 1:
        sys.exit(not compare_all(sys.argv[1]))
    write(MODEL, "doodle", fixture_cases())


if __name__ == "__main__":
    main()
