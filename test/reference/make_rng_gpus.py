"""test/fixtures/rng/cuda_gpus.json: normal draws of torch's CUDA generator on GPUs of other sizes than an H100's.

    python test/reference/make_rng_gpus.py

No GPU is at hand: numpy does what torch's kernel does (aten/src/ATen/native/cuda/DistributionTemplates.h, curand_kernel.h), and is held against
cuda.json first. The numbers of multiprocessors and of threads on each are the GPUs' data sheets'."""
import json

import numpy as np

from common import FIXTURES

GPUS = {"h100": (132, 2048), "t4": (40, 1024), "rtx3060": (28, 1536), "rtx2080ti": (68, 1024), "l4": (58, 1536), "v100": (80, 2048)}
U32, U64 = np.uint32, np.uint64


def philox(seed, counter, thread):
    """Four u32 of each thread (Salmon et al. 2011, ten rounds)."""
    c = [np.full_like(thread, counter & 0xFFFFFFFF), np.full_like(thread, counter >> 32), thread & U64(0xFFFFFFFF), thread >> U64(32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = c[0] * U64(0xD2511F53), c[2] * U64(0xCD9E8D57)
        c = [(b >> U64(32)) ^ c[1] ^ U64(k0), b & U64(0xFFFFFFFF), (a >> U64(32)) ^ c[3] ^ U64(k1), a & U64(0xFFFFFFFF)]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def box_muller(x, y):
    u = x.astype(np.float64) * 2.0**-32 + 2.0**-33
    v = y.astype(np.float64) * (2.0**-32 * 2 * np.pi) + 2.0**-33 * 2 * np.pi
    s = np.sqrt(-2 * np.log(u))
    return s * np.sin(v), s * np.cos(v)


def randn(seed, n, sms, threads):
    grid = 256 * min(sms * (threads // 256), (n + 255) // 256)
    x = np.zeros(n)
    thread = np.arange(grid, dtype=U64)
    for k in range((n + 4 * grid - 1) // (4 * grid)):
        c = philox(seed, k, thread)
        four = [*box_muller(c[0], c[1]), *box_muller(c[2], c[3])]
        for j in range(4):
            at = np.arange(grid) + grid * (4 * k + j)
            x[at[at < n]] = four[j][at < n]
    return x


def case(seed, n, gpu):
    x = randn(seed, n, *GPUS[gpu])
    return {"seed": seed, "n": n, "first": x[:4].tolist(), "last": x[-8:].tolist(), "sum": x.sum(), "sumsq": (x * x).sum(), "gpu": gpu}


def main():
    for c in json.load(open(FIXTURES / "rng/cuda.json"))["cuda"]:
        ours = randn(c["seed"], c["n"], *GPUS["h100"])
        assert np.abs(ours[-len(c["last"]):] - c["last"]).max() < 2e-6 and abs(ours.sum() - c["sum"]) < 2e-6 * c["n"], c
    cases = [case(seed, n, gpu) for gpu in GPUS for seed, n in ((7, 16384), (42, 65536), (2**32 + 5, 200000))]
    about = "normal draws of torch's CUDA generator on these GPUs, as make_rng_gpus.py works them out; not confirmed on a GPU"
    (FIXTURES / "rng/cuda_gpus.json").write_text(json.dumps({"about": about, "cuda": cases}, separators=(",", ":")) + "\n")


main()
