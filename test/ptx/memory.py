"""Global and shared memory that refuse what a GPU would forgive or punish at random."""
import numpy as np

GUARD = 256


class Fault(Exception):
    pass


def gather(memory, addresses, size):
    """[n] or, for 16 bytes, [n, 2] whole values."""
    if size == 16:
        return memory.view(np.uint64).reshape(-1, 2)[addresses >> 4]
    return memory.view(f'u{size}')[addresses // size]


def scatter(memory, addresses, size, values):
    if size == 16:
        memory.view(np.uint64).reshape(-1, 2)[addresses >> 4] = values
    else:
        memory.view(f'u{size}')[addresses // size] = values


class Global:
    """Arrays a guard apart; only those that are said to be written may be."""

    BASE = 1 << 32

    def __init__(self, size=1 << 26):
        self.bytes = np.full(size, 0xFF, np.uint8)
        self.readable, self.writable = np.zeros(size, bool), np.zeros(size, bool)
        self.used = GUARD

    def add(self, array, write=False):
        raw = np.ascontiguousarray(array).view(np.uint8).ravel()
        at = self.used
        self.used = -(-(at + len(raw) + GUARD) // GUARD) * GUARD
        if self.used > len(self.bytes):
            raise Fault('more global memory than there is')
        self.bytes[at:at + len(raw)] = raw
        self.readable[at:at + len(raw)] = True
        self.writable[at:at + len(raw)] = write
        return self.BASE + at

    def read(self, address, like):
        at = address - self.BASE
        return self.bytes[at:at + like.nbytes].view(like.dtype).reshape(like.shape).copy()

    def _at(self, addresses, size, allowed, what):
        at = addresses.astype(np.int64) - self.BASE
        if (at % size).any():
            raise Fault(f'an address that is not a multiple of {size}')
        if (at < 0).any() or (at + size > len(self.bytes)).any() or not (allowed[at].all() and allowed[at + size - 1].all()):
            raise Fault(f'{what} beyond an array')
        return at

    def load(self, addresses, size):
        return gather(self.bytes, self._at(addresses, size, self.readable, 'reads'), size)

    def store(self, addresses, size, values):
        scatter(self.bytes, self._at(addresses, size, self.writable, 'writes'), size, values)


class Shared:
    """Each block's own, NaN in every 16-bit and 32-bit format."""

    def __init__(self, n_blocks, size, cta):
        self.size = size
        self.pitch = -(-(size + 16) // 16) * 16
        self.bytes = np.full(n_blocks * self.pitch, 0xFF, np.uint8)
        self.base = cta * self.pitch

    def at(self, lanes, addresses, size):
        at = addresses.astype(np.int64)
        if (at % size).any():
            raise Fault(f'an address of shared memory that is not a multiple of {size}')
        if (at < 0).any() or (at + size > self.size).any():
            raise Fault('beyond shared memory')
        return at + self.base[lanes]
