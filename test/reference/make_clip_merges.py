"""Writes tokenizer/clip_merges.z: CLIP's vocabulary as tokenizer/clip_builtin.c reads it. Of each of the 48 894 merges the ids of its parts, in
planes (high bytes of the left ones, of the right ones, low bytes of the left ones, of the right ones), deflated."""

import pathlib
import zlib

from common import FIXTURES

OUT = pathlib.Path(__file__).resolve().parents[2] / "tokenizer" / "clip_merges.z"


def main():
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    bytes_ = [chr(b) for b in seen] + [chr(256 + n) for n in range(256 - len(seen))]
    ids = {t: i for i, t in enumerate(bytes_ + [b + "</w>" for b in bytes_])}
    left, right = [], []
    for line in (FIXTURES / "tokenizer/clip/merges.txt").read_text().splitlines()[1:]:
        a, b = line.split()
        left.append(ids[a])
        right.append(ids[b])
        ids[a + b] = len(ids)
    planes = [bytes(i >> 8 for i in left), bytes(i >> 8 for i in right), bytes(i & 255 for i in left), bytes(i & 255 for i in right)]
    OUT.write_bytes(zlib.compress(b"".join(planes), 9))
    print(OUT.name, len(left), "merges,", OUT.stat().st_size, "bytes")


main()
