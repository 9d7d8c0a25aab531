"""test/fixtures/images/*.safetensors: what Pillow, torchvision, transformers and diffusers make of small pictures.

A case is two tensors, CASE.in and CASE.out; the case's name holds its parameters, which test_images.c parses. check_images.py compares
thousands of random ones where those libraries are.
"""

import io
import json
import pathlib
import random
import struct
import zlib

import numpy as np
import torch
import transformers
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import load_image
from PIL import Image, ImageCms
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


def modes():
    for i, (w, h, W, H) in enumerate([(50, 20, 32, 24), (50, 20, 32, 25), (20, 50, 24, 32), (20, 50, 25, 32), (24, 24, 24, 24), (31, 17, 16, 40)]):
        for k, mode in enumerate(("default", "fill", "crop")):
            array = picture(40 + i, w, h)
            out = VaeImageProcessor(resample="lanczos").resize(Image.fromarray(array), H, W, mode)
            add(f"mode:{W}x{H}:{k}:{i}", array, np.array(out))


def masks():
    for i, radius in enumerate((0.4, 1, 4, 9.5, 40)):
        array = picture(60 + i, 23, 17, 1 if i % 2 else 3)
        add(f"blur:{radius}:{i}", array, np.array(VaeImageProcessor.blur(Image.fromarray(array), radius)))
    regions, rng = [], random.Random(3)
    while len(regions) < 60:
        w, h, W, H, pad = rng.randrange(4, 60), rng.randrange(4, 60), 8 * rng.randrange(1, 16), 8 * rng.randrange(1, 16), rng.randrange(0, 40)
        x, y = rng.randrange(w), rng.randrange(h)
        white = [x, y, rng.randrange(x + 1, w + 1), rng.randrange(y + 1, h + 1)]
        mask = np.zeros((h, w), np.uint8)
        mask[white[1]:white[3], white[0]:white[2]] = 1
        regions.append([w, h, *white, W, H, pad, *VaeImageProcessor.get_crop_region(Image.fromarray(mask), W, H, pad)])
    tensors["regions"] = torch.tensor(regions, dtype=torch.int32)
    for i, box in enumerate((None, (3, 4, 20, 15), (0, 0, 23, 8))):
        original, mask = picture(70 + i, 23, 17), picture(80 + i, 23, 17, 1)
        mask[:5], mask[-5:] = 0, 255
        made = picture(90 + i, *((23, 17) if box is None else (16, 24)))
        out = VaeImageProcessor().apply_overlay(*(Image.fromarray(x) for x in (mask, original, made)), box)
        name = "overlay:" + ("none" if box is None else ",".join(map(str, box)))
        add(name, original, np.array(out))
        tensors[name + ".mask"], tensors[name + ".made"] = torch.from_numpy(mask), torch.from_numpy(made)


def numbers():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name, options in (("unit", {"do_normalize": False}), ("signed", {}), ("binary", {"do_normalize": False, "do_binarize": True})):
        add("numbers:" + name, ramp, VaeImageProcessor(**options, do_convert_grayscale=True).preprocess(Image.fromarray(ramp))[0, 0].numpy())


CONFIGS = [("clip", (40, 30), {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}),
           ("clip", (30, 41), {"size": 16, "crop_size": 15, "rescale_factor": 0.00392156862745098}),
           ("clip", (30, 41), {"size": 12, "crop_size": 15, "resample": 2, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.4, 0.3]}),
           ("clip", (30, 20), {"size": {"height": 10, "width": 12}, "do_center_crop": False}),
           ("dpt", (40, 30), {"size": 24}),
           ("dpt", (40, 30), {"size": {"height": 24, "width": 24}, "keep_aspect_ratio": True, "ensure_multiple_of": 8}),
           ("dpt", (20, 24), {"size": 24, "keep_aspect_ratio": True, "ensure_multiple_of": 8}),
           ("dpt", (20, 36), {"size": {"height": 24, "width": 24}, "keep_aspect_ratio": True, "ensure_multiple_of": 8, "resample": 2})]


def extractors():
    for i, (kind, (w, h), config) in enumerate(CONFIGS):
        processor = {"clip": transformers.CLIPImageProcessor, "dpt": transformers.DPTImageProcessor}[kind](**config)
        array = picture(100 + i, w, h)
        out = processor(images=Image.fromarray(array), return_tensors="pt").pixel_values[0].permute(1, 2, 0)
        add(f"{kind}:{i}", array, out.numpy())
        tensors[f"{kind}:{i}.config"] = torch.frombuffer(bytearray(json.dumps(config).encode()), dtype=torch.uint8)


def written():
    for quality, subsampling in ((30, 2), (90, 2), (100, 0)):
        array = picture(120, 37, 29)
        data = image_files.saved(Image.fromarray(array), "JPEG", quality=quality, subsampling=subsampling, optimize=True)
        add(f"jpeg:{quality}", array, np.array(Image.open(io.BytesIO(data))))


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


def profiles():
    """Colours that a reader with colour management would change, red and blue for one another: load_image does not."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array, icc = np.stack([ramp, ramp.T, 255 - ramp], -1), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
    gamma, profile = image_files.chunk(b"gAMA", struct.pack(">I", 100000)), image_files.chunk(b"iCCP", b"bgr\0\0" + zlib.compress(icc))
    for i, before in enumerate((gamma, profile, gamma + profile)):
        file_of(f"file:{i}:png", image_files.png(16, 16, 2, 8, array, before=before))
    file_of("file:3:png", image_files.png(16, 16, 0, 8, ramp[..., None], before=gamma))
    file_of("file:4:jpeg", image_files.saved(Image.fromarray(array), "JPEG", quality=90, icc_profile=icc))
    file_of("file:5:webp", image_files.saved(Image.fromarray(array), "WEBP", lossless=True, icc_profile=icc))


def save(name):
    common.save_tensors(common.FIXTURES / "images" / name, tensors)
    tensors.clear()


def main():
    common.deterministic()
    profiles()
    save("profiles.safetensors")
    resizes()
    files()
    modes()
    masks()
    numbers()
    written()
    extractors()
    save("images.safetensors")


main()
