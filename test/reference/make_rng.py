"""test/fixtures/rng/cpu.json: normal draws of torch's CPU generator.

    python test/reference/make_rng.py            (torch 2.15.0)

cuda.json beside it is not made here: its values come from an independent emulation of curand's Philox generator under torch's
launch rules for 132 multiprocessors, whose first values agree with the published ones; no GPU has confirmed the rest.
"""
import json
import os

import torch

SEEDS = [0, 33, 42, 1234, 2**32 + 5]
SIZES = [1, 2, 5, 15, 16, 17, 31, 33, 16384, 65536]
HALF_SIZES = [5, 16, 40, 64]
SEQUENCE = [16384, 3, 17, 2, 16384, 1, 16]


def generator(seed):
    return torch.Generator("cpu").manual_seed(seed)


def draw(seed, n):
    x = torch.randn(n, generator=generator(seed))
    d = x.double()
    return {"seed": seed, "n": n, "first": x[:8].tolist(), "last": x[-8:].tolist(),
            "sum": d.sum().item(), "sumsq": (d * d).sum().item()}


def draw_half(dtype, seed, n):
    x = torch.randn(n, generator=generator(seed), dtype=dtype)
    return {"dtype": str(dtype).removeprefix("torch."), "seed": seed, "n": n, "values": x.float().tolist(),
            "torch": torch.__version__}


def main():
    g = generator(0)
    out = {
        "about": f"torch.randn(n, generator=torch.Generator('cpu').manual_seed(seed)), torch {torch.__version__}",
        "cpu": [draw(s, n) for s in SEEDS for n in SIZES],
        "cpu_half": [draw_half(t, s, n) for t in (torch.float16, torch.bfloat16) for s in (0, 42) for n in HALF_SIZES],
        "cpu_sequence_seed0": [{"n": n, "first": torch.randn(n, generator=g)[:4].tolist()} for n in SEQUENCE],
    }
    path = os.path.join(os.path.dirname(__file__), "..", "fixtures", "rng", "cpu.json")
    with open(path, "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


main()
