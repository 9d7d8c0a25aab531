"""Compares the program's picture code with Pillow, torchvision, transformers and diffusers on random cases. Prints a line for each kind.

    python test/reference/check_images.py [resize] [blur] …      all kinds without a name
"""

import io
import random
import sys

import numpy as np
import torch
from diffusers.utils import load_image
from PIL import Image as P
from torchvision.transforms.v2 import functional as tv

import image_files as files
import images_library as ours


def noise(rng, w, h, channels):
    """Noise, a hard edge or a smooth ramp."""
    shape = (h, w) if channels == 1 else (h, w, channels)
    kind = rng.randrange(3)
    if kind == 0:
        return np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, shape, dtype=np.uint8)
    if kind == 1:
        return np.where(np.random.default_rng(rng.randrange(1 << 30)).random(shape) < 0.5, 0, 255).astype(np.uint8)
    ramp = np.add.outer(np.arange(h) * rng.randrange(1, 9), np.arange(w) * rng.randrange(1, 9)) % 256
    return (ramp if channels == 1 else np.stack([ramp, 255 - ramp, ramp // 2], -1)).astype(np.uint8)


def side(rng):
    return rng.choice([1, 2, 3, 7, 8, 16]) if rng.random() < 0.2 else rng.randrange(1, 160)


def different(name, case, got, want):
    if got.shape == want.shape and np.array_equal(got, want):
        return 0
    print(f"{name}: {case}: {got.shape} {want.shape}", np.abs(got.astype(int) - want).max() if got.shape == want.shape else "")
    return 1


def check_resize(rng):
    bad = 0
    for i in range(2000):
        w, h, W, H = side(rng), side(rng), side(rng), side(rng)
        if i % 20 == 0:
            W, H = (w, H) if i % 40 else (W, h)
        array = noise(rng, w, h, rng.choice([1, 3]))
        name = rng.choice(list(ours.FILTERS))
        want = np.array(P.fromarray(array).resize((W, H), getattr(P.Resampling, name.upper())))
        bad += different("resize", (w, h, W, H, name), ours.call("resize_pillow", array, W, H, ours.FILTERS[name]), want)
    return 2000, bad


def check_torchvision(rng):
    bad = 0
    for _ in range(2000):
        w, h, W, H = side(rng), side(rng), side(rng), side(rng)
        array = noise(rng, w, h, 3)
        name = rng.choice(["bilinear", "bicubic"])
        tensor = torch.from_numpy(array).permute(2, 0, 1)
        want = tv.resize(tensor, [H, W], interpolation=getattr(tv.InterpolationMode, name.upper()), antialias=True)
        bad += different("torchvision", (w, h, W, H, name), ours.call("resize_torchvision", array, W, H, ours.FILTERS[name]),
                         want.permute(1, 2, 0).numpy())
    return 2000, bad


def check_files(rng):
    """A JPEG may differ by a level (another version of the same library); the others are equal."""
    bad = jpeg_off = 0
    for i in range(900):
        what, data = [files.random_png, files.random_jpeg, files.random_webp][i % 3](rng)
        want = np.array(load_image(P.open(io.BytesIO(data))))
        got = ours.decode(data)
        off = np.abs(got.astype(int) - want).max() if got.shape == want.shape else 999
        jpeg_off += i % 3 == 1 and off == 1
        if off > (i % 3 == 1):
            bad += different("files", what, got, want)
    print(f"files: {jpeg_off} of 300 JPEGs off by one level somewhere")
    return 900, bad


def main():
    checks = {k[len("check_"):]: f for k, f in globals().items() if k.startswith("check_")}
    failed = False
    for name in sys.argv[1:] or checks:
        n, bad = checks[name](random.Random(1))
        print(f"{name}: {n} cases, {bad} different", flush=True)
        failed |= bad > 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
