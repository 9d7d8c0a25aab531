"""Scores a checkpoint: is the subject, the colour, the style in the picture the one in the prompt?

    python score.py --work DIR --prompts prompts.txt                  writes the prompts, one a line
    python score.py --work DIR --model models/doodle --count 500      draws them with diffusers, and scores
    python score.py --work DIR --model models/doodle --newcomers      40 prompts as people type them, and 16 seeds of the README's
    python score.py --work DIR --pictures FOLDER                      scores FOLDER/0000.png, 0001.png, … drawn by someone else

The prompts show one subject of a named colour in a combination of style, colour and subject that was never trained on.
Picture k's noise is torch's for seed k, so two programs' pictures can be compared one by one.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import sample
from captions import SUBJECTS, caption
from classifier import LABELS, labels, load, right, single, to_tensor
from illustrator import held_out


def task(k):
    """(recipe, prompt) number k"""
    r = np.random.default_rng([3, k])
    while True:
        recipe = single(r)
        if recipe["items"][0]["colour"] and held_out(recipe):
            return recipe, caption(r, recipe)


HEADLINE = "a squirrel in Picasso style"
FORMS = ("a photo of a {}", "portrait of a {}", "A {}", "red {}, snow", "a cute little {}", "{}", "a beautiful painting of a {}, highly detailed", "the {} in the meadow")


def newcomers(pipe, net, steps, guidance):
    """Subject of 40 prompts, two of each; subject and style of the headline under seeds 0 to 15."""
    prompts = [FORMS[(3 * k + k // 20) % len(FORMS)].format(list(SUBJECTS)[k % 20]) for k in range(40)]
    say = lambda images: {k: v.argmax(1) for k, v in net(to_tensor([np.asarray(i) for i in images])).items()}
    subjects = say(sample.pictures(pipe, prompts, list(range(40)), steps, guidance))["subject"]
    for k, said in enumerate(subjects):
        if said != k % 20:
            print(f"    {prompts[k]}: {LABELS['subject'][said]}")
    print(f"newcomers' subjects: {sum(int(said) == k % 20 for k, said in enumerate(subjects))} of 40")
    said = say(sample.pictures(pipe, [HEADLINE] * 16, list(range(16)), steps, guidance))
    squirrel, picasso = said["subject"] == LABELS["subject"].index("squirrel"), said["style"] == LABELS["style"].index("picasso")
    print(f"{HEADLINE}: squirrel {squirrel.sum()}, Picasso {picasso.sum()}, both {(squirrel & picasso).sum()} of 16")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    p.add_argument("--count", type=int, default=500)
    p.add_argument("--prompts", type=Path)
    p.add_argument("--model", type=Path)
    p.add_argument("--pictures", type=Path)
    p.add_argument("--steps", type=int, help="the checkpoint's default if not given; so is guidance")
    p.add_argument("--guidance", type=float)
    p.add_argument("--newcomers", action="store_true")
    p.add_argument("--threads", type=int)
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.newcomers:
        with torch.no_grad():
            newcomers(sample.load(args.model), load(args.work), args.steps, args.guidance)
        return
    recipes, prompts = zip(*[task(k) for k in range(args.count)])
    if args.prompts:
        args.prompts.write_text("".join(f"{prompt}\n" for prompt in prompts))
        return
    folder = args.pictures or args.work / "scored"
    if args.model:
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
