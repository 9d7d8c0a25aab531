"""The endless training set: picture k is drawn from a recipe that depends on k alone."""
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from captions import caption
from illustrator import draw, training_recipe


def recipe(k):
    return training_recipe(np.random.default_rng([1, k]))


def picture(k):
    return draw(recipe(k))


def words(k, variant):
    """One of picture k's captions."""
    return caption(np.random.default_rng([2, k, variant]), recipe(k))


class Drawing:
    """Draws ranges of pictures, in other processes where there are workers, always one range ahead of its user."""

    def __init__(self, first, count, workers):
        self.next, self.count = first, count
        self.pool = ProcessPoolExecutor(workers) if workers else None
        self.ahead = self.ask() if self.pool else None

    def ask(self):
        span = range(self.next, self.next + self.count)
        self.next += self.count
        return self.pool.map(picture, span, chunksize=max(1, self.count // 64))

    def take(self):
        """uint8 [count, 128, 128, 3]"""
        if not self.pool:
            self.next += self.count
            return np.stack([picture(k) for k in range(self.next - self.count, self.next)])
        now, self.ahead = self.ahead, self.ask()
        return np.stack(list(now))

    def close(self):
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
