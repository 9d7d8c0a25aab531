"""The program's picture code as a library, called from Python: what check_images.py compares with Pillow, torchvision and diffusers."""

import ctypes
import glob
import os
import subprocess
import tempfile

import numpy as np

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


class Arena(ctypes.Structure):
    _fields_ = [("last", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("exits", ctypes.c_void_p)]


class Image(ctypes.Structure):
    _fields_ = [("W", ctypes.c_int), ("H", ctypes.c_int), ("C", ctypes.c_int), ("pixels", ctypes.c_void_p)]


class Box(ctypes.Structure):
    _fields_ = [(k, ctypes.c_int) for k in ("x1", "y1", "x2", "y2")]


def build():
    directory = tempfile.mkdtemp()
    path = os.path.join(directory, "images.so")
    sources = glob.glob(f"{ROOT}/engine/images/*.c") + glob.glob(f"{ROOT}/engine/base/*.c")
    packages = "libpng libjpeg libwebp libcjson libutf8proc".split()
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", *packages], text=True).split()
    subprocess.check_call(["gcc", "-std=c11", "-D_GNU_SOURCE", "-I", ROOT, "-O3", "-march=native", "-ffp-contract=off", "-shared",
                           "-fno-math-errno", "-fno-trapping-math", "-fPIC", *sources, "-o", path, *flags, "-lm"])
    return ctypes.CDLL(path)


lib = build()
arena = Arena()


def give(array):
    """The array [H,W] or [H,W,3] as the program's picture; the array must outlive it."""
    h, w = array.shape[:2]
    return Image(w, h, 1 if array.ndim == 2 else 3, array.ctypes.data)


def take(image):
    """A copy of the program's picture."""
    n = image.W * image.H * image.C
    flat = np.frombuffer(ctypes.string_at(image.pixels, n), np.uint8)
    return flat.reshape((image.H, image.W) if image.C == 1 else (image.H, image.W, image.C))


def call(name, array, *arguments):
    """lib.name(arena, picture, …), which returns a picture."""
    function = getattr(lib, name)
    function.restype = Image
    array = np.ascontiguousarray(array)
    given = give(array)
    out = take(function(ctypes.byref(arena), ctypes.byref(given), *arguments))
    lib.arena_free(ctypes.byref(arena))
    return out


def extract(kind, array, config):
    """extractor_KIND of a preprocessor_config.json's text, run on the array."""
    lib.json_parse.restype = ctypes.c_void_p
    extractor = ctypes.create_string_buffer(256)
    json = ctypes.c_void_p(lib.json_parse(ctypes.byref(arena), config.encode(), ctypes.c_size_t(len(config)), b"config"))
    getattr(lib, "extractor_" + kind)(extractor, ctypes.byref(arena), json)
    given, w, h = give(array), ctypes.c_int(), ctypes.c_int()
    lib.extractor_size(extractor, given.W, given.H, ctypes.byref(w), ctypes.byref(h))
    out = np.zeros((h.value, w.value, 3), np.float32)
    lib.extractor_run(extractor, ctypes.byref(arena), ctypes.c_void_p(out.ctypes.data), ctypes.byref(given))
    lib.arena_free(ctypes.byref(arena))
    return out


def floats(name, shape, array, *arguments):
    """lib.name(float *out, picture, …)."""
    out = np.zeros(shape, np.float32)
    array = np.ascontiguousarray(array)
    given = give(array)
    getattr(lib, name)(ctypes.c_void_p(out.ctypes.data), ctypes.byref(given), *arguments)
    return out


def decode(data, name="test"):
    """image_decode of bytes."""
    lib.image_decode.restype = Image
    buffer = ctypes.create_string_buffer(data, len(data))
    out = take(lib.image_decode(ctypes.byref(arena), buffer, ctypes.c_size_t(len(data)), name.encode()))
    lib.arena_free(ctypes.byref(arena))
    return out


class Comment(ctypes.Structure):
    _fields_ = [("keyword", ctypes.c_char_p), ("text", ctypes.c_char_p), ("international", ctypes.c_bool)]


class Comments(ctypes.Structure):
    _fields_ = [("items", ctypes.POINTER(Comment)), ("n", ctypes.c_int)]


def encode(kind, array, texts, quality):
    """image_encode to "png", "jpeg" or "webp"; texts is {keyword: text}."""
    lib.image_encode.restype = ctypes.c_void_p
    items = (Comment * len(texts))(*[Comment(k.encode(), v.encode(), True) for k, v in texts.items()])
    n, given = ctypes.c_size_t(), give(array)
    data = lib.image_encode(ctypes.byref(arena), ["png", "jpeg", "webp"].index(kind), ctypes.byref(given), Comments(items, len(texts)), quality,
                            ctypes.byref(n))
    out = ctypes.string_at(data, n.value)
    lib.arena_free(ctypes.byref(arena))
    return out
