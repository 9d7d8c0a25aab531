"""Our safetensors reader against the Rust one (safetensors.deserialize) on many random files, good ones and mutated ones: both accept, and
read the same, or both refuse; where we refuse more, it is for one of STRICTER.

    python test/reference/check_safetensors.py [N [SEED]]
"""

import collections
import json
import pathlib
import random
import struct
import subprocess
import sys

import safetensors

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / "release" / "safetensors_verdict"

# Ours are refused by message: what the format's own reader lets pass.
STRICTER = (
    "unknown field",            # the schema has none
    "stands twice",             # there the last one counts
    "expected printable text",  # names are printed
    "more than 8 axes",
    "string too long",          # names of at most 512 bytes
    "nested too deeply",
    "the size overflows",       # there an axis of 0 in front hides it
    "\\u0000 in a string",
)
UNSUPPORTED = "78 "             # of the format, but nothing here has it: as good as accepted

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
         "F8_E4M3": 1, "F8_E5M2": 1}
WORDS = ['"', "{", "}", "[", "]", ",", ":", " ", "\n", "0", "1", "-1", "1.0", "1e1", "18446744073709551615", "18446744073709551616", "null",
         "true", "\\u0041", "\\ud800", "\\u0000", "\\n", "é", "\x7f", "\x01", '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"',
         '"F32"', '"F7"', '"F4"', '"C64"', '"x"', "007", "0x1", '{"a":"b"}', "[[", "\ufeff"]


def good(r):
    names = r.sample(["a", "b", "é", "layers.0.weight", "__metadata", "x y", '"', "\\", "z" * r.choice([1, 100, 600])], r.randint(0, 4))
    header, at = {}, 0
    if r.random() < 0.3:
        header["__metadata__"] = {"format": "pt", "k": "v" * r.randint(0, 3)}
    for name in names:
        dtype = r.choice(list(SIZES))
        shape = [r.choice([0, 1, 1, 2, 3]) for _ in range(r.choice([0, 1, 2, 2, 4, 9]))]
        n = SIZES[dtype]
        for side in shape:
            n *= side
        if n > 64:
            continue
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n]}
        at += n
    return json.dumps(header, ensure_ascii=r.random() < 0.5, separators=r.choice([(",", ":"), (", ", ": ")])), at


def mutate(r, text):
    for _ in range(r.choice([0, 1, 1, 1, 2, 4])):
        i = r.randrange(len(text) + 1)
        j = min(len(text), i + r.choice([0, 0, 1, 1, 2, 8]))
        text = text[:i] + r.choice(["", r.choice(WORDS), text[i:j] * 2, str(r.randrange(20))]) + text[j:]
    return text


def make(r):
    text, n = good(r)
    header = mutate(r, text).encode("utf-8", "surrogatepass")
    if r.random() < 0.05 and header:
        i = r.randrange(len(header))
        header = header[:i] + bytes([r.randrange(256)]) + header[i + 1:]
    header += b" " * r.choice([0, 0, 0, 1, 7])
    length = len(header) + r.choice([0] * 30 + [-1, 1, 8, 2**40])
    data = r.randbytes(max(0, n + r.choice([0] * 20 + [-1, 1, 4])))
    return struct.pack("<Q", max(0, length)) + header + data


def rust(data):
    try:
        tensors = safetensors.deserialize(data)
    except Exception as error:  # SafetensorError, and what PyO3 makes of a panic
        return None, str(error)
    return {name: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in tensors}, ""


def ours(program, data):
    program.stdin.write(struct.pack("<I", len(data)) + data)
    program.stdin.flush()
    line = program.stdout.readline().decode("utf-8", "replace").rstrip("\n")
    if not line.startswith("0"):
        return None, line
    tensors = {}
    for item in line.split(" ")[1:]:
        name, dtype, shape, content = item.split(":")
        tensors[bytes.fromhex(name).decode()] = (dtype, tuple(int(x) for x in shape.split(",") if x), bytes.fromhex(content))
    return tensors, ""


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    r = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    subprocess.run(["make", "-s", "CUDA=no", f"{PROGRAM.relative_to(ROOT)}"], cwd=ROOT, check=True)
    program = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    counts = collections.Counter()
    for _ in range(n):
        data = make(r)
        (theirs, why), (mine, message) = rust(data), ours(program, data)
        if theirs is None and mine is None:
            counts["both refuse"] += 1
        elif theirs is not None and theirs == mine:
            counts["both read the same"] += 1
        elif theirs is not None and mine is None and message.startswith(UNSUPPORTED):
            counts["no model here has the type"] += 1
        elif theirs is not None and mine is None and any(s in message for s in STRICTER):
            counts["refused here: " + next(s for s in STRICTER if s in message)] += 1
        else:
            counts["WRONG"] += 1
            print(f"{data!r}\n  ours: {message or mine}\n  Rust: {why or theirs}")
    for what, times in sorted(counts.items()):
        print(f"{times:8} {what}")
    return 1 if counts["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
