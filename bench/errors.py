"""Errors against float64 of the CPU device's ops, of oneDNN and of torch on the same operands, as a table in Markdown:

    python bench/errors.py build/release/bench_errors

Each cell is the root of the mean squares of the errors and the largest one, both divided by that of the float64 output. The float64
outputs of bench_errors and of torch have to agree, or it says so and fails."""

import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F

OURS = ["f32", "onednn", "x6", "x3", "bf16"]
GROUPS, EPS = 32, 1e-5
torch.set_num_threads(1)


def noise(seed, n):
    """As in bench_errors.c."""
    total = np.zeros(n, np.float32)
    with np.errstate(over="ignore"):
        for k in range(4):
            i = np.arange(n, dtype=np.uint32) * np.uint32(4) + np.uint32(k) + np.uint32(seed * 0x13C6EF36 & 0xFFFFFFFF)
            i = (i ^ i >> np.uint32(16)) * np.uint32(0x85EBCA6B)
            i = (i ^ i >> np.uint32(13)) * np.uint32(0xC2B2AE35)
            i ^= i >> np.uint32(16)
            total += (i >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return torch.from_numpy(total * np.float32(0.875))


def operands(op, N, H, W, C, K, R):
    """x, w and b, of attention q, k and v, in torch's layouts; f32."""
    halves = 2 if op == "geglu" else 1
    shapes = {
        "conv": [(N, H, W, C), (K, C, R, R), (K,)],
        "attention": [(N, W, C), (N, K, C), (N, K, C)],
        "group_norm": [(N, H, W, C), (K,), (K,)],
        "layer_norm": [(N * W, C), (K,), (K,)],
    }.get(op, [(N * W, C), (halves * K, C), (halves * K,)])
    x, w, b = (noise(seed + 1, int(np.prod(shape))).reshape(shape) for seed, shape in enumerate(shapes))
    if op in ("conv", "linear", "geglu"):
        w = w * torch.tensor(1 / np.sqrt(np.float32(np.prod(shapes[1][1:]))))
    if op in ("conv", "group_norm"):
        x = x.permute(0, 3, 1, 2).contiguous()
    return x, w, b


def compute(op, x, w, b, stride, upsample, heads, causal):
    if op == "conv":
        if upsample == 2:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.conv2d(x, w, b, stride=stride, padding=w.shape[2] // 2)
    if op == "linear":
        return F.linear(x, w, b)
    if op == "geglu":
        value, gate = F.linear(x, w, b).chunk(2, dim=-1)
        return value * F.gelu(gate)
    if op == "attention":
        q, k, v = (t.reshape(t.shape[0], t.shape[1], heads, -1).transpose(1, 2) for t in (x, w, b))
        return F.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))
    if op == "group_norm":
        return F.silu(F.group_norm(x, GROUPS, w, b, EPS))
    return F.layer_norm(x, x.shape[-1:], w, b, EPS)


def torch_errors(dtype, op, N, H, W, C, K, R, stride, upsample, heads, causal):
    """rms of the float64 output, of the errors and the largest, by it."""
    given = [t.to(dtype) for t in operands(op, N, H, W, C, K, R)]
    want = compute(op, *(t.double() for t in given), stride, upsample, heads, causal)
    error = (compute(op, *given, stride, upsample, heads, causal).double() - want).abs()
    rms = want.square().mean().sqrt().item()
    return rms, error.square().mean().sqrt().item() / rms, error.max().item() / rms


def cell(rms, largest):
    return "" if rms != rms else f"{rms:.1e} / {largest:.1e}"


def main():
    process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
    product, isa, amx = next(process.stdout).rstrip("\n").split("\t")
    print(f"{product}; f32 {isa}, bf16 and its sums {amx}; torch {torch.__version__}\n")
    print(f"| rms / largest error | f32 | oneDNN f32 | torch f32 | x6 | x3 | bf16 | torch bf16 |\n|{'---|' * 8}")
    for line in process.stdout:
        text, op, *numbers = line.rstrip("\n").split("\t")
        shape = [int(n) for n in numbers[:10]]
        ours = {name: [float(n) for n in numbers[10 + 3 * i : 13 + 3 * i]] for i, name in enumerate(OURS)}
        with torch.inference_mode():
            theirs = {"f32": torch_errors(torch.float32, op, *shape), "bf16": torch_errors(torch.bfloat16, op, *shape)}
        for name in theirs:
            if abs(ours[name][0] / theirs[name][0] - 1) > 1e-9:
                sys.exit(f"{text}, {name}: the float64 outputs differ: rms {ours[name][0]} and {theirs[name][0]}")
        cells = [ours["f32"], ours["onednn"], theirs["f32"], ours["x6"], ours["x3"], ours["bf16"], theirs["bf16"]]
        print("|", text, "|", " | ".join(cell(*c[1:]) for c in cells), "|", flush=True)
    if process.wait():
        sys.exit(process.returncode)


main()
