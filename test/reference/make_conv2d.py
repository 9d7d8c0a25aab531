"""Writes test/fixtures/conv2d/expected.bin: the outputs of cases.txt, f32, one case after the other.

The operands are not stored: operand() gives the same numbers as test_conv2d.c. The reference is torch in float64.
Run from the repository root: python test/reference/make_conv2d.py
"""
import numpy as np
import torch
import torch.nn.functional as F

X, W, B, TEMB, RESIDUAL = range(5)


def operand(which, *shape):
    """Uniform in [-1, 1): murmur3's finaliser of the index, 24 bits of it."""
    i = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(which + 1) * np.uint32(0x9E3779B1 >> 3)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        i = (i ^ (i >> np.uint32(shift))) * np.uint32(factor)
    value = (i >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy(value.reshape(shape))


def weight_scale(C, R):
    """A power of two that makes the sum's rms about 1."""
    return 2.0 ** -round(np.log2(np.sqrt(C * R * R) / 3))


def run(case):
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case["dtype"]]
    N, H, W_, C, K, R = (int(case[k]) for k in ("N", "H", "W", "C", "K", "R"))
    top, left, bottom, right = (int(p) for p in case["pad"].split(","))
    Ho, Wo = int(case["Ho"]), int(case["Wo"])
    rounded = lambda t: t.to(dtype).double()
    x = rounded(operand(X, N, H, W_, C)).permute(0, 3, 1, 2)
    w = rounded(operand(W, K, C, R, R) * weight_scale(C, R))
    b = operand(B, K).double() if case["b"] == "1" else None
    if case["up"] == "2":
        rows = (Ho - 1) * int(case["stride"]) + R - top - bottom
        columns = (Wo - 1) * int(case["stride"]) + R - left - right
        x = F.interpolate(x, scale_factor=2, mode="nearest")[:, :, :rows, :columns]
    y = F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, int(case["stride"])).permute(0, 2, 3, 1)
    assert y.shape == (N, Ho, Wo, K), (case, y.shape)
    if case["temb"] != "0":
        y = y + rounded(operand(TEMB, N if case["temb"] == "1" else 1, 1, 1, K))
    if case["res"] != "0":
        y = y + rounded(operand(RESIDUAL, N, Ho, Wo, K))
    return y.flatten()[:: int(case["step"])].float().numpy()


folder = "test/fixtures/conv2d/"
lines = [line.split() for line in open(folder + "cases.txt")]
columns = next(line for line in lines if line[:2] == ["#", "name"])[1:]
cases = [dict(zip(columns, line)) for line in lines if line and line[0] != "#"]
np.concatenate([run(case) for case in cases]).astype("<f4").tofile(folder + "expected.bin")
