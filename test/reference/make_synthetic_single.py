"""Writes test/fixtures/synthetic/single-{inpaint,xl-nine,refiner}: files in the original layout of the kinds that draw from a picture (see
synthetic.py). What diffusers' from_single_file draws from the file is what it draws from the directory.

    make_synthetic_single.py [NAME…]"""

import sys

import numpy as np
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline

import make_synthetic_xl
import original_layout
from common import deterministic
from make_synthetic import TEXT, UNET, VAE, pipeline, single_tensors, unet, vae
from make_synthetic_xl import REFINER_LINKS, TOKENIZERS
from synthetic import Checkpoint

FOUR = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "block_out_channels": [8, 8, 8, 8]}
TEXT_2 = "text_encoder_2/model.safetensors"


def xl_tensors(c):
    """Of SDXL, or of its refiner, which has the second text encoder alone."""
    w, out = c.weights, {}
    for key, shape in w[UNET].items():
        out["model.diffusion_model." + original_layout.unet_name(key, c.files["unet/config.json"])] = (shape, [(UNET, key)])
    for key, shape in w[VAE].items():
        name = original_layout.vae_name(key, c.files["vae/config.json"])
        out["first_stage_model." + name] = ([*shape, 1, 1] if original_layout.is_square_filter(name) else shape, [(VAE, key)])
    for key, shape in w.get(TEXT, {}).items():
        out["conditioner.embedders.0.transformer.text_model." + key.removeprefix("text_model.")] = (shape, [(TEXT, key)])
    second = f"conditioner.embedders.{int(TEXT in w)}.model."
    for name, keys in original_layout.openclip_parts(w[TEXT_2]).items():
        shape, turned = w[TEXT_2][keys[0]], name == "text_projection"
        out[second + name] = (shape[::-1] if turned else [shape[0] * len(keys), *shape[1:]],
                              [(TEXT_2, k, True) if turned else (TEXT_2, k) for k in keys])
    out[second + "logit_scale"] = ([], [])
    return out


def both(c, cls, tensors, args, steps, **options):
    """The directory's picture, and the file's."""
    make_synthetic_xl.draw(c, "plain", args, cls=cls, steps=steps, **options)
    whole = c.add_single("whole.safetensors", tensors)
    pipe = cls.from_single_file(whole, config=str(c.dir), local_files_only=True, **({"safety_checker": None} if TEXT_2 not in c.weights else {}))
    first = c.load(cls)
    for name, model in first.components.items():
        if hasattr(model, "state_dict"):
            theirs = getattr(pipe, name).state_dict()
            assert all(bool((theirs[k] == v).all()) for k, v in model.state_dict().items() if v.is_floating_point()), name
    c.add("whole", [*c.cases[0]["args"], "-m", "@whole.safetensors", "--config", "@."], c.tensors["plain"].numpy(), same_as="plain")
    return c


MASK = ["-i", "@in.png", "--mask", "@mask.png", "--strength", 1]


def pictures(c):
    return {"image": c.add_picture("in.png", 40, 32), "mask_image": c.add_picture("mask.png", 40, 32, 1).convert("RGB"), "width": 40, "height": 32}


def single_inpaint():
    c = pipeline("single-inpaint", StableDiffusionInpaintPipeline, unet(in_channels=9, layers_per_block=2), vae(**FOUR))
    tensors = single_tensors(c, c.files["unet/config.json"], c.files["vae/config.json"], False)
    return both(c, StableDiffusionInpaintPipeline, {k: v for k, v in tensors.items() if "model_ema" not in k}, MASK, 3, strength=1.0, **pictures(c))


def single_xl_nine():
    c = Checkpoint("single-xl-nine", make_synthetic_xl.pipeline(cls=StableDiffusionXLInpaintPipeline,
                                                                unet=make_synthetic_xl.unet(in_channels=9, layers_per_block=2,
                                                                                            transformer_layers_per_block=1)), TOKENIZERS)
    return both(c, StableDiffusionXLInpaintPipeline, xl_tensors(c), MASK, 3, strength=1.0, **pictures(c))


def single_refiner():
    c = Checkpoint("single-refiner", make_synthetic_xl.refiner(layers_per_block=2, transformer_layers_per_block=1), REFINER_LINKS)
    image = c.add_picture("in.png", 40, 32)
    return both(c, StableDiffusionXLImg2ImgPipeline, xl_tensors(c), ["-i", "@in.png"], 7, image=image)


def main():
    deterministic()
    for make in (single_inpaint, single_xl_nine, single_refiner):
        if not sys.argv[1:] or make.__name__.replace("_", "-") in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
