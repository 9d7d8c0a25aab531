"""test/fixtures/images/*.safetensors: what Pillow, torchvision, transformers and diffusers make of small pictures.

A case is two tensors, CASE.in and CASE.out; the case's name holds its parameters, which test_images.c parses. check_images.py compares
thousands of random ones where those libraries are.
"""

import io
import pathlib
import random

import numpy as np
import torch
from diffusers.utils import load_image
from PIL import Image
from torchvision.transforms.v2 import functional as tv

import common
import image_files

tensors = {}


def picture(seed, w, h, channels=3):
    """Noise over a ramp, with a hard edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    out = (x[..., None] * 5 + y[..., None] * 3 + np.arange(channels) * 40 + rng.integers(0, 60, (h, w, channels))) % 256
    out[h // 3:, w // 2:] = 255 - out[h // 3:, w // 2:]
    out = out.astype(np.uint8)
    return out[..., 0] if channels == 1 else out


def add(name, given, wanted):
    tensors[name + ".in"] = torch.from_numpy(np.ascontiguousarray(given))
    tensors[name + ".out"] = torch.from_numpy(np.ascontiguousarray(wanted))


SIZES = [((21, 17), (16, 16)), ((17, 26), (16, 8)), ((11, 24), (16, 16)), ((9, 9), (24, 16)), ((20, 20), (20, 8)), ((13, 40), (13, 16)),
         ((40, 12), (8, 8)), ((24, 24), (23, 16)), ((1, 5), (4, 2)), ((30, 31), (31, 30))]


def resizes():
    for i, ((w, h), (W, H)) in enumerate(SIZES):
        for name in ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"):
            array = picture(i, w, h, 1 + 2 * (i % 4 != 3))
            resample = getattr(Image.Resampling, name.upper())
            add(f"pillow:{W}x{H}:{int(resample)}:{i}", array, np.array(Image.fromarray(array).resize((W, H), resample)))
        for name in ("bilinear", "bicubic"):
            array = picture(i, w, h)
            out = tv.resize(torch.from_numpy(array).permute(2, 0, 1), [H, W], getattr(tv.InterpolationMode, name.upper()), antialias=True)
            add(f"torchvision:{W}x{H}:{int(getattr(Image.Resampling, name.upper()))}:{i}", array, out.permute(1, 2, 0).numpy())


def file_of(name, data):
    add(name, np.frombuffer(data, np.uint8), np.array(load_image(Image.open(io.BytesIO(data)))))


def files():
    """Every kind of file, small; the seed files of the fuzzer too."""
    rng = random.Random(7)
    seen = {}
    corpus = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus" / "image"
    corpus.mkdir(parents=True, exist_ok=True)
    while len(seen) < 60:
        kind = ["png", "jpeg", "webp"][len(seen) % 3]
        what, data = getattr(image_files, "random_" + kind)(rng)
        shape = what.split(" {")[0] if kind != "png" else " ".join(what.split()[:5]) + what.split()[-1]
        if len(data) < 3000 and (kind != "png" or shape not in seen):
            seen[shape + str(len(seen)) * (kind != "png")] = data
    grey16 = np.array([[[0], [1], [254]], [[255], [256], [65535]]])
    seen["png grey 16"] = image_files.png(3, 2, 0, 16, grey16)
    for i, (name, data) in enumerate(seen.items()):
        file_of(f"file:{i}:{name.split()[0]}", data)
        if i < 45 and len(data) < 1500:
            (corpus / f"{i:02}.{name.split()[0]}").write_bytes(data)


def main():
    common.deterministic()
    resizes()
    files()
    common.save_tensors(common.FIXTURES / "images" / "images.safetensors", tensors)


main()
