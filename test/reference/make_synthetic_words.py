"""Writes test/fixtures/synthetic/words*: weighted and long prompts and learned words on tiny checkpoints (see synthetic.py).

    make_synthetic_words.py [NAME…]"""

import sys

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

import a1111
import make_synthetic_xl
from common import deterministic
from make_synthetic import stable_diffusion, unet

LONG = "a red fox in the snow at night, an old castle by the sea, " * 7
MIXED = "(a red fox:1.3) in [the snow] at night (an old castle) by the sea, " * 6


def picture(pipe, **options):
    return pipe(num_inference_steps=3, generator=[torch.Generator("cpu").manual_seed(7)], output_type="pil", **options).images


def webui(c, name, cls, prompt, negative, args, skip=0, weighted=True):
    pipe = c.load(cls)
    xl = hasattr(pipe, "text_encoder_2")
    split = a1111.phrases if weighted else lambda text: [[text, 1.0]]
    encoders = [(pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2)] if xl else [(pipe.tokenizer, pipe.text_encoder)]
    states, pooled = [], []
    for text in (negative, prompt):
        made = [a1111.encode(*e, split(text), skip, xl) for e in encoders]
        states.append(torch.cat([s for s, _ in made], 2))
        pooled.append(made[-1][1])
    lengths = [s.shape[1] for s in states]
    a1111.own_lengths(pipe, *lengths)
    given = dict(zip(("negative_prompt_embeds", "prompt_embeds"), (a1111.padded(s, max(lengths)) for s in states)))
    if xl:
        given |= dict(zip(("negative_pooled_prompt_embeds", "pooled_prompt_embeds"), pooled))
    c.add(name, [prompt, "-n", negative, "-s", 7, "--steps", 3, *args], picture(pipe, **given))


def weighted(c, cls):
    A1111 = ["--prompt-syntax", "a1111"]
    webui(c, "a1111", cls, "a (red:1.4) fox, [snow] and ((an old castle))", "(bad:1.3), dull", A1111)
    webui(c, "a1111-break", cls, "a (red fox:1.2) BREAK an old [castle]", "bad", A1111)
    webui(c, "a1111-long", cls, MIXED, LONG, A1111)
    webui(c, "a1111-short", cls, "a fox", MIXED, A1111)
    webui(c, "long", cls, LONG, "bad", ["--long-prompts"], weighted=False)
    return c


def words():
    c = weighted(stable_diffusion("words", unet()), StableDiffusionPipeline)
    webui(c, "a1111-skip", StableDiffusionPipeline, "a (red:1.4) fox", "[bad]", ["--prompt-syntax", "a1111", "--clip-skip", 1], skip=1)
    return c


def words_xl():
    return weighted(make_synthetic_xl.checkpoint("words-xl"), StableDiffusionXLPipeline)


def main():
    deterministic()
    for make in (words, words_xl):
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
