"""Checkpoints that need no weights in the tree: every value follows from its tensor's name and place, here and in test/test_synthetic.c alike.

A fixture test/fixtures/synthetic/NAME.json holds a checkpoint's JSON files, the names and shapes of its tensors, pictures to read, and cases: a
command line of `diffuse` and, in NAME.safetensors, the picture(s) diffusers drew for it, [count,H,W,C] U8."""

import json
import pathlib
import tempfile

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from common import FIXTURES, save_tensors

MASK = (1 << 64) - 1


def name_hash(name):
    """FNV-1a."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def noise(name, n):
    """n floats in [-1, 1), multiples of 2^-23: splitmix64 of the name's hash and the place."""
    with np.errstate(over="ignore"):
        z = np.uint64(name_hash(name)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


GAINS = {  # as make_tiny.py's
    "time_emb_proj.weight": 2.0,
    "q_proj.weight": 1.5,
    "k_proj.weight": 1.5,
    "attn2.to_out.0.weight": 0.4,
    "conv2.weight": 0.5,
    "proj_out.weight": 0.5,
    "attn1.to_out.0.weight": 0.5,
    "ff.net.2.weight": 0.5,
    "decoder.conv_out.weight": 0.7,
    "cond_embedding.conv_out.weight": 16.0,
}


def gain(name):
    return next((g for end, g in GAINS.items() if name.endswith(end)), 1.0)


def base(name):
    return 1 if name.endswith((".weight", ".running_var")) else 0.5 if name.endswith(("_embeds_weights", "head.head.4.bias")) else 0


def values(name, shape):
    """Matrices and filters keep the variance of what they are applied to; scales are near 1, a safety checker's thresholds and a depth's bias 0.5,
    biases near 0."""
    n = int(np.prod(shape, dtype=np.int64))
    x = noise(name, n)
    if len(shape) >= 2:
        x = x * np.float32(np.sqrt(3.0 * shape[0] / n) * gain(name))
    else:
        x = x * np.float32(0.25) + np.float32(base(name))
    return torch.from_numpy(x.reshape(shape))


EIGHT_SCALE = np.float32(2**-5)


def eight(x):
    """Matrices and filters as F8_E4M3 times a scale, cut off."""
    scaled = x.numpy() / EIGHT_SCALE
    step = np.exp2(np.maximum(np.frexp(scaled)[1] - 1, -6) - 3).astype(np.float32)
    cut = torch.from_numpy((np.trunc(scaled / step) * step).astype(np.float32))
    assert bool((cut.to(torch.float8_e4m3fn).float() == cut).all())
    return cut * EIGHT_SCALE


def picture(name, width, height, channels):
    """[height,width,channels] U8: coarse blocks of noise under a gradient, so that resizing has edges and slopes to get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    out = np.empty((height, width, channels), np.uint8)
    for c in range(channels):
        blocks = noise(f"{name}.{c}", ((height + 7) // 8) * ((width + 7) // 8)).reshape((height + 7) // 8, (width + 7) // 8)
        level = ((blocks[y // 8, x // 8] + 1) * 64).astype(np.int64)
        out[:, :, c] = (level + (x * 127) // max(width - 1, 1) * (c + 1) // channels + (y * 63) // max(height - 1, 1)) % 256
    return out


def nested(shapes):
    """The tensors' names as a tree of their parts, which is a third as long."""
    tree = {}
    for name, shape in shapes.items():
        at = tree
        *path, last = name.split(".")
        for part in path:
            at = at.setdefault(part, {})
        at[last] = shape
    return tree


def half_errors(call, seeds=range(7, 15)):
    """Levels that diffusers itself is off in f16 and bf16, on average over eight seeds: where that is much, one says little. call(seed, dtype): a picture."""
    exact = [np.asarray(call(seed, torch.float32), int) for seed in seeds]
    off = lambda dtype: [np.abs(np.asarray(call(seed, dtype), int) - e).mean() for seed, e in zip(seeds, exact)]
    return {name: round(float(np.mean(off(dtype))), 2) for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16))}


class Checkpoint:
    """A pipeline saved to a directory, its weights replaced; `edit(path, data)` may change a JSON file, `rename(path, tensor)` a tensor's name
    before it is loaded again. Tensors whose "FILE:NAME" holds one of `faint` have a thousandth of their values, so that the eps of the norm
    behind them counts; matrices and filters of files that begin with one of `eights` have values that fp8 can have, times a scale."""

    def __init__(self, name, pipe, links=(), edit=None, drop=(), faint=(), rename=lambda where, tensor: tensor, eights=()):
        self.name, self.links, self.cases, self.tensors, self.pictures, self.faint = name, {}, [], {}, {}, list(faint)
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.files, self.weights, self.single, self.refused, self.odd, self.eights, self.fp8 = {}, {}, {}, [], None, list(eights), {}
        self.save("", pipe, links, edit, drop, rename)

    def save(self, folder, pipe, links=(), edit=None, drop=(), rename=lambda where, tensor: tensor):
        """Another pipeline in a folder of the first."""
        below = f"{folder}/" if folder else ""
        self.links.update({below + name: target for name, target in dict(links).items()})
        pipe.save_pretrained(self.dir / folder, safe_serialization=True)
        for path in sorted((self.dir / folder).rglob("*")):
            where = path.relative_to(self.dir).as_posix()
            if any(where.startswith(d + "/") for d in self.links):
                continue
            if path.suffix == ".json":
                data = json.loads(path.read_text())
                if edit:
                    edit(where, data)
                    path.write_text(json.dumps(data))
                self.files[where] = data
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt") as f:
                    shapes = {k: list(f.get_slice(k).get_shape()) for k in f.keys() if f.get_slice(k).get_dtype().startswith("F")}
                shapes = {rename(where, k): s for k, s in sorted(shapes.items()) if not any(d in k for d in drop)}
                self.weights[where] = shapes
                save_file({k: self.values(f"{where}:{k}", s) for k, s in shapes.items()}, path, {"format": "pt"})

    def values(self, name, shape):
        x = values(name, shape) * (0.001 if any(f in name for f in self.faint) else 1)
        return eight(x) if len(shape) >= 2 and name.startswith(tuple(self.eights)) else x

    def load(self, cls, folder="", **options):
        pipe = cls.from_pretrained(self.dir / folder, torch_dtype=torch.float32, **options)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def add_single(self, file, tensors):
        """A file of the same values under other names: tensors NAME -> (shape, parts), the parts one below the other; a part is (file, name) of a tensor of
        the checkpoint, (file, name, True) its transpose; none: values of its own."""
        order = list(self.weights)
        self.single[file] = {k: [*shape, *(f"{'T' if turned else ''}{order.index(f)}:{n}" for f, n, *turned in parts)] for k, (shape, parts) in tensors.items()}
        one = lambda f, n, turned=False: self.values(f"{f}:{n}", self.weights[f][n]).T if turned else self.values(f"{f}:{n}", self.weights[f][n])
        data = {k: torch.cat([one(*p) for p in parts]).reshape(shape).contiguous() if parts else values(k, shape) for k, (shape, parts) in tensors.items()}
        save_file(data, self.dir / file, {"format": "pt"})
        return self.dir / file

    def add(self, name, args, images, same_as=None, half_error=None):
        """args: diffuse's, without -m and -o. images: what diffusers drew, a list of PIL pictures or one array [count,H,W,C] U8. same_as: an earlier
        case, whose picture it is to the byte. half_error: half_errors(), where that is much."""
        if not isinstance(images, np.ndarray):
            images = np.stack([np.asarray(i if np.asarray(i).ndim == 3 else np.asarray(i)[:, :, None]) for i in images])
        self.tensors[name] = torch.from_numpy(np.ascontiguousarray(images))
        own = {"half_error": half_error} if half_error else {}
        self.cases.append({"name": name, "args": [str(a) for a in args], **({"same_as": same_as} if same_as else {}), **own})

    def refuse(self, args, code, says):
        """A command line that ends with that exit code and says that, among other things."""
        self.refused.append({"name": "refused", "args": [str(a) for a in args], "code": code, "says": says})

    def add_picture(self, file, width, height, channels=3):
        from PIL import Image

        self.pictures[file] = [width, height, channels]
        data = picture(file, width, height, channels)
        return Image.fromarray(data if channels > 1 else data[:, :, 0])

    def add_mask(self, file, width, height, x, y, w, h, soft=0):
        """As it comes from load_image: white in the box, fading over `soft` pixels around it."""
        from PIL import Image

        self.pictures[file] = [width, height, 1, x, y, w, h, soft]
        j, i = np.mgrid[0:height, 0:width]
        outside = lambda at, begin, n: np.maximum(np.maximum(begin - at, at - begin - n + 1), 0)
        d = np.maximum(outside(i, x, w), outside(j, y, h))
        return Image.fromarray(np.where(d > soft, 0, 255 - 255 * d // (soft + 1)).astype(np.uint8)).convert("RGB")

    def write(self):
        path = FIXTURES / "synthetic" / self.name
        save_tensors(path.with_suffix(".safetensors"), self.tensors)
        weights, single = ({file: nested(shapes) for file, shapes in files.items()} for files in (self.weights, self.single))
        one = lambda d: "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in d.items()) + "\n}"
        listed = lambda items: ",\n".join("  " + json.dumps(c) for c in items)
        path.with_suffix(".json").write_text(
            f'{{"files": {one(self.files)},\n"links": {json.dumps(self.links)},\n"weights": {one(weights)},\n'
            + (f'"single": {one(single)},\n' if single else "") + (f'"eights": {json.dumps(self.eights)}, "fp8": {json.dumps(self.fp8)},\n' if self.eights else "")
            + (f'"faint": {json.dumps(self.faint)},\n' if self.faint else "") +
            f'"pictures": {json.dumps(self.pictures)},\n"cases": [\n{listed(self.cases)}\n]'
            + (f',\n"refused": [\n{listed(self.refused)}\n]' if self.refused else "") + "}\n")
        print(self.name, len(self.cases), "cases")
