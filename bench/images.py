"""A 12-megapixel JPEG read and brought to 512x512, by the program's code and by Pillow, turn about on one thread: the best of ten each.

    python bench/images.py      needs test/reference/requirements.txt
"""

import ctypes
import io
import pathlib
import sys
import time

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "reference"))
import images_library as ours  # noqa: E402


def photograph():
    """4000x3000, smooth with edges and grain: 2.5 bits a pixel at quality 90, as a camera's."""
    y, x = np.mgrid[0:3000, 0:4000]
    planes = [128 + 60 * np.sin(x / (170 + 40 * c)) + 50 * np.cos(y / (90 + 30 * c)) for c in range(3)]
    grain = np.random.default_rng(1).normal(0, 7, (3000, 4000, 1))
    array = (np.stack(planes, -1) + grain + 30 * ((x // 37 + y // 53) % 7 == 0)[..., None]).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", quality=90)
    return out.getvalue()


def with_pillow(data, filter):
    return np.array(Image.open(io.BytesIO(data)).convert("RGB").resize((512, 512), filter))


def with_ours(data, filter):
    lib, arena = ours.lib, ours.Arena()
    lib.image_decode.restype = lib.resize_pillow.restype = ours.Image
    image = lib.image_decode(ctypes.byref(arena), data, ctypes.c_size_t(len(data)), b"bench")
    out = ours.take(lib.resize_pillow(ctypes.byref(arena), ctypes.byref(image), 512, 512, int(filter)))
    lib.arena_free(ctypes.byref(arena))
    return out


def seconds(run, *arguments):
    began = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - began


def main():
    data = photograph()
    print(f"4000x3000, {len(data) / 1e6:.1f} MB")
    for name in ("LANCZOS", "BICUBIC"):
        filter = getattr(Image.Resampling, name)
        assert np.array_equal(with_pillow(data, filter), with_ours(data, filter))
        times = [(seconds(with_ours, data, filter), seconds(with_pillow, data, filter)) for _ in range(10)]
        mine, theirs = (1e3 * min(column) for column in zip(*times))
        print(f"{name.lower()}: {mine:.1f} ms, Pillow {theirs:.1f} ms, ratio {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
