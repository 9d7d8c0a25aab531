"""Scores a checkpoint: is the subject, the colour, the style in the picture the one in the prompt?

    python score.py --work DIR --prompts prompts.txt                  writes the prompts, one a line
    python score.py --work DIR --model models/doodle --count 500      draws them with diffusers, and scores
    python score.py --work DIR --pictures FOLDER                      scores FOLDER/0000.png, 0001.png, … drawn by someone else

The prompts show one subject of a named colour in a combination of style, colour and subject that was never trained on.
Picture k's noise is torch's for seed k, so two programs' pictures can be compared one by one.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from captions import caption
from classifier import LABELS, labels, load, right, single, to_tensor
from illustrator import held_out


def task(k):
    """(recipe, prompt) number k"""
    r = np.random.default_rng([3, k])
    while True:
        recipe = single(r)
        if recipe["items"][0]["colour"] and held_out(recipe):
            return recipe, caption(r, recipe)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    p.add_argument("--count", type=int, default=500)
    p.add_argument("--prompts", type=Path)
    p.add_argument("--model", type=Path)
    p.add_argument("--pictures", type=Path)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=2.5)
    p.add_argument("--threads", type=int)
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    recipes, prompts = zip(*[task(k) for k in range(args.count)])
    if args.prompts:
        args.prompts.write_text("".join(f"{prompt}\n" for prompt in prompts))
        return
    folder = args.pictures or args.work / "scored"
    if args.model:
        import sample
        folder.mkdir(exist_ok=True)
        images = sample.pictures(sample.load(args.model), list(prompts), list(range(args.count)), args.steps, args.guidance)
        for k, image in enumerate(images):
            image.save(folder / f"{k:04d}.png")
    pictures = to_tensor([np.asarray(Image.open(folder / f"{k:04d}.png").convert("RGB")) for k in range(args.count)])
    wanted = [labels(x) for x in recipes]
    wanted = {k: torch.tensor([w[k] for w in wanted]) for k in LABELS}
    with torch.no_grad():
        answers = load(args.work)(pictures)
    for k, v in right(answers, wanted).items():
        print(f"{k}: {v:.1%} of {args.count}")
    for k in LABELS:
        wrong = [(prompts[i], LABELS[k][answers[k][i].argmax()]) for i in range(args.count) if answers[k][i].argmax() != wanted[k][i]]
        print(f"{k}, the first wrong ones:", *[f"    {prompt}: {said}" for prompt, said in wrong[:8]], sep="\n")


if __name__ == "__main__":
    main()
