"""Draws the training pictures: parametric vector drawings, each from a recipe that says what is to be seen.

    python illustrator.py sheet.png                 a contact sheet, subjects x styles
    python illustrator.py random.png SEED           64 random pictures with their captions on stdout
    python illustrator.py --speed                   pictures per second

A recipe is {"seed", "style", "background", "layout", "items": [{"subject", "colour" or None, "count"}, ...]}, and "size" (width, height)
where that is not SIZE x SIZE; the same recipe is always the same picture. Drawing happens at SS times the size; a style is a way to colour and outline parts, and an effect on the pixels.
"""
import sys
import time
import zlib
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from captions import BACKGROUNDS, COLOURS, STYLES, caption
from subjects import SUBJECTS, blob, ell, poly, stroke

SIZE, SS = 128, 3
RGB = {
    "red": (222, 48, 44), "orange": (245, 138, 32), "yellow": (250, 208, 46), "green": (66, 165, 72), "blue": (46, 106, 214), "purple": (132, 66, 180),
    "pink": (247, 142, 188), "brown": (140, 86, 48), "black": (50, 48, 54), "white": (248, 246, 240),
    "rust": (196, 96, 44), "grey": (150, 150, 156), "sand": (214, 170, 108), "cream": (247, 230, 196), "slate": (112, 124, 148),
    "ink": (38, 34, 42), "wood": (168, 112, 62), "trunk": (118, 76, 46), "leaf": (84, 160, 72), "glass": (176, 222, 240), "gold": (248, 190, 48),
    "skin": (246, 168, 160), "rubber": (52, 52, 58), "steel": (204, 206, 212), "flame": (244, 110, 36), "heart": (250, 200, 60), "water": (92, 168, 220),
}
PAPERS = ((250, 248, 242), (252, 240, 220), (226, 240, 250), (232, 246, 230), (250, 228, 232), (238, 232, 250), (255, 246, 204), (216, 232, 236))
POP = ((255, 214, 10), (240, 60, 130), (40, 190, 230), (255, 120, 30), (120, 210, 70), (160, 90, 220), (250, 80, 70))
# style: (outline width in pixels of the final picture, outline of small details too)
OUTLINE = {"plain": 0.8, "line": 1.6, "pixel": 3.0, "watercolour": 0.0, "night": 0.9, "picasso": 2.2, "pop": 2.6, "crayon": 1.5}


def mix(a, b, t):
    return tuple(x + (y - x) * t for x, y in zip(a, b))


def far(a, b):
    return sum(abs(x - y) for x, y in zip(a, b))


# ------------------------------------------------------------------------------------------------------------------ recipes

def held_out(recipe):
    """One in twenty combinations of style, colour and subject is never trained on: scores are taken there."""
    return any(zlib.crc32(f"{recipe['style']} {i['colour']} {i['subject']}".encode()) % 20 == 0 for i in recipe["items"])


def draw_recipe(r, squirrels=0.0, picassos=0.0):
    """A random recipe, held-out ones included; a share of them squirrels, and a share Picassos, whatever else they would be."""
    names, colours = list(SUBJECTS), list(COLOURS)
    item = lambda count=1: {"subject": "squirrel" if squirrels and r.random() < squirrels else names[r.integers(len(names))], "colour": colours[r.integers(len(colours))] if r.random() < 0.72 else None, "count": count}
    layout = r.choice(["one", "many", "beside", "above"], p=[0.80, 0.06, 0.08, 0.06])
    items = [item(int(r.integers(2, 4)) if layout == "many" else 1)]
    if layout in ("beside", "above"):
        other = item()
        while other["subject"] == items[0]["subject"]:
            other = item()
        if layout == "above" and r.random() < 0.3:
            items[0]["count"] = 2
        items.append(other)
    style = "picasso" if picassos and r.random() < picassos else list(STYLES)[r.integers(len(STYLES))]
    background = list(BACKGROUNDS)[r.integers(1, len(BACKGROUNDS))] if r.random() < 0.3 else "blank"
    if style in ("night", "pop"):  # they bring their own
        background = "blank"
    return {"seed": int(r.integers(2**31)), "style": style, "background": background, "layout": str(layout), "items": items}


def training_recipe(r):
    while True:
        recipe = draw_recipe(r, squirrels=0.05, picassos=0.12)
        if not held_out(recipe):
            return recipe


# ------------------------------------------------------------------------------------------------------------------ colours

def subject_palette(r, item):
    colour = item["colour"] or r.choice(SUBJECTS[item["subject"]][1])
    main = tuple(np.clip(np.array(RGB[colour]) + r.normal(0, 5, 3), 0, 255))
    p = dict(RGB, main=main, dark=mix(main, (30, 20, 50), 0.28), light=mix(main, (255, 255, 250), 0.55))
    if colour == "black":
        p.update(dark=(28, 27, 32), light=(112, 110, 120), ink=(16, 14, 18))
    if colour == "white":
        p.update(dark=(214, 212, 220), light=(255, 255, 255), white=(232, 236, 244))
    # what is not the subject's colour must not be mistaken for it
    p["second"] = RGB["blue"] if colour in ("red", "orange", "yellow", "pink", "cream", "white") else RGB["red"] if colour != "brown" else RGB["cream"]
    if item["subject"] == "house":
        p["second"] = RGB["rust"] if colour not in ("red", "orange", "brown", "rust") else RGB["slate"]
    if colour == "yellow":
        p["heart"] = RGB["orange"]
    return p


def style_palette(style, p, paper):
    """The colours as the style shows them."""
    if style == "line":
        ink = p["main"] if sum(paper) < 400 or p["main"][1] < 170 else mix(p["main"], (110, 60, 0), 0.3)
        return {k: paper for k in p} | {"ink": ink, "line": ink}
    if style == "night":
        out = {k: mix(tuple(x * f for x, f in zip(c, (0.84, 0.85, 0.94))), (24, 30, 84), 0.12) for k, c in p.items()}
        return out | {"glass": (255, 224, 120), "line": mix(out["main"], (214, 222, 255), 0.6) if sum(p["main"]) < 260 else mix(out["main"], (10, 10, 40), 0.65)}
    if style == "pop":
        strong = lambda c: tuple(np.clip((np.array(c) - np.mean(c)) * 1.35 + np.mean(c), 0, 255))
        return {k: strong(c) for k, c in p.items()} | {"line": (16, 14, 20)}
    if style in ("pixel", "picasso"):
        return p | {"line": (24, 20, 28)}
    if style == "crayon":
        return p | {"line": mix(p["main"], (30, 20, 40), 0.35)}
    return p | {"line": mix(p["main"], (40, 30, 50), 0.55)}


# --------------------------------------------------------------------------------------------------------------- background

def scenery(r, name, paper):
    """Parts of the background in picture coordinates 0..1, as (colour, points)."""
    y, s = r.uniform(0.58, 0.70), r.uniform(-0.05, 0.05)
    full = poly((0, 0), (1, 0), (1, 1), (0, 1))
    land = lambda y0, tilt: poly((-0.1, 1.1), *[(k / 8, y0 - tilt * np.cos(np.pi * k / 8)) for k in range(-1, 10)], (1.1, 1.1))
    cloud = lambda x, y0, k: [((255, 255, 255), ell(x + dx * k, y0 + dy * k, rx * k, ry * k, n=16)) for dx, dy, rx, ry in ((-0.07, 0.01, 0.07, 0.04), (0, -0.02, 0.07, 0.055), (0.075, 0.01, 0.07, 0.04))]
    x = r.uniform(0.1, 0.9)
    if name == "meadow":
        tufts = [((88, 156, 70), poly((a, b), (a + 0.015, b - 0.05), (a + 0.03, b))) for a, b in zip(r.uniform(0, 0.97, 6), r.uniform(y + 0.1, 1, 6))]
        return [((190, 226, 246), full), *cloud(x, r.uniform(0.08, 0.2), r.uniform(0.8, 1.3)), ((158, 208, 112), land(y - 0.05, s)), ((122, 186, 86), land(y + 0.04, -s)), *tufts]
    if name == "sea":
        waves = [((150, 206, 236), stroke([(a, b), (a + 0.05, b - 0.015), (a + 0.10, b)], 0.012, n=3)) for a, b in zip(r.uniform(0, 0.9, 6), r.uniform(y - 0.05, y + 0.14, 6))]
        return [((206, 234, 248), full), *cloud(x, r.uniform(0.08, 0.2), r.uniform(0.7, 1.2)), ((84, 164, 216), land(y - 0.08, 0)), *waves, ((242, 218, 160), land(y + 0.2, s))]
    if name == "snow":
        flakes = [((255, 255, 255), ell(a, b, c, n=8)) for a, b, c in zip(r.random(22), r.random(22), r.uniform(0.006, 0.013, 22))]
        return [((168, 194, 220), full), ((216, 228, 242), land(y - 0.04, s)), ((240, 244, 250), land(y + 0.06, -s)), *flakes]
    if name == "sunset":
        bands = [(mix((250, 150, 110), (255, 214, 120), k / 3), poly((0, 0.2 + 0.13 * k), (1, 0.2 + 0.13 * k), (1, 1), (0, 1))) for k in range(4)]
        return [((214, 110, 140), full), *bands, ((255, 240, 170), ell(x, y - 0.02, 0.13)), ((112, 74, 120), land(y, s))]
    return [(paper, full)]


def night_sky(r):
    y = r.uniform(0.70, 0.82)
    sky = [(mix((18, 24, 74), (48, 62, 132), k / 3), poly((0, 0.25 * k), (1, 0.25 * k), (1, 1), (0, 1))) for k in range(4)]
    stars = [((250, 244, 200), ell(a, b, c, n=6)) for a, b, c in zip(r.random(16), r.random(16) * 0.7, r.uniform(0.004, 0.011, 16))]
    return [*sky, *stars, ((26, 34, 70), blob((-0.2, y + 0.1), (0.2, y - 0.02), (0.6, y + 0.04), (1.2, y), (1.3, 1.3), (-0.3, 1.3)))]


def grid(w, h):
    """Every pixel's y and x, in units of SIZE pixels."""
    return np.mgrid[0:h, 0:w] / SIZE


def halftone(r, w, h):
    """Pop art's paper: dots on a grid turned by an angle, growing along one direction."""
    pairs = [(a, b) for a in POP for b in POP if far(a, b) > 230]
    a, b = pairs[r.integers(len(pairs))]
    y, x = grid(w, h)
    t, pitch = r.uniform(0.2, 1.3), 1 / r.uniform(10, 13)
    u, v = (x * np.cos(t) + y * np.sin(t)) / pitch, (y * np.cos(t) - x * np.sin(t)) / pitch
    near = np.hypot(u - np.round(u), v - np.round(v))
    grow = (x * SIZE / w if r.random() < 0.5 else y * SIZE / h) if r.random() < 0.5 else 1 - y * SIZE / h
    dots = np.clip((0.12 + 0.30 * grow - near) * pitch * SIZE + 0.5, 0, 1)[..., None]
    return Image.fromarray((np.array(a) * (1 - dots) + np.array(b) * dots).astype(np.uint8)).resize((w * SS, h * SS), Image.NEAREST)


# ------------------------------------------------------------------------------------------------------------------ effects

@cache
def textures():
    """Seamless noise in 0..1: soft clouds, fine paper grain, and crayon streaks; made once, used at a random offset."""
    r, n = np.random.default_rng(7), 256
    fy, fx = np.meshgrid(np.fft.fftfreq(n) * n, np.fft.fftfreq(n) * n, indexing="ij")
    def noise(weight):
        z = np.fft.ifft2(np.fft.fft2(r.normal(size=(n, n))) * weight).real
        rank = z.ravel().argsort().argsort().reshape(n, n) / (n * n)
        return rank.astype(np.float32)
    clouds = [noise(np.exp(-(fx**2 + fy**2) / (2 * 9.0**2))) for _ in range(4)]
    grain = [noise(np.exp(-(fx**2 + fy**2) / (2 * 60.0**2))) for _ in range(2)]
    streaks = []
    for turn in (35, 50, 62, 125):
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        streaks.append(noise(np.exp(-((c * fx + s * fy) ** 2) / (2 * 8.0**2) - ((c * fy - s * fx) ** 2) / (2 * 48.0**2))))
    return clouds, grain, streaks


def patch(r, kind, a):
    """A piece of texture as large as the picture a."""
    (h, w), t = a.shape[:2], kind[r.integers(len(kind))]
    y, x = r.integers(256 - max(h, w), size=2)
    return t[y:y + h, x:x + w]


def blur(a, radius):
    return np.asarray(Image.fromarray(a.astype(np.uint8)).filter(ImageFilter.BoxBlur(radius)), np.float32)


def warp(a, dy, dx):
    h, w = a.shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    return a[np.clip(y + dy, 0, h - 1).astype(int), np.clip(x + dx, 0, w - 1).astype(int)]


def watercolour(r, a, paper):
    clouds, grain, _ = textures()
    wobble = (patch(r, clouds, a) - 0.5) * 5
    a = warp(a, wobble, np.roll(wobble, 31, 1))
    soft = blur(a, 1)
    edge = np.clip(np.abs(a - blur(a, 2)).sum(2, keepdims=True) / 160, 0, 1)  # pigment gathers where a wash ends
    wash = 0.52 + 0.40 * patch(r, clouds, a)[..., None] + 0.08 * patch(r, grain, a)[..., None]
    out = 255 - (255 - soft) * np.clip(wash + 0.25 * edge, 0, 1.1)
    y, x = grid(*a.shape[1::-1])
    rim = np.minimum(np.minimum(x, x[0, -1] - x), np.minimum(y, y[-1, 0] - y)) * 16 + (patch(r, clouds, a) - 0.5) * 1.6
    return out + (253 - out) * (1 - np.clip(rim, 0, 1))[..., None]


def crayon(r, a, paper):
    clouds, grain, streaks = textures()
    wobble = (patch(r, clouds, a) - 0.5) * 4
    a = warp(a, wobble, np.roll(wobble, 17, 0))
    wax = patch(r, streaks, a) * 0.75 + patch(r, grain, a) * 0.25
    cover = np.clip((wax - 0.12) * 4, 0, 1)[..., None] * 0.7 + 0.3
    return a * cover + np.array(paper) * (1 - cover)


def pixel(r, a, paper):
    return np.repeat(np.repeat(a[2::4, 2::4], 4, 0), 4, 1)


# How a canvas can be cut: each cut is (angle in degrees, a point it goes through). Few ways, so that a small network can know them all by heart.
CUTS = [[(angle + 14 * k, 0.5 + 0.13 * np.cos(2.4 * k + n), 0.5 + 0.13 * np.sin(2.4 * k + n)) for k, angle in enumerate(angles)]
        for n, angles in enumerate([(20, 60, 110, 150), (5, 40, 75, 120), (35, 80, 125, 10), (50, 95, 150, 15), (65, 100, 140, 30), (80, 130, 0, 45)])]
TINTS = np.array([(232, 164, 66), (66, 112, 178), (206, 92, 76), (240, 222, 176), (96, 140, 112)], np.float32)


def picasso(r, a, paper):
    """The canvas is cut by lines; each facet is shifted and lit on its own, and the cuts are drawn."""
    y, x = grid(*a.shape[1::-1])
    x, y = (x - x.mean()) * SIZE / min(a.shape[:2]) + 0.5, (y - y.mean()) * SIZE / min(a.shape[:2]) + 0.5
    side, cut, cuts = np.zeros(a.shape[:2], int), np.zeros(a.shape[:2], bool), CUTS[r.integers(len(CUTS))]
    mirror = r.random() < 0.5
    for k, (angle, px, py) in enumerate(cuts):
        t = np.radians(angle)
        d = ((1 - x if mirror else x) - px) * np.cos(t) + (y - py) * np.sin(t)
        side |= (d > 0).astype(int) << k
        cut |= np.abs(d) < 0.009
    n = 1 << len(cuts)
    light, shift = np.where(r.random(n) < 0.5, r.uniform(0.70, 0.86, n), r.uniform(1.04, 1.22, n)), r.integers(-7, 8, (2, n))
    tint, depth = TINTS[r.integers(len(TINTS), size=n)], r.uniform(0.10, 0.38, n)
    # the background takes the tints, the thing itself, further from the paper's colour, keeps more of its own
    own = np.clip(np.abs(a - np.array(paper)).sum(2, keepdims=True) / 120, 0, 1)
    k = depth[side][..., None] * 1.6
    out = warp(np.concatenate([a, own], 2), shift[0][side], shift[1][side])
    out, k = out[..., :3], k * (1 - 0.72 * out[..., 3:])
    out = (out * (1 - k) + tint[side] * k) * light[side][..., None]
    out[cut] = out[cut] * 0.25 + 14
    return out


EFFECTS = {"watercolour": watercolour, "crayon": crayon, "pixel": pixel, "picasso": picasso}


# ------------------------------------------------------------------------------------------------------------------ drawing

def placements(r, recipe):
    """(item, centre x, centre y, half size), in picture coordinates."""
    items, j = recipe["items"], lambda s: r.normal(0, s)
    if recipe["layout"] == "one":
        return [(items[0], 0.5 + j(0.012), 0.52 + j(0.01), r.uniform(0.37, 0.42))]
    if recipe["layout"] == "many":
        spots = {2: [(0.27, 0.5), (0.73, 0.5)], 3: [(0.27, 0.31), (0.73, 0.31), (0.5, 0.73)] if r.random() < 0.5 else [(0.5, 0.28), (0.27, 0.71), (0.73, 0.71)]}[items[0]["count"]]
        return [(items[0], x + j(0.015), y + j(0.02), 0.225) for x, y in spots]
    if recipe["layout"] == "beside":
        return [(items[0], 0.265 + j(0.01), 0.54 + j(0.03), r.uniform(0.22, 0.24)), (items[1], 0.735 + j(0.01), 0.54 + j(0.03), r.uniform(0.22, 0.24))]
    top = [(items[0], 0.5 + j(0.05), 0.26, 0.22)] if items[0]["count"] == 1 else [(items[0], x + j(0.01), 0.24 + j(0.01), 0.19) for x in (0.27, 0.73)]
    return [*top, (items[1], 0.5 + j(0.04), 0.74, 0.235)]


def shade(image, places, w, h):
    """Light from above: paper a little darker towards the ground, and a soft shadow under each thing."""
    a = np.asarray(image, np.float32)
    y, x = grid(w, h)
    ramp = 1.03 - 0.10 * (y * SIZE / h)
    for _, cx, cy, half, *_ in places:
        d = ((x * SIZE - cx * w) / (0.75 * half * min(w, h))) ** 2 + ((y * SIZE - cy * h) / min(w, h) - 0.93 * half) ** 2 / (0.13 * half) ** 2
        ramp = ramp * (1 - 0.28 * np.clip(1.2 - d, 0, 1))
    return np.clip(a * ramp[..., None], 0, 255).astype(np.uint8)


def paint(canvas, parts, palette, scale, shift, width, flat):
    for role, points in parts:
        small, role = role.startswith("."), role.lstrip(".")
        p = (points * scale + shift).ravel().tolist()
        canvas.polygon(p, fill=tuple(int(min(max(c, 0), 255)) for c in palette[role]))
        if width and (not small or flat and role != "ink"):
            canvas.line(p + p[:4], fill=tuple(int(min(max(c, 0), 255)) for c in palette["line"]), width=max(1, round(width * (0.6 if small else 1))), joint=None)


def sheet_of_paper(r, recipe, palettes):
    style, mains = recipe["style"], [p["main"] for p in palettes]
    clear = [p for p in PAPERS if all(far(p, c) > 70 for c in mains)] or PAPERS
    paper = clear[r.integers(len(clear))]
    if style in ("line", "watercolour", "crayon"):
        dark = any(sum(c) > 690 for c in mains)
        paper = {"line": (60, 66, 78) if dark else (250, 248, 242)}.get(style, (206, 216, 228) if dark else (252, 250, 246))
    if style == "picasso" and recipe["background"] == "blank":
        paper = ((206, 176, 132), (150, 164, 184), (206, 160, 146), (186, 190, 168))[r.integers(4)]
    return paper


def draw(recipe):
    """The picture: uint8 [height, width, 3]."""
    r = np.random.default_rng(recipe["seed"])
    style, (w, h) = recipe["style"], recipe.get("size", (SIZE, SIZE))
    places = [(item, x, y, half, subject_palette(r, item), SUBJECTS[item["subject"]][0](r)) for item, x, y, half in placements(r, recipe)]
    paper = sheet_of_paper(r, recipe, [p[4] for p in places])
    size, across = np.array([w, h]) * SS, min(w, h) * SS
    image = halftone(r, w, h) if style == "pop" else Image.new("RGB", (w * SS, h * SS), tuple(int(c) for c in paper))
    canvas = ImageDraw.Draw(image)
    back = [] if style == "pop" else night_sky(r) if style == "night" else scenery(r, recipe["background"], paper)
    faint = mix(paper, (128, 128, 128), 0.5)
    for colour, points in back:
        p = (points * size).ravel().tolist()
        if style != "line":
            canvas.polygon(p, fill=tuple(int(c) for c in colour))
        elif len(points) != 4:  # full rectangles and bands have no outline
            canvas.line(p + p[:2], fill=tuple(int(c) for c in faint), width=round(1.1 * SS))
    if style == "plain":
        image = Image.fromarray(shade(image.reduce(SS), places, w, h)).resize((w * SS, h * SS), Image.NEAREST)
        canvas = ImageDraw.Draw(image)
    for item, x, y, half, palette, parts in places:
        width = OUTLINE[style] * SS * min(1, 0.45 + half * 1.5)
        paint(canvas, parts, style_palette(style, palette, paper), half * across, np.array([x, y]) * size, width, style == "line")
    image = image.resize((w, h), Image.NEAREST) if style == "pixel" else image.reduce(SS)
    effect = EFFECTS.get(style)
    if not effect:
        return np.asarray(image)
    return np.clip(effect(r, np.asarray(image, np.float32), paper), 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------------ command

def sheet(pictures, columns):
    rows = -(-len(pictures) // columns)
    out = Image.new("RGB", (columns * (SIZE + 4), rows * (SIZE + 4)), (255, 255, 255))
    for k, p in enumerate(pictures):
        out.paste(Image.fromarray(p), (k % columns * (SIZE + 4) + 2, k // columns * (SIZE + 4) + 2))
    return out


def main():
    r = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    if sys.argv[1] == "--speed":
        draw(draw_recipe(r))
        start = time.time()
        for _ in range(400):
            recipe = draw_recipe(r)
            caption(r, recipe)
            draw(recipe)
        print(f"{400 / (time.time() - start):.0f} pictures/s")
    elif len(sys.argv) > 2:
        recipes = [draw_recipe(r) for _ in range(64)]
        sheet([draw(x) for x in recipes], 8).save(sys.argv[1])
        print(*[caption(r, x) for x in recipes], sep="\n")
    else:
        one = lambda style, subject: {"seed": int(r.integers(2**31)), "style": style, "background": "blank", "layout": "one", "items": [{"subject": subject, "colour": None, "count": 1}]}
        sheet([draw(one(style, subject)) for subject in SUBJECTS for style in STYLES], len(STYLES)).save(sys.argv[1])


if __name__ == "__main__":
    main()
