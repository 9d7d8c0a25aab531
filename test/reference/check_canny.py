"""Compares the program's Canny with OpenCV's on random pictures, and writes the fixture of a few of them.

    check_canny.py            hundreds of pictures
    check_canny.py --write    test/fixtures/images/canny.bin"""

import ctypes
import random
import struct
import sys

import cv2
import numpy as np

import images_library as ours


def picture(rng, w, h):
    """Noise, blocks, ramps, blurred noise, or few levels, so that neighbours and channels tie."""
    at = np.random.default_rng(rng.randrange(1 << 30))
    kind = rng.randrange(5)
    if kind == 0:
        out = at.integers(0, 256, (h, w, 3))
    elif kind == 1:
        out = np.kron(at.integers(0, 256, ((h + 6) // 7, (w + 6) // 7, 3)), np.ones((7, 7, 1)))[:h, :w]
    elif kind == 2:
        y, x = np.mgrid[0:h, 0:w]
        out = np.stack([(x * rng.randrange(9) + y * rng.randrange(9)) % 256, (x * 3 + y * 5) % 256, (y * rng.randrange(20)) % 256], -1)
    elif kind == 3:
        out = cv2.GaussianBlur(at.integers(0, 256, (h, w, 3)).astype(np.uint8), (5, 5), 1.2).reshape(h, w, 3)
    else:
        out = at.integers(0, 3, (h, w, 3)) * 90
    out = out.astype(np.uint8)
    return np.repeat(out[:, :, :1], 3, 2) if rng.randrange(4) == 0 else out


def cases(seed, n, most):
    rng = random.Random(seed)
    for i in range(n):
        w, h = (rng.randrange(1, 6), rng.randrange(1, 6)) if i % 10 == 0 else (rng.randrange(1, most), rng.randrange(1, most))
        low = rng.choice([0, 1, 50, 100, 99.5, rng.randrange(500)])
        high = 200 if low == 100 else low + rng.choice([0, 0.7, 100, rng.randrange(600)])
        if i % 5 == 3:  # thresholds that are met exactly
            steps = np.random.default_rng(i).integers(0, 2, (h + 9, w + 9, 1)) * 90
            yield np.repeat(steps.astype(np.uint8), 3, 2), 180, 360
        else:
            yield picture(rng, w, h), low, high


def opencv(array, low, high):
    return cv2.Canny(np.ascontiguousarray(array), low, high)


def program(array, low, high):
    return ours.call("image_canny", array, ctypes.c_double(low), ctypes.c_double(high))


def check():
    n = bad = edges = 0
    for array, low, high in cases(1, 800, 130):
        want, got = opencv(array, low, high), program(array, low, high)
        n += 1
        edges += int((want > 0).sum())
        if not np.array_equal(got, np.repeat(want[:, :, None], 3, 2)):
            bad += 1
            print(array.shape, low, high, int((got[:, :, 0] != want).sum()), "pixels differ")
    print(f"canny: {n} pictures, {edges} pixels of edges, {bad} pictures differ from OpenCV {cv2.__version__}")
    return bad


def write():
    """Of each: width, height, low, high as float64, the pixels, the edges."""
    with open(f"{ours.ROOT}/test/fixtures/images/canny.bin", "wb") as f:
        for array, low, high in cases(2, 14, 30):
            h, w = array.shape[:2]
            f.write(struct.pack("<4d", w, h, low, high) + array.tobytes() + opencv(array, low, high).tobytes())


if __name__ == "__main__":
    sys.exit(write() if "--write" in sys.argv else check() > 0)
