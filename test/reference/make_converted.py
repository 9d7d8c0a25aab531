"""Writes test/fixtures/tokenizer/converted: a tokenizer with tokens learnt by textual inversion, some of several vectors, and what diffusers'
maybe_convert_prompt makes of prompts with it."""

import pathlib

from diffusers.loaders import TextualInversionLoaderMixin
from transformers import CLIPTokenizer

from tiny_vocabulary import write_json

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
OUT = FIXTURES / "tokenizer" / "converted"
TOKENS = ["<cat-toy>", "<cat-toy>_1", "<cat-toy>_2", "<one>", "midjourney", "midjourney_1", "<gap>", "<gap>_2"]
PROMPTS = [
    "",
    "a cat",
    "<cat-toy>",
    "a <cat-toy> cat",
    "a <cat-toy>, <cat-toy> and<cat-toy>",
    "<one> and <gap>",
    "<cat-toy>_1 alone",
    "<cat-toy>_2<cat-toy>_1",
    "midjourney style, a <cat-toy>",
    "midjourneys <one>",
    "MIDJOURNEY",
    "<CAT-TOY> <cat-toy",
    "a  <cat-toy>\n \u00e9\u4e2d",
]


def main():
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "tiny-sd1" / "tokenizer")
    tokenizer.add_tokens(TOKENS)
    tokenizer.save_pretrained(OUT)
    loader = TextualInversionLoaderMixin()
    write_json(OUT / "converted.json", [[p, loader.maybe_convert_prompt(p, tokenizer)] for p in PROMPTS])


if __name__ == "__main__":
    main()
