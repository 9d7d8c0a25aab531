"""The things the illustrator can draw, as filled polygons in a box from (-1,-1) top left to (1,1) bottom right.

A subject is a function of a random generator; it returns its parts from back to front. A part is (role, points): the role names
a colour (main, dark and light follow the subject's own colour, the rest are fixed: see illustrator.py), points is [n,2].
Small details carry a role with a leading '.', which styles with thick outlines leave without one.
"""
import math

import numpy as np


def ell(cx, cy, rx, ry=None, rot=0.0, n=28, start=0.0, stop=360.0):
    """An ellipse, or the slice of one between two angles (degrees, clockwise from the right)."""
    a = np.radians(np.linspace(start, stop, n, endpoint=stop - start < 360))
    x, y = rx * np.cos(a), (rx if ry is None else ry) * np.sin(a)
    c, s = math.cos(math.radians(rot)), math.sin(math.radians(rot))
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], 1)


def poly(*points):
    return np.array(points, float)


def spline(points, closed, n=6):
    """A Catmull-Rom curve through the points."""
    p = np.array(points, float)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = (np.arange(n) / n)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    q = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    q = q.transpose(1, 0, 2).reshape(-1, 2)
    return q if closed else np.concatenate([q, p[-2:-1]])


def blob(*points):
    return spline(points, True)


def stroke(points, width, end=None, n=6):
    """A curved band through the points, from one width to another, with a round far end."""
    c = spline(points, False, n)
    d = np.gradient(c, axis=0)
    d /= np.maximum(np.hypot(d[:, :1], d[:, 1:]), 1e-9)
    w = np.linspace(width, width if end is None else end, len(c))[:, None] / 2
    normal = np.stack([-d[:, 1], d[:, 0]], 1) * w
    tip = math.degrees(math.atan2(d[-1, 1], d[-1, 0]))
    return np.concatenate([c + normal, ell(*c[-1], w[-1, 0], n=7, start=tip + 90, stop=tip - 90), (c - normal)[::-1]])


def eye(x, y, r):
    return [(".ink", ell(x, y, r, r * 1.1, n=14)), (".white", ell(x + r * 0.3, y - r * 0.35, r * 0.36, n=8))]


def squirrel(r):
    curl, fat = r.uniform(-0.06, 0.06), r.uniform(0.95, 1.08)
    tail = np.array([(-0.02, 0.72), (-0.45, 0.80), (-0.80, 0.52), (-0.92, 0.05), (-0.86, -0.48), (-0.60, -0.84), (-0.24, -0.88),
                     (-0.02, -0.66), (-0.10, -0.44), (-0.30, -0.42 + curl), (-0.38, -0.12), (-0.22, 0.30)])
    stripe = stroke([(-0.30, 0.62), (-0.60, 0.30), (-0.66, -0.20), (-0.50, -0.58), (-0.26, -0.66)], 0.12, 0.10)
    return [("main", spline(tail * (fat, 1), True)), (".light", stripe * (fat, 1)),
            ("dark", blob((0.36, -0.50), (0.44, -0.86), (0.58, -0.50))),
            ("main", blob((0.02, -0.06), (0.34, -0.10), (0.48, 0.28), (0.44, 0.70), (0.20, 0.86), (-0.14, 0.80), (-0.24, 0.46))),
            (".light", ell(0.30, 0.34, 0.17, 0.32, 8)),
            ("dark", ell(0.22, 0.87, 0.32, 0.09)), ("main", ell(0.02, 0.60, 0.27, 0.27)),
            ("main", blob((0.10, -0.30), (0.20, -0.54), (0.46, -0.60), (0.66, -0.42), (0.84, -0.24), (0.70, -0.10), (0.40, -0.02), (0.16, -0.10))),
            ("main", blob((0.16, -0.48), (0.16, -0.92), (0.40, -0.56))), (".light", blob((0.21, -0.54), (0.20, -0.78), (0.32, -0.58))),
            (".light", ell(0.66, -0.19, 0.13, 0.09, 15)), (".ink", ell(0.82, -0.25, 0.055, 0.05)), *eye(0.52, -0.36, 0.075),
            ("wood", ell(0.70, 0.20, 0.13, 0.16)), ("trunk", ell(0.70, 0.12, 0.15, 0.08)),
            ("main", stroke([(0.24, 0.14), (0.40, 0.30), (0.60, 0.22)], 0.17, 0.13))]


def cat(r):
    lean, up = r.uniform(-0.05, 0.05), r.uniform(-0.15, 0.1)
    parts = [("main", stroke([(0.25, 0.78), (0.68, 0.76), (0.80, 0.40 + up), (0.62, 0.12 + up), (0.74, -0.10 + up)], 0.20, 0.15)),
             ("main", blob((0.0, -0.20), (0.30, 0.10), (0.42, 0.55), (0.36, 0.86), (0.0, 0.90), (-0.36, 0.86), (-0.42, 0.55), (-0.30, 0.10))),
             (".light", ell(0, 0.42, 0.17, 0.30)), ("main", ell(-0.17, 0.86, 0.16, 0.09)), ("main", ell(0.17, 0.86, 0.16, 0.09))]
    head = [("main", poly((-0.46, -0.40), (-0.44, -0.94), (-0.10, -0.66))), ("main", poly((0.46, -0.40), (0.44, -0.94), (0.10, -0.66))),
            (".skin", poly((-0.39, -0.54), (-0.38, -0.80), (-0.20, -0.66))), (".skin", poly((0.39, -0.54), (0.38, -0.80), (0.20, -0.66))),
            ("main", blob((-0.50, -0.34), (-0.36, -0.66), (0.0, -0.72), (0.36, -0.66), (0.50, -0.34), (0.34, -0.08), (0.0, 0.0), (-0.34, -0.08)))]
    for s in (-1, 1):
        head += [(".gold", ell(s * 0.20, -0.40, 0.105, 0.115, n=16)), (".ink", ell(s * 0.20, -0.40, 0.045, 0.10, n=12))]
        head += [(".dark", stroke([(s * 0.26, -0.20 + k), (s * 0.66, -0.24 + 2.2 * k)], 0.026, n=2)) for k in (-0.03, 0.05)]
    head += [(".light", ell(-0.07, -0.18, 0.09, 0.07)), (".light", ell(0.07, -0.18, 0.09, 0.07)),
             (".skin", poly((-0.065, -0.28), (0.065, -0.28), (0, -0.21)))]
    return parts + [(role, p + (lean, 0)) for role, p in head]


def dog(r):
    wag = r.uniform(-0.12, 0.12)
    legs = [("dark", stroke([(x, 0.30), (x + 0.02, 0.84)], 0.17, n=3)) for x in (-0.38, 0.24)]
    legs += [("main", stroke([(x, 0.30), (x - 0.02, 0.84)], 0.18, n=3)) for x in (-0.54, 0.10)]
    return [("main", stroke([(-0.58, 0.14), (-0.80, -0.10), (-0.84 + wag, -0.42)], 0.16, 0.09)), *legs[:2],
            ("main", blob((-0.66, 0.14), (-0.50, -0.08), (0.0, -0.06), (0.30, -0.16), (0.40, 0.20), (0.24, 0.46), (-0.30, 0.46), (-0.60, 0.42))),
            *legs[2:], (".light", ell(0.20, 0.30, 0.15, 0.13)),
            ("main", blob((0.06, -0.46), (0.20, -0.76), (0.50, -0.78), (0.64, -0.56), (0.92, -0.44), (0.94, -0.22), (0.64, -0.12), (0.34, -0.04), (0.12, -0.14))),
            (".light", blob((0.66, -0.36), (0.90, -0.40), (0.92, -0.24), (0.70, -0.16), (0.56, -0.22))),
            (".ink", ell(0.90, -0.43, 0.085, 0.07)), *eye(0.56, -0.54, 0.07),
            ("dark", blob((0.18, -0.74), (0.34, -0.66), (0.36, -0.36), (0.24, -0.08), (0.06, -0.18), (0.02, -0.48))),
            (".red", stroke([(0.08, -0.14), (0.24, -0.02), (0.42, -0.02)], 0.09)), (".gold", ell(0.30, 0.06, 0.06))]


def bird(r):
    flap = r.uniform(-0.15, 0.15)
    return [("dark", poly((-0.44, 0.16), (-0.96, 0.02 + flap), (-0.94, 0.26 + flap), (-0.86, 0.42 + flap), (-0.36, 0.42))),
            ("gold", stroke([(-0.04, 0.56), (-0.06, 0.88)], 0.055, n=2)), ("gold", stroke([(0.14, 0.56), (0.14, 0.88)], 0.055, n=2)),
            (".gold", stroke([(-0.18, 0.89), (0.04, 0.89)], 0.05, n=2)), (".gold", stroke([(0.02, 0.89), (0.26, 0.89)], 0.05, n=2)),
            ("gold", poly((0.60, -0.46), (0.96, -0.30), (0.60, -0.20))),
            ("main", blob((-0.56, 0.22), (-0.20, -0.10), (0.10, -0.50), (0.36, -0.66), (0.62, -0.54), (0.70, -0.28), (0.56, 0.24), (0.24, 0.60), (-0.18, 0.60))),
            (".light", blob((0.30, 0.0), (0.52, 0.08), (0.40, 0.40), (0.08, 0.54), (0.02, 0.40))), *eye(0.46, -0.40, 0.08),
            ("dark", blob((0.22, 0.02), (0.12, 0.28), (-0.22, 0.42), (-0.66, 0.34 + flap), (-0.50, 0.08), (-0.20, -0.08), (0.06, -0.08)))]


def fish(r):
    wave = r.uniform(-0.12, 0.12)
    parts = [("dark", blob((-0.38, 0.0), (-0.66, -0.20), (-0.95, -0.46 + wave), (-0.84, wave), (-0.95, 0.46 + wave), (-0.66, 0.20))),
             ("dark", blob((-0.20, -0.30), (0.0, -0.66), (0.34, -0.58), (0.42, -0.30))), ("dark", blob((-0.10, 0.34), (0.0, 0.60), (0.24, 0.40))),
             ("main", blob((-0.50, 0.0), (-0.24, -0.30), (0.20, -0.44), (0.62, -0.30), (0.90, 0.02), (0.62, 0.32), (0.20, 0.44), (-0.24, 0.30)))]
    parts += [(".light", stroke([(x, -h), (x + 0.09, 0), (x, h)], 0.09)) for x, h in ((-0.26, 0.20), (0.0, 0.30))]
    parts += [(".white", ell(0.60, -0.10, 0.12)), (".ink", ell(0.63, -0.10, 0.07)),
              ("dark", blob((0.30, 0.04), (0.08, 0.02), (0.02, 0.24), (0.24, 0.20))), (".dark", stroke([(0.88, 0.10), (0.74, 0.14)], 0.04, n=3))]
    return parts + [(".glass", ell(0.90 - 0.12 * k, -0.50 - 0.18 * k + wave / 2, 0.06 + 0.02 * (k == 1), n=14)) for k in range(2)]


def butterfly(r):
    open_ = r.uniform(0.85, 1.0)
    parts = []
    for s in (-1, 1):
        upper = blob((0.02, -0.10), (0.30, -0.66), (0.72, -0.84), (0.94, -0.60), (0.84, -0.20), (0.46, 0.06))
        lower = blob((0.02, 0.04), (0.44, 0.04), (0.74, 0.26), (0.70, 0.66), (0.40, 0.78), (0.14, 0.46))
        parts += [("main", upper * (s * open_, 1)), ("dark", lower * (s * open_, 1)), (".light", ell(0.62 * s * open_, -0.50, 0.17, 0.19)),
                  (".second", ell(0.64 * s * open_, -0.50, 0.08, 0.09)), (".light", ell(0.46 * s * open_, 0.42, 0.13)),
                  (".ink", stroke([(s * 0.03, -0.42), (s * 0.10, -0.70), (s * 0.26, -0.86)], 0.035)), (".ink", ell(s * 0.27, -0.87, 0.045))]
    return parts + [("ink", ell(0, 0.10, 0.075, 0.46)), ("ink", ell(0, -0.38, 0.10))]


def house(r):
    parts = [("second", poly((0.34, -0.50), (0.34, -0.90), (0.56, -0.90), (0.56, -0.30)))] if r.random() < 0.7 else []
    parts += [("main", poly((-0.68, -0.16), (0.68, -0.16), (0.68, 0.86), (-0.68, 0.86))),
              ("second", poly((-0.90, -0.10), (0.0, -0.88), (0.90, -0.10)))]
    door = -0.14 if r.random() < 0.5 else -0.52
    parts += [("wood", poly((door, 0.30), (door + 0.28, 0.30), (door + 0.28, 0.86), (door, 0.86))), (".gold", ell(door + 0.22, 0.60, 0.035))]
    for x in ([-0.54, 0.26] if door > -0.5 else [-0.06, 0.34]):
        y = 0.04 if door > -0.5 else 0.24
        parts += [("glass", poly((x, y), (x + 0.28, y), (x + 0.28, y + 0.28), (x, y + 0.28))),
                  (".white", poly((x + 0.125, y), (x + 0.155, y), (x + 0.155, y + 0.28), (x + 0.125, y + 0.28))),
                  (".white", poly((x, y + 0.125), (x + 0.28, y + 0.125), (x + 0.28, y + 0.155), (x, y + 0.155)))]
    return parts + [("glass", ell(0, -0.42, 0.13))]


def tree(r):
    w = r.uniform(0.9, 1.08)
    crown = blob((-0.62, 0.10), (-0.86, -0.20), (-0.66, -0.52), (-0.40, -0.62), (-0.20, -0.92), (0.22, -0.92), (0.44, -0.64), (0.72, -0.50),
                 (0.86, -0.16), (0.62, 0.12), (0.30, 0.26), (0.0, 0.16), (-0.30, 0.28))
    parts = [("trunk", blob((-0.14, 0.05), (0.14, 0.05), (0.14, 0.60), (0.30, 0.90), (0.0, 0.86), (-0.30, 0.90), (-0.14, 0.60))), ("main", crown * (w, 1))]
    parts += [(".light", ell(-0.20 * w, -0.56, 0.26, 0.20, -20)), (".dark", ell(0.42 * w, -0.04, 0.26, 0.15, -20)), (".dark", ell(-0.36 * w, 0.06, 0.18, 0.10, 15))]
    return parts


def boat(r):
    tall = r.uniform(-0.08, 0.06)
    return [("trunk", poly((-0.04, 0.36), (-0.04, -0.90 + tall), (0.04, -0.90 + tall), (0.04, 0.36))),
            ("second", poly((0.04, -0.90 + tall), (0.30, -0.80 + tall), (0.04, -0.72 + tall))),
            ("white", blob((0.10, -0.66 + tall), (0.50, -0.20), (0.72, 0.24), (0.40, 0.26), (0.10, 0.24))),
            ("light", blob((-0.10, -0.56 + tall), (-0.36, -0.10), (-0.56, 0.24), (-0.30, 0.26), (-0.10, 0.24))),
            ("main", blob((-0.92, 0.36), (-0.40, 0.40), (0.40, 0.40), (0.92, 0.34), (0.74, 0.62), (0.54, 0.80), (0.0, 0.84), (-0.54, 0.80), (-0.74, 0.62))),
            (".light", stroke([(-0.76, 0.52), (0.0, 0.56), (0.76, 0.51)], 0.08)),
            ("water", blob((-0.96, 0.80), (-0.70, 0.72), (-0.48, 0.80), (-0.24, 0.72), (0.0, 0.80), (0.24, 0.72), (0.48, 0.80), (0.72, 0.72), (0.96, 0.80), (0.6, 0.94), (-0.6, 0.94)))]


def car(r):
    parts = [("main", blob((-0.56, -0.02), (-0.38, -0.40), (-0.10, -0.48), (0.20, -0.46), (0.40, -0.30), (0.54, 0.02), (0.20, 0.10), (-0.30, 0.10))),
             ("glass", poly((-0.44, 0.0), (-0.32, -0.30), (-0.05, -0.36), (-0.05, 0.0))), ("glass", poly((0.05, 0.0), (0.05, -0.36), (0.26, -0.33), (0.42, 0.0))),
             ("main", blob((-0.94, 0.30), (-0.90, 0.06), (-0.56, -0.02), (0.50, -0.02), (0.84, 0.08), (0.95, 0.32), (0.88, 0.46), (0.0, 0.50), (-0.88, 0.46))),
             (".dark", poly((-0.88, 0.34), (0.90, 0.34), (0.86, 0.44), (-0.86, 0.44))), (".gold", ell(0.86, 0.18, 0.07, 0.09)), (".red", ell(-0.88, 0.18, 0.05, 0.08)),
             (".dark", poly((-0.01, 0.04), (0.02, 0.04), (0.02, 0.30), (-0.01, 0.30))), (".white", stroke([(0.10, 0.12), (0.22, 0.12)], 0.05, n=2))]
    for x in (-0.50, 0.52):
        parts += [("rubber", ell(x, 0.46, 0.24)), (".steel", ell(x, 0.46, 0.12)), (".rubber", ell(x, 0.46, 0.04, n=10))]
    return parts


def flower(r):
    n = int(r.integers(6, 9))
    turn, sway = r.uniform(0, 60), r.uniform(-0.1, 0.1)
    parts = [("leaf", stroke([(0, -0.20), (sway, 0.40), (0, 0.94)], 0.085)),
             ("leaf", blob((0.02, 0.72), (0.20, 0.36), (0.56, 0.26), (0.46, 0.60))), ("leaf", blob((-0.02, 0.82), (-0.18, 0.50), (-0.54, 0.42), (-0.44, 0.74)))]
    for k in range(n):
        a = turn + 360 * k / n
        x, y = math.cos(math.radians(a)), math.sin(math.radians(a))
        parts.append(("main", ell(0.36 * x, -0.32 + 0.36 * y, 0.27, 0.18 if n > 6 else 0.20, a)))
    return parts + [("heart", ell(0, -0.32, 0.21)), (".trunk", ell(0, -0.32, 0.10))]


def star(r):
    turn, inner = r.uniform(-12, 12), r.uniform(0.40, 0.46)
    a = np.radians(np.arange(10) * 36 - 90 + turn)
    radius = np.where(np.arange(10) % 2, inner * 0.95, 0.95)
    p = np.stack([radius * np.cos(a), radius * np.sin(a) + 0.05], 1)
    parts = [("main", p)]
    return parts + [(".light", np.stack([p[k], p[k + 1], (0, 0.05)])) for k in range(0, 10, 2)]


def moon(r):
    a, bite = r.uniform(-25, 5), r.uniform(0.36, 0.46)
    outer = ell(0, 0, 0.92, start=62, stop=298, n=40)
    x, y = outer[-1]
    rad = math.hypot(x - bite, y)
    half = math.degrees(math.atan2(-y, x - bite))
    inner = ell(bite, 0, rad, start=360 - half, stop=half, n=30)
    crescent = np.concatenate([outer, inner])
    c, s = math.cos(math.radians(a)), math.sin(math.radians(a))
    m = np.array([(c, s), (-s, c)])
    spots = [(".dark", ell(-0.62, 0.20, 0.09)), (".dark", ell(-0.66, -0.22, 0.06)), (".dark", ell(-0.46, 0.52, 0.06)), (".light", ell(-0.50, -0.56, 0.07))]
    return [(role, (p + (0.18, 0)) @ m) for role, p in [("main", crescent), *spots]]


def mountain(r):
    h = r.uniform(-0.1, 0.1)
    p, q = (0.16, -0.86 + h / 2), (-0.52, -0.30 + h)
    return [("dark", poly((-1.0, 0.80), q, (-0.02, 0.80))), ("white", poly(q, (-0.70, 0.11 + h * 0.6), (-0.58, 0.02 + h * 0.7), (-0.48, 0.14 + h * 0.6), (-0.38, 0.02 + h * 0.7))),
            ("main", poly((-0.66, 0.80), p, (1.0, 0.80))), (".dark", poly(p, (1.0, 0.80), (0.42, 0.80), (0.26, 0.10))),
            ("white", poly(p, (-0.14, -0.24), (0.0, -0.34), (0.12, -0.16), (0.24, -0.36), (0.36, -0.20), (0.49, -0.20))),
            ("leaf", blob((-0.98, 0.84), (-0.50, 0.68), (0.0, 0.76), (0.50, 0.68), (0.98, 0.82), (0.5, 0.94), (-0.5, 0.94)))]


def mushroom(r):
    w = r.uniform(0.92, 1.04)
    cap = blob((-0.90, 0.06), (-0.76, -0.44), (-0.40, -0.80), (0.0, -0.90), (0.40, -0.80), (0.76, -0.44), (0.90, 0.06), (0.50, 0.20), (0.0, 0.24), (-0.50, 0.20))
    parts = [("leaf", blob((-0.50, 0.90), (-0.42, 0.62), (-0.30, 0.80), (-0.14, 0.70), (0.1, 0.80), (0.30, 0.66), (0.36, 0.80), (0.52, 0.70), (0.56, 0.92))),
             ("cream", blob((-0.22, 0.10), (0.22, 0.10), (0.22, 0.50), (0.32, 0.82), (0.0, 0.90), (-0.32, 0.82), (-0.22, 0.50))),
             (".cream", ell(0, 0.14, 0.58 * w, 0.12)), ("main", cap * (w, 1))]
    for x, y, s in ((-0.52, -0.22, 0.13), (0.02, -0.52, 0.16), (0.50, -0.28, 0.14), (-0.10, -0.08, 0.10), (0.26, 0.02, 0.08), (-0.36, -0.58, 0.07)):
        parts.append((".white", ell(x * w, y, s, s * 0.9)))
    return parts


def umbrella(r):
    tilt = r.uniform(-14, 14)
    edge = [(-0.94, 0.02), (-0.48, 0.02), (0.0, 0.02), (0.48, 0.02), (0.94, 0.02)]
    parts = [("trunk", stroke([(0, -0.2), (0, 0.66), (0.08, 0.86), (0.24, 0.84), (0.28, 0.66)], 0.075)), (".trunk", stroke([(0, -0.80), (0, -0.95)], 0.06, n=2))]
    curve = [-0.94, -0.50, 0.0, 0.50, 0.94]
    for k in range(4):
        x0, x1 = curve[k], curve[k + 1]
        left = spline([(0, -0.84), (x0 * 0.72, -0.56), (x0, 0.02)], False)
        right = spline([(x1, 0.02), (x1 * 0.72, -0.56), (0, -0.84)], False)
        hem = spline([edge[k], ((x0 + x1) / 2, -0.10), edge[k + 1]], False)
        parts.append(("main" if k % 2 == 0 else "light", np.concatenate([left, hem, right])))
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    return [(role, p @ np.array([(c, s), (-s, c)])) for role, p in parts]


def apple(r):
    w = r.uniform(0.95, 1.05)
    body = blob((0.0, -0.44), (0.30, -0.56), (0.66, -0.46), (0.82, -0.06), (0.68, 0.46), (0.38, 0.82), (0.10, 0.84), (0.0, 0.80), (-0.10, 0.84), (-0.38, 0.82),
                (-0.68, 0.46), (-0.82, -0.06), (-0.66, -0.46), (-0.30, -0.56))
    return [("main", body * (w, 1)), (".dark", blob((0.62, -0.10), (0.58, 0.38), (0.32, 0.68), (0.52, 0.50), (0.70, 0.20)) * (w, 1)), (".dark", ell(0, -0.42, 0.18, 0.05)),
            (".light", ell(-0.44, -0.14, 0.11, 0.22, 18)), ("trunk", stroke([(0.0, -0.40), (0.02, -0.64), (0.12, -0.86)], 0.085)),
            ("leaf", blob((0.06, -0.60), (0.24, -0.90), (0.60, -0.90), (0.44, -0.62)))]


def teapot(r):
    h = r.uniform(-0.05, 0.05)
    return [("dark", stroke([(-0.46, -0.14), (-0.80, -0.26), (-0.94, 0.06), (-0.80, 0.36), (-0.46, 0.44)], 0.13)),
            ("dark", poly((0.42, 0.50), (0.44, 0.06), (0.64, -0.02), (0.74, -0.34), (0.98, -0.40), (0.88, -0.10), (0.78, 0.24))),
            ("main", blob((-0.56, 0.18), (-0.50, -0.20), (-0.24, -0.42), (0.0, -0.46), (0.24, -0.42), (0.50, -0.20), (0.58, 0.18), (0.48, 0.56), (0.22, 0.76), (0.0, 0.78), (-0.22, 0.76), (-0.48, 0.56))),
            (".second", stroke([(-0.52, 0.24), (0.0, 0.32), (0.52, 0.24)], 0.13, n=5)), (".light", ell(-0.28, -0.08, 0.10, 0.17, 25)),
            ("dark", poly((-0.28, 0.74), (0.28, 0.74), (0.34, 0.86), (-0.34, 0.86))), ("second", ell(0, -0.66 + h, 0.11)),
            ("main", blob((-0.34, -0.38), (-0.24, -0.52 + h), (0.0, -0.60 + h), (0.24, -0.52 + h), (0.34, -0.38), (0.0, -0.34)))]


def rocket(r):
    tilt, flame = r.uniform(-5, 25), r.uniform(-0.08, 0.06)
    parts = [("flame", blob((-0.18, 0.52), (0.18, 0.52), (0.16, 0.74), (0.0, 0.98 + flame), (-0.16, 0.74))), (".gold", blob((-0.09, 0.54), (0.09, 0.54), (0.0, 0.80 + flame))),
             ("second", blob((-0.26, 0.06), (-0.62, 0.44), (-0.60, 0.72), (-0.24, 0.50))), ("second", blob((0.26, 0.06), (0.62, 0.44), (0.60, 0.72), (0.24, 0.50))),
             ("main", blob((0.0, -0.96), (0.22, -0.66), (0.33, -0.24), (0.32, 0.20), (0.22, 0.54), (0.0, 0.56), (-0.22, 0.54), (-0.32, 0.20), (-0.33, -0.24), (-0.22, -0.66))),
             ("second", blob((0.0, -0.96), (0.15, -0.78), (0.24, -0.58), (0.0, -0.54), (-0.24, -0.58), (-0.15, -0.78))),
             (".white", ell(0, -0.18, 0.18)), ("glass", ell(0, -0.18, 0.13)), ("second", ell(0, 0.46, 0.05, 0.22))]
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    return [(role, p @ np.array([(c, s), (-s, c)])) for role, p in parts]


def balloon(r):
    w = r.uniform(0.94, 1.02)
    side = [(0, -0.94), (0.44, -0.84), (0.70, -0.48), (0.62, -0.06), (0.30, 0.34), (0.16, 0.46)]
    parts = [(".ink", stroke([(s * 0.15, 0.44), (s * 0.13, 0.68)], 0.03, n=2)) for s in (-1, 1)]
    for k, role in ((1.0, "main"), (0.62, "light"), (0.24, "main")):
        edge = np.array(side) * (k, 1)
        parts.append((role, np.concatenate([spline(edge, False), spline(edge * (-1, 1), False)[::-1]]) * (w, 1)))
    return parts + [("dark", poly((-0.17, 0.42), (0.17, 0.42), (0.15, 0.50), (-0.15, 0.50))), ("wood", poly((-0.19, 0.66), (0.19, 0.66), (0.15, 0.94), (-0.15, 0.94))),
                    (".trunk", poly((-0.20, 0.66), (0.20, 0.66), (0.19, 0.73), (-0.19, 0.73)))]


# name: (function, the colours it has in life, where it lives)
SUBJECTS = {
    "squirrel": (squirrel, ("rust", "brown"), "ground"), "cat": (cat, ("orange", "grey", "black"), "ground"), "dog": (dog, ("brown", "sand"), "ground"),
    "bird": (bird, ("blue", "red", "yellow"), "ground"), "fish": (fish, ("orange", "blue"), "air"), "butterfly": (butterfly, ("orange", "blue", "purple"), "air"),
    "house": (house, ("cream", "pink", "yellow"), "ground"), "tree": (tree, ("green",), "ground"), "boat": (boat, ("red", "brown", "blue"), "ground"),
    "car": (car, ("red", "blue", "yellow"), "ground"), "flower": (flower, ("pink", "red", "purple"), "ground"), "star": (star, ("yellow",), "air"),
    "moon": (moon, ("yellow",), "air"), "mountain": (mountain, ("grey", "slate"), "ground"), "mushroom": (mushroom, ("red", "brown"), "ground"),
    "umbrella": (umbrella, ("red", "blue", "purple"), "air"), "apple": (apple, ("red", "green"), "ground"), "teapot": (teapot, ("blue", "white", "red"), "ground"),
    "rocket": (rocket, ("white", "red"), "air"), "balloon": (balloon, ("red", "orange", "purple"), "air"),
}
