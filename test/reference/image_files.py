"""Picture files of every kind the program reads, from Pillow and, where Pillow cannot write a kind (PNG's other depths, interlacing, odd
chunks), from the small PNG writer here."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, body, crc=None):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)


def rows(samples, depth):
    """samples [H,W*C] as packed rows, each with filter 0."""
    out = b""
    for row in samples:
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
            packed = np.packbits(bits.reshape(-1)).tobytes()
        out += b"\0" + packed
    return out


def png(w, h, color_type, depth, samples, interlaced=False, before=b"", after=b"", palette=None):
    """samples [H,W,C]; before and after: chunks in front of and behind the pixels."""
    if interlaced:
        plain = b""
        for x0, y0, dx, dy in ADAM7:
            part = samples[y0::dy, x0::dx]
            if part.size:
                plain += rows(part.reshape(part.shape[0], -1), depth)
    else:
        plain = rows(samples.reshape(h, -1), depth)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color_type, 0, 0, int(interlaced)))
    colors = chunk(b"PLTE", palette) if palette is not None else b""
    return b"\x89PNG\r\n\x1a\n" + head + colors + before + chunk(b"IDAT", zlib.compress(plain)) + after + chunk(b"IEND", b"")


def exif(orientation, order=">", kind=3):
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *([orientation, 0] if kind == 3 else [orientation]))
    return (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "IHHHI", 8, 1, 0x112, kind, 1) + value + struct.pack(order + "I", 0)


def xmp(orientation):
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>').encode()


def itxt(keyword, text):
    return chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def random_png(rng):
    color_type = rng.choice(list(CHANNELS))
    depth = rng.choice({0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}[color_type])
    w, h = rng.randrange(1, 40), rng.randrange(1, 40)
    most = 1 << depth
    samples = np.random.default_rng(rng.randrange(1 << 30)).integers(0, most, (h, w, CHANNELS[color_type]))
    if color_type == 0 and depth == 16 and rng.random() < 0.5:
        samples //= 256
    before, after, palette = b"", b"", None
    if color_type == 3:
        n = rng.randrange(1, most + 1) if rng.random() < 0.5 else most
        palette = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, 3 * n, dtype=np.uint8).tobytes()
        if rng.random() < 0.8:
            samples = np.minimum(samples, n - 1)
        if rng.random() < 0.5:
            before += chunk(b"tRNS", bytes(rng.randrange(256) for _ in range(rng.randrange(1, n + 1))))
    if color_type in (0, 2) and rng.random() < 0.3:
        before += chunk(b"tRNS", struct.pack(">" + "H" * CHANNELS[color_type], *samples[0, 0]))
    if rng.random() < 0.2:
        before = chunk(b"gAMA", struct.pack(">I", 100000)) + before
    if rng.random() < 0.5:
        block = chunk(b"eXIf", exif(rng.randrange(0, 10), rng.choice("<>"), rng.choice([3, 4])))
        if rng.random() < 0.3:
            after += block
        else:
            before += block
    if rng.random() < 0.3:
        before += itxt(b"XML:com.adobe.xmp", xmp(rng.randrange(1, 9)))
    interlaced = rng.random() < 0.4
    what = f"png type {color_type} depth {depth} {w}x{h} interlaced {interlaced}"
    return what, png(w, h, color_type, depth, samples, interlaced, before, after, palette)


def picture(rng, mode):
    """Smooth with edges and some noise, as JPEG and WebP are made for."""
    w, h = rng.randrange(1, 80), rng.randrange(1, 80)
    channels = len(Image.new(mode, (1, 1)).getbands())
    r = np.random.default_rng(rng.randrange(1 << 30))
    y, x = np.mgrid[0:h, 0:w]
    array = 128 + 100 * np.sin(x[..., None] / (3 + np.arange(channels)) + y[..., None] / 7) + r.normal(0, 12, (h, w, channels))
    array[h // 2:, w // 3:] = 255 - array[h // 2:, w // 3:]
    array = array.clip(0, 255).astype(np.uint8)
    return Image.fromarray(array[..., 0] if channels == 1 else array, mode) if mode != "CMYK" else Image.frombytes(mode, (w, h), array.tobytes())


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def random_jpeg(rng):
    mode = rng.choice(["L", "RGB", "RGB", "RGB", "CMYK"])
    options = {"quality": rng.randrange(5, 101), "progressive": rng.random() < 0.4, "optimize": rng.random() < 0.5}
    if mode == "RGB":
        options["subsampling"] = rng.choice(["4:4:4", "4:2:2", "4:2:0"])
        if rng.random() < 0.2:
            options["keep_rgb"], options["subsampling"] = True, "4:4:4"
    if rng.random() < 0.2:
        options["restart_marker_blocks"] = rng.randrange(1, 5)
    if rng.random() < 0.5:
        options["exif"] = b"Exif\0\0" + exif(rng.randrange(0, 10), rng.choice("<>"), rng.choice([3, 4]))
    if rng.random() < 0.3:
        options["xmp"] = xmp(rng.randrange(1, 9))
    return f"jpeg {mode} {options}", saved(picture(rng, mode), "JPEG", **options)


def random_webp(rng):
    mode = rng.choice(["RGB", "RGBA", "L"])
    options = {"quality": rng.randrange(0, 101), "lossless": rng.random() < 0.4, "exact": rng.random() < 0.5, "method": rng.randrange(0, 5)}
    if rng.random() < 0.5:
        options["exif"] = b"Exif\0\0" + exif(rng.randrange(0, 10), rng.choice("<>"), rng.choice([3, 4]))
    if rng.random() < 0.3:
        options["xmp"] = xmp(rng.randrange(1, 9))
    return f"webp {mode} {options}", saved(picture(rng, mode), "WEBP", **options)
