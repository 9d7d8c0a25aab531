"""Writes test/fixtures/synthetic/words*: weighted and long prompts and learned words on tiny checkpoints (see synthetic.py).

    make_synthetic_words.py [NAME…]"""

import sys

import torch
from compel import CompelForSD, CompelForSDXL
from safetensors.torch import load_file
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

import a1111
import make_synthetic_xl
from common import deterministic
from make_synthetic import stable_diffusion, unet
from make_synthetic_lora import write

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
    return compels(c, cls)


def learned(c, name, cls, prompt, files, negative=None):
    """files: (file, its part or None, word or None, the text encoder it goes to)"""
    pipe = c.load(cls)
    for file, part, word, second in files:
        vectors = load_file(c.dir / file)
        last = "_2" if second else ""
        given = {"tokenizer": getattr(pipe, "tokenizer" + last), "text_encoder": getattr(pipe, "text_encoder" + last)}
        pipe.load_textual_inversion(vectors[part] if part else vectors, token=word, **given)
    args = [x for file in dict.fromkeys(f for f, *_ in files)
            for x in ("--embedding", f"@{file}" if name != "learned-renamed" else f"@{file}={files[0][2]}")]
    c.add(name, [prompt, *(["-n", negative] if negative else []), "-s", 7, "--steps", 3, *args],
          picture(pipe, prompt=prompt, negative_prompt=negative))


def with_compel(c, name, cls, prompt, negative="bad"):
    pipe = c.load(cls)
    xl = hasattr(pipe, "text_encoder_2")
    made = (CompelForSDXL if xl else CompelForSD)(pipe)(prompt, negative_prompt=negative)
    given = {"prompt_embeds": made.embeds, "negative_prompt_embeds": made.negative_embeds}
    if xl:
        given |= {"pooled_prompt_embeds": made.pooled_embeds, "negative_pooled_prompt_embeds": made.negative_pooled_embeds}
    c.add(name, [prompt, "-n", negative, "-s", 7, "--steps", 3, "--prompt-syntax", "compel"], picture(pipe, **given))


def compels(c, cls):
    with_compel(c, "compel", cls, "a (red fox)1.4 in the snow++, an old castle")
    with_compel(c, "compel-faint", cls, "a (red fox)0.5 in the snow--, an (old castle)0", "(bad)0.7 dull+")
    with_compel(c, "compel-blend", cls, '("a red fox", "an old castle at night").blend(0.7, 0.5)')
    with_compel(c, "compel-and", cls, '("a red fox+", "an (old)0.6 castle").and()')
    with_compel(c, "compel-long", cls, "a red fox in the snow. " * 9 + "(" + "an old castle, " * 9 + "by the sea)0.6", "dull. " * 50)
    return c


def words():
    c = weighted(stable_diffusion("words", unet()), StableDiffusionPipeline)
    write(c, "toy.safetensors", {"<toy>": [3, 16]})
    write(c, "dull.safetensors", {"emb_params": [2, 16]})
    write(c, "one.safetensors", {"<one>": [16]})
    write(c, "wide.safetensors", {"<wide>": [2, 24]})
    toy, dull, one = ("toy.safetensors", None, None, False), ("dull.safetensors", None, "dull", False), ("one.safetensors", None, None, False)
    learned(c, "learned", StableDiffusionPipeline, "a photo of a <toy>, no <TOY> in the snow", [toy])
    learned(c, "learned-one", StableDiffusionPipeline, "a <one> in the snow", [one])
    learned(c, "learned-renamed", StableDiffusionPipeline, "a dragon, DRAGON and dragon_1", [("toy.safetensors", None, "dragon", False)])
    learned(c, "learned-several", StableDiffusionPipeline, "<one> and <toy>", [dull, toy, one], "dull <one>")
    learned(c, "learned-cut", StableDiffusionPipeline, "an old castle " * 24 + "a <toy> here", [toy])
    c.refuse(["a", "-s", 1, "--embedding", "@wide.safetensors"], 78, "wide.safetensors: vectors of 24 values, but ")
    c.refuse(["a", "-s", 1, "--embedding", "@toy.safetensors", "--embedding", "@toy.safetensors"], 2, "toy.safetensors both have the word '<toy>'")
    c.refuse(["a", "-s", 1, "--embedding", "@toy.safetensors=a</w>"], 2, "'a</w>' is a word of the model's tokenizer already")
    webui(c, "a1111-skip", StableDiffusionPipeline, "a (red:1.4) fox", "[bad]", ["--prompt-syntax", "a1111", "--clip-skip", 1], skip=1)
    return c


def words_xl():
    """The second text encoder's end is the largest id: what is learned beside the vocabulary is larger still."""
    c = weighted(make_synthetic_xl.checkpoint("words-xl", second={"eos_token_id": 2}), StableDiffusionXLPipeline)
    write(c, "toy.safetensors", {"clip_l": [2, 16], "clip_g": [2, 24]})
    write(c, "wide.safetensors", {"<wide>": [2, 24]})
    write(c, "pair.safetensors", {"clip_l": [2, 24], "clip_g": [2, 16]})
    learned(c, "learned", StableDiffusionXLPipeline, "a photo of a toy in the snow",
            [("toy.safetensors", "clip_l", "toy", False), ("toy.safetensors", "clip_g", "toy", True)], "bad")
    learned(c, "learned-second", StableDiffusionXLPipeline, "a photo in <wide> of a cat", [("wide.safetensors", None, None, True)], "<wide>")
    webui(c, "a1111-skip", StableDiffusionXLPipeline, "a (red:1.4) fox", "[bad]", ["--prompt-syntax", "a1111", "--clip-skip", 1])  # of no effect there
    c.refuse(["a", "-s", 1, "--embedding", "@pair.safetensors"], 78, "vectors of 24 and 16 values, made for SDXL, but")
    return c


def main():
    deterministic()
    for make in (words, words_xl):
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
