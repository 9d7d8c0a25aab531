"""Compares the program's picture code with Pillow, torchvision, transformers and diffusers on random cases. Prints a line for each kind.

    python test/reference/check_images.py [resize] [blur] …      all kinds without a name
"""

import ctypes
import io
import json
import random
import sys

import numpy as np
import torch
import transformers
from diffusers.image_processor import VaeImageProcessor
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


def check_modes(rng):
    bad = 0
    for _ in range(1000):
        w, h, W, H = (rng.randrange(12, 120) for _ in range(4))
        mode, resample = rng.choice(["default", "fill", "crop"]), rng.choice(["lanczos", "bicubic", "nearest", "bilinear"])
        array = noise(rng, w, h, 3)
        want = np.array(VaeImageProcessor(resample=resample).resize(P.fromarray(array), H, W, mode))
        got = ours.call("image_resize", array, W, H, ["default", "fill", "crop"].index(mode), ours.FILTERS[resample])
        bad += different("modes", (w, h, W, H, mode, resample), got, want)
    return 1000, bad


def check_blur(rng):
    bad = 0
    for _ in range(1000):
        w, h, radius = side(rng), side(rng), rng.choice([1, 2, 4, 8, 33, 200, rng.random() * 10, 0.1])
        array = noise(rng, w, h, rng.choice([1, 3]))
        want = np.array(VaeImageProcessor.blur(P.fromarray(array), radius))
        bad += different("blur", (w, h, radius), ours.call("image_blur", array, ctypes.c_float(radius)), want)
    return 1000, bad


def check_crop_region(rng):
    bad = 0
    for _ in range(2000):
        w, h, W, H, pad = rng.randrange(1, 60), rng.randrange(1, 60), 8 * rng.randrange(1, 16), 8 * rng.randrange(1, 16), rng.randrange(0, 70)
        mask = np.zeros((h, w), np.uint8)
        for _ in range(rng.randrange(1, 4)):
            mask[rng.randrange(h), rng.randrange(w)] = rng.randrange(1, 256)
        want = VaeImageProcessor.get_crop_region(P.fromarray(mask), W, H, pad)
        box, given = ours.Box(), ours.give(mask)
        ours.lib.mask_crop_region(ctypes.byref(given), W, H, pad, ctypes.byref(box))
        bad += different("crop_region", (w, h, W, H, pad), np.array([box.x1, box.y1, box.x2, box.y2]), np.array(want))
    return 2000, bad


def check_overlay(rng):
    bad = 0
    for _ in range(500):
        w, h = rng.randrange(4, 60), rng.randrange(4, 60)
        original, mask, boxed = noise(rng, w, h, 3), noise(rng, w, h, 1), rng.random() < 0.7
        W, H = (8 * rng.randrange(1, 8), 8 * rng.randrange(1, 8)) if boxed else (w, h)
        x, y = rng.randrange(w - 2), rng.randrange(h - 2)
        box = (x, y, rng.randrange(x + 2, w + 1), rng.randrange(y + 2, h + 1)) if boxed else None
        made = noise(rng, W, H, 3)
        want = VaeImageProcessor().apply_overlay(P.fromarray(mask), P.fromarray(original), P.fromarray(made), box)
        given = [ours.give(x) for x in (mask, made)]
        our_box = ctypes.byref(ours.Box(*box)) if boxed else None
        got = ours.call("image_overlay", original, ctypes.byref(given[0]), ctypes.byref(given[1]), our_box, ours.FILTERS["lanczos"])
        bad += different("overlay", (w, h, W, H, box), got, np.array(want))
    return 500, bad


def check_values(rng):
    bad = 0
    array = noise(rng, 64, 64, 3)
    for function, options in (("image_unit", {"do_normalize": False}), ("image_signed", {})):
        want = VaeImageProcessor(**options).preprocess(P.fromarray(array))[0].permute(1, 2, 0).numpy()
        bad += different(function, "", ours.floats(function, (64, 64, 3), array).view(np.int32), np.ascontiguousarray(want).view(np.int32))
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    masks = VaeImageProcessor(do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    bad += different("mask_binarize", "", ours.floats("mask_binarize", (16, 16), grey), masks.preprocess(P.fromarray(grey))[0, 0].numpy())
    return 3, bad


def check_extract(rng):
    bad = 0
    for _ in range(600):
        kind = rng.choice(["clip", "dpt"])
        config = {"resample": rng.choice([2, 3])}
        edge = rng.randrange(8, 90)
        config["size"] = rng.choice([edge, {"height": edge, "width": rng.randrange(8, 90)}])
        if kind == "clip":
            config["size"] = rng.choice([config["size"], {"shortest_edge": edge}])
            config["crop_size"] = rng.choice([edge, {"height": rng.randrange(8, 90), "width": rng.randrange(8, 90)}])
            config["do_center_crop"] = rng.random() < 0.8
        else:
            config["keep_aspect_ratio"], config["ensure_multiple_of"] = rng.random() < 0.6, rng.choice([1, 2, 7, 8])
        if rng.random() < 0.5:
            config["image_mean"], config["image_std"] = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        if rng.random() < 0.5:
            config["rescale_factor"] = 0.00392156862745098
        config["do_resize"] = rng.random() < 0.9
        w, h = rng.randrange(20, 120), rng.randrange(20, 120)
        array = noise(rng, w, h, 3)
        processor = {"clip": transformers.CLIPImageProcessor, "dpt": transformers.DPTImageProcessor}[kind](**config)
        want = processor(images=P.fromarray(array), return_tensors="pt").pixel_values[0].permute(1, 2, 0).numpy()
        got = ours.extract(kind, array, json.dumps(config))
        if got.shape != want.shape or np.abs(got - want).max() > 1e-6:
            bad += different(kind, (w, h, config), got, want)
    return 600, bad


def check_written(rng):
    """Pillow reads the pixels and the metadata of what the program writes; JPEGs hold what Pillow's hold, to a level."""
    bad = 0
    for i in range(300):
        kind, quality = ["jpeg", "webp", "png"][i % 3], rng.choice([1, 30, 75, 90, 99, 100])
        array = np.array(files.picture(rng, "RGB"))
        texts = {"parameters": "ein Fuchs, 狐 🦊\nSteps: 3" + "x" * rng.randrange(9), "diffuse": '{"v":1}' + " " * rng.randrange(3),
                 "XML:com.adobe.xmp": "<x:xmpmeta/>" + " " * rng.randrange(3)}
        opened = P.open(io.BytesIO(ours.encode(kind, array, texts, quality)))
        got = np.array(opened)
        if kind == "jpeg":
            options = {"quality": quality, "subsampling": 0 if quality == 100 else 2}
            want = np.array(P.open(io.BytesIO(files.saved(P.fromarray(array), "JPEG", **options))))
            bad += np.abs(got.astype(int) - want).max() > 1
        elif kind == "png" or quality == 100:
            bad += different(kind, quality, got, array)
        if kind == "png":
            bad += {k: opened.text[k] for k in texts} != texts
        else:
            exif = opened.getexif().get_ifd(0x8769)
            bad += exif[0x9286] != b"UNICODE\0" + texts["parameters"].encode("utf-16-be") or exif[0x927C] != b"diffuse\0" + texts["diffuse"].encode()
            bad += opened.info["xmp"].decode() != texts["XML:com.adobe.xmp"]
    return 300, bad


def main():
    checks = {k[len("check_"):]: f for k, f in globals().items() if k.startswith("check_")}
    failed = False
    for name in sys.argv[1:] or checks:
        n, bad = checks[name](random.Random(1))
        print(f"{name}: {n} cases, {bad} different", flush=True)
        failed |= bool(bad)
    sys.exit(failed)


if __name__ == "__main__":
    main()
