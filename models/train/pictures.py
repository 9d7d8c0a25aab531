"""The endless training set: picture k is drawn from a recipe that depends on k alone."""
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from captions import COLOURS, STYLES, SUBJECTS, caption, typed
from illustrator import SIZE, draw, training_recipe

CAPTIONS = 4     # of each picture


def recipe(k):
    return training_recipe(np.random.default_rng([1, k]))


def described(k, size):
    """(uint8 [height, width, 3], captions)"""
    what, r = recipe(k) | {"size": size}, np.random.default_rng([2, k])
    return draw(what), [typed(r, what) for _ in range(CAPTIONS)]


def probes(count):
    """Pictures of one subject in a colour, and for each its caption and three that are wrong in one thing."""
    r, pictures, said = np.random.default_rng(8), [], {"right": [], "subject": [], "colour": [], "style": []}
    while len(pictures) < count:
        what = training_recipe(r)
        item = what["items"][0]
        if what["layout"] != "one" or not item["colour"]:
            continue
        other = lambda table, now: (list(table) * 2)[list(table).index(now) + 1 + r.integers(len(table) - 1)]
        wrong = {"right": what, "style": what | {"style": other(STYLES, what["style"])}}
        wrong |= {k: what | {"items": [item | {k: other(table, item[k])}]} for k, table in (("subject", SUBJECTS), ("colour", COLOURS))}
        for k in said:
            said[k].append(caption(np.random.default_rng(len(pictures)), wrong[k]))
        pictures.append(draw(what))
    return np.stack(pictures), said


class Drawing:
    """Draws pictures first, first+1, … in batches; where there are workers they are always one batch ahead of their user."""

    def __init__(self, first, count, workers, size=(SIZE, SIZE)):
        self.next, self.count, self.size = first, count, size
        self.pool = ProcessPoolExecutor(workers, get_context("spawn")) if workers else None
        self.ahead = self.ask() if self.pool else None

    def ask(self):
        span = range(self.next, self.next + self.count)
        self.next += self.count
        sizes = [self.size] * self.count
        return self.pool.map(described, span, sizes, chunksize=max(1, self.count // 64)) if self.pool else map(described, span, sizes)

    def take(self):
        """(uint8 [count, height, width, 3], a list of captions for each)"""
        if self.pool:
            now, self.ahead = self.ahead, self.ask()
        else:
            now = self.ask()
        pictures, captions = zip(*now)
        return np.stack(pictures), list(captions)

    def close(self):
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
