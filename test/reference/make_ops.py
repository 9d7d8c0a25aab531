"""test/fixtures/ops/ops.safetensors: what every op but conv2d must compute, by PyTorch and diffusers, in float64 where they allow it.

A case is one tensor, the expected rows (every step-th) of y. Its name is the op and its parameters; test_ops.c parses them and makes
the same operands with operand(). `tol` is the largest difference allowed in f32, `tol16` on a bf16 device (absent: not run there).
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

import common

# Relative to the largest |y|. f32: a sum of n products carries about sqrt(n) half-units of 6e-8; n is at most 5000 here.
F32 = 3e-6
# bf16: operands and result are rounded to 8 bits (4e-3 each), and a layer's errors add up.
BF16 = 2e-2
X, W, B, R, Q, K, V, G = range(1, 9)  # seeds of operands

cases = {}


def operand(seed, *shape, exp=0, offset=0):
    """Uniform in [-1, 1) * 2^exp + offset, every value exact in f32; test_ops.c has the same function."""
    i = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32) + np.uint32(seed * 0x13C6EF36 & 0xFFFFFFFF)
    i = (i ^ (i >> 16)) * np.uint32(0x85EBCA6B)
    i = (i ^ (i >> 13)) * np.uint32(0xC2B2AE35)
    i = i ^ (i >> 16)
    x = (i >> 8).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy((x * np.float32(2.0**exp) + np.float32(offset)).reshape(shape)).double()


def add(op, y, tol=F32, tol16=BF16, step=1, **params):
    y = y.reshape(-1, y.shape[-1])
    largest = y.abs().max().item()
    params |= {"step": step, "tol": f"{tol * largest:.3g}"}
    if tol16:
        params["tol16"] = f"{tol16 * largest:.3g}"
    name = " ".join([op] + [f"{k}={int(v) if isinstance(v, bool) else v}" for k, v in params.items()])
    assert name not in cases
    cases[name] = y[::step].float()


ACTS = [lambda x: x, F.silu, lambda x: x * torch.sigmoid(1.702 * x), F.gelu, F.relu]  # as enum act


def linear(T, C, K, act=0, bias=True, residual=0, pad=0, exp=0, **kw):
    """residual: 0 none, 1 another tensor, 2 y itself"""
    y = ACTS[act](F.linear(operand(X, T, C, exp=exp), operand(W, K, C, exp=-2), operand(B, K) if bias else None))
    if residual:
        y = y + operand(R, T, K)
    add("linear", y, T=T, C=C, K=K, act=act, bias=bias, residual=residual, pad=pad, exp=exp, **kw)


def linears():
    linear(1, 12, 30, bias=False)
    linear(2, 320, 128, act=1)
    linear(77, 30, 77, act=2, pad=5)
    linear(9, 77, 12, act=3, residual=1)
    for act in range(4):
        linear(33, 40, 24, act=act, residual=1, pad=3)
        linear(33, 40, 24, act=act, residual=2, pad=3)
    linear(154, 64, 128, residual=2, step=5)
    linear(17, 1280, 20, bias=False, residual=1)
    linear(203, 1024, 360, act=1, residual=1, step=31)  # slices, groups of columns, blocks of the depth and rows whole pages apart
    linear(65, 48, 40, exp=13, residual=1)  # |x| up to 8192
    linear(65, 48, 40, exp=-13)


def geglu(T, C, K, pad=0, **kw):
    value, gate = F.linear(operand(X, T, C), operand(W, 2 * K, C, exp=-1), operand(B, 2 * K)).chunk(2, -1)
    add("geglu", value * F.gelu(gate), T=T, C=C, K=K, pad=pad, **kw)


def geglus():
    geglu(2, 12, 20)
    geglu(77, 40, 160, pad=7, step=4)
    geglu(97, 500, 170, pad=3, step=7)
    geglu(300, 16, 2048, step=43)  # more rows than one block of scratch holds


def group_norm(N, H, Wd, C, groups, silu, eps=1e-5, in_place=False, pad=0, exp=0, offset=0, **kw):
    x = operand(X, N, H, Wd, C, exp=exp, offset=offset)
    y = torch.group_norm(x.permute(0, 3, 1, 2), groups, operand(W, C), operand(B, C), eps).permute(0, 2, 3, 1)
    y = F.silu(y) if silu else y
    add("group_norm", y, N=N, H=H, W=Wd, C=C, groups=groups, silu=silu, eps=eps, in_place=in_place, pad=pad, exp=exp,
        offset=offset, **kw)


def layer_norm(T, C, in_place=False, pad=0, exp=0, offset=0, **kw):
    y = F.layer_norm(operand(X, T, C, exp=exp, offset=offset), (C,), operand(W, C), operand(B, C), 1e-5)
    add("layer_norm", y, T=T, C=C, eps=1e-5, in_place=in_place, pad=pad, exp=exp, offset=offset, **kw)


def norms():
    for silu in (False, True):
        group_norm(2, 3, 5, 12, 3, silu)
        group_norm(2, 3, 5, 12, 3, silu, in_place=True, pad=9)
    # Groups of two values: where they are close, rounding them to bf16 moves their difference by much.
    group_norm(3, 1, 1, 64, 32, False, tol16=None)
    group_norm(1, 1, 1, 6, 6, False)  # one value a group: y = b
    group_norm(1, 101, 97, 8, 2, True, step=149)
    group_norm(2, 16, 16, 320, 32, True, step=61)
    group_norm(1, 2, 2, 2560, 32, False, eps=1e-6)
    group_norm(1, 9, 7, 24, 4, False, exp=13)
    group_norm(1, 9, 7, 24, 4, False, exp=-14)  # the variance is about eps / 10000
    # A mean 1e4 times the deviation: bf16 cannot hold such values.
    group_norm(1, 40, 40, 24, 4, False, offset=8192, step=31, tol16=None)
    layer_norm(5, 12)
    layer_norm(5, 12, in_place=True, pad=3)
    layer_norm(1, 1)
    layer_norm(3, 1280, pad=8)
    layer_norm(2, 517, exp=13)
    layer_norm(2, 517, exp=-14)
    layer_norm(4, 768, offset=8192, tol16=None)


def attention(N, heads, D, Tq, Tk, causal=False, shared=False, pad=0, exp=0, **kw):
    C, Nk = heads * D, 1 if shared else N
    split = lambda x: x.reshape(x.shape[0], x.shape[1], heads, D).transpose(1, 2)
    q, k, v = split(operand(Q, N, Tq, C, exp=exp)), split(operand(K, Nk, Tk, C)), split(operand(V, Nk, Tk, C))
    y = F.scaled_dot_product_attention(q, k.expand(N, -1, -1, -1), v.expand(N, -1, -1, -1), is_causal=causal)
    add("attention", y.transpose(1, 2).reshape(N, Tq, C), N=N, heads=heads, D=D, Tq=Tq, Tk=Tk, causal=causal, shared=shared, pad=pad,
        exp=exp, **kw)


def attentions():
    attention(1, 1, 2, 3, 5)
    attention(1, 1, 1, 1, 1)
    attention(2, 2, 3, 7, 7, causal=True)
    attention(1, 3, 5, 50, 77, pad=4)
    attention(2, 2, 6, 49, 130, pad=1)
    attention(2, 1, 12, 1, 300)
    attention(2, 2, 12, 200, 200, causal=True, step=9)
    attention(2, 4, 40, 64, 77, shared=True, step=5)
    attention(1, 3, 40, 420, 260, pad=40, step=37)
    attention(1, 2, 64, 77, 77, causal=True, step=3)
    attention(1, 1, 80, 100, 65, step=5)
    attention(2, 1, 160, 48, 129, step=5)
    attention(1, 1, 512, 20, 70, step=2)
    # Scores up to 500, almost one-hot: half a unit of a score is 1.5e-5 of its weight; in bf16 it is 1.
    attention(1, 2, 40, 33, 150, exp=7, tol=2e-5, tol16=None)
    # Scores of +-3e4 have an f32 unit of 2e-3, so the weights of near ties are off by 1e-3; bf16 cannot tell them apart.
    attention(1, 2, 40, 33, 150, exp=13, tol=3e-3, tol16=None)


def elementwise():
    for T, C, pad, in_place in [(1, 1, 0, 0), (7, 30, 3, 0), (7, 30, 0, 1), (3, 1037, 5, 0)]:
        add("silu", F.silu(operand(X, T, C, exp=3)), T=T, C=C, pad=pad, in_place=in_place, exp=3)
        add("add", operand(X, T, C) + operand(R, T, C), T=T, C=C, pad=pad, in_place=in_place)
    add("silu", F.silu(operand(X, 5, 40, exp=13)), T=5, C=40, pad=0, in_place=0, exp=13)
    for N, per_image, C, pad, in_place, act, without in [(2, 1, 12, 0, 0, 1, 0), (3, 0, 40, 5, 1, 0, 0), (2, 1, 1037, 3, 0, 0, 0), (2, 0, 24, 7, 0, 0, 3), (2, 1, 40, 0, 1, 4, 3), (2, 0, 33, 3, 0, 3, 1), (2, 1, 16, 0, 0, 4, 2)]:
        x, rows = operand(X, N, 3, 5, C, exp=2), N if per_image else 1
        if not without & 1:
            x = x * (1 + operand(W, rows, 1, 1, C))
        if not without & 2:
            x = x + operand(B, rows, 1, 1, C)
        add("modulate", ACTS[act](x), N=N, H=3, W=5, C=C, per_image=per_image, pad=pad, in_place=in_place, act=act, without=without, exp=2)
    ids = torch.arange(77) * 3 % 50
    add("embed", operand(W, 50, 24)[ids] + operand(B, 80, 24)[:77], T=77, C=24, V=50, P=80, step=3)
    add("embed", operand(W, 50, 24)[ids], T=77, C=24, V=50, P=0, step=3)
    for copies, pad in [(1, 0), (2, 5)]:
        x = 0.25 * operand(X, 2, 3, 5, 4)
        add("model_input", x.repeat(copies, 1, 1, 1), N=2, H=3, W=5, C=4, copies=copies, pad=pad, scale=0.25)
    for flip, shift, dim in itertools.product((False, True), (0, 1), (32, 320)):
        # One unit in the last place of a frequency moves the sine of 999 f by 6e-5: exp may differ by that much.
        t = torch.tensor([0, 1, 500.25, 999], dtype=torch.float32)
        y = get_timestep_embedding(t, dim, flip_sin_to_cos=flip, downscale_freq_shift=shift)
        add("timestep_embed", y, dim=dim, flip=flip, shift=shift, tol=7e-5, tol16=4e-3)


def windows():
    nchw = lambda x: x.permute(0, 3, 1, 2)
    ways = [{"mode": "bilinear", "align_corners": True}, {"mode": "bilinear", "align_corners": False}, {"mode": "nearest"}]  # as enum interpolation
    for N, H, Wd, Ho, Wo, C, pad, way in [(2, 3, 5, 6, 10, 12, 0, 0), (2, 5, 4, 7, 9, 33, 5, 1), (1, 7, 9, 5, 3, 8, 0, 1), (1, 1, 1, 4, 3, 7, 0, 0), (1, 4, 4, 1, 4, 520, 3, 0), (1, 6, 6, 6, 6, 4, 0, 1),
                                          (2, 3, 5, 7, 11, 12, 0, 2), (2, 6, 1, 12, 3, 33, 5, 2), (1, 8, 7, 3, 7, 40, 3, 2), (1, 61, 29, 123, 9, 1, 0, 2)]:
        y = F.interpolate(nchw(operand(X, N, H, Wd, C).float() if way == 2 else operand(X, N, H, Wd, C)), (Ho, Wo), **ways[way])
        exact = {"tol": 0, "tol16": 2**-8} if way == 2 else {}  # bf16 rounds what is read
        add("resize", y.permute(0, 2, 3, 1), N=N, H=H, W=Wd, Ho=Ho, Wo=Wo, C=C, pad=pad, way=way, **exact)
    for N, H, Wd, C, R, stride, low, high, pad in [(2, 6, 8, 12, 3, 2, 0, 1, 0), (1, 7, 5, 33, 3, 2, 1, 1, 5), (2, 5, 5, 520, 2, 2, 0, 1, 3), (1, 4, 4, 8, 1, 3, 0, 0, 0), (1, 3, 3, 4, 5, 1, 4, 4, 0)]:
        x = F.pad(nchw(operand(X, N, H, Wd, C)), (low, high, low, high), value=float("-inf"))
        add("max_pool", F.max_pool2d(x, R, stride).permute(0, 2, 3, 1), N=N, H=H, W=Wd, C=C, R=R, stride=stride, low=low, high=high, pad=pad)


def rgb():
    x = operand(X, 40, 3, exp=1)
    x[:8] = (torch.arange(24).reshape(8, 3) + 0.5) * 2 / 255 - 1  # between two bytes: to the even one
    x = x.float()
    image = (x / 2 + 0.5).clamp(0, 1).numpy()
    cases["to_rgb8.x"] = x
    cases["to_rgb8.y"] = torch.from_numpy((image * 255).round().astype(np.uint8))


HISTORY = 5
ZERO = [0.0] * HISTORY


def row(push=True, save=False, drop=0, clip=0, clip_value=0.0, quantile=0.0, dx=0.0, de=1.0, ax=0.0, as_=0.0, ad=ZERO, cx=0.0, ce=0.0,
        cs=0.0, cd=ZERO, cz=0.0):
    return dict(push=push, save=save, drop=drop, clip=clip, clip_value=clip_value, quantile=quantile, dx=dx, de=de, ax=ax, as_=as_,
                ad=ad, cx=cx, ce=ce, cs=cs, cd=cd, cz=cz)


def clip_values(v, r):
    if r["clip"] == 1:
        return v.clamp(-r["clip_value"], r["clip_value"])
    if r["clip"] == 2:
        scheduler = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=r["quantile"], sample_max_value=r["clip_value"])
        return scheduler._threshold_sample(v.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return v


def sched(label, rows, N=2, copies=2, image=None, guidance=7.5, rescale=0.0, pad=0, range_at=None):
    """The rows one after another, as scheduler.h defines them; the model's output of row i has seed 20 + i, its noise 40 + i.
    range_at: the timestep whose learned_range of variances DDPMScheduler applies to the output's second half of channels."""
    H, Wd, C = 3, 5, 4
    shape = (N, H, Wd, C)
    x, s, d = operand(X, *shape), None, []
    ddpm, logs = DDPMScheduler(), {}
    ddpm.set_timesteps(10)
    if range_at:
        fixed = [ddpm._get_variance(range_at, variance_type=kind) for kind in ("fixed_small", "fixed_large")]
        logs = {name: f"{v.log().item():.9g}" for name, v in zip(("min_log", "max_log"), fixed)}
    for i, r in enumerate(rows):
        out = operand(20 + i, N * copies, H, Wd, 2 * C if range_at else C)
        e = out[..., :C]
        if copies > 1:
            uncond, seen, cond = out.chunk(3) if copies == 3 else (*out.chunk(2), None)
            if copies == 3:  # as StableDiffusionInstructPix2PixPipeline has it
                e = uncond + guidance * (cond - seen) + image * (seen - uncond)
            else:
                cond = seen
                e = uncond + guidance * (cond - uncond)
            e = rescale_noise_cfg(e, cond, guidance_rescale=rescale) if rescale > 0 else e
        z = operand(40 + i, *shape)
        if range_at:
            z = (0.5 * ddpm._get_variance(range_at, out[..., C:], "learned_range")).exp() * z
        v = clip_values(r["dx"] * x + r["de"] * e, r)
        d = [v] + d if r["push"] else d
        now = d if r["push"] else [v] + d[1:]
        total = lambda c: sum(k * value for k, value in zip(c, now))
        if r["save"]:
            s = r["ax"] * x + (r["as_"] * s if r["as_"] else 0) + total(r["ad"])
        x = r["cx"] * x + r["ce"] * e + (r["cs"] * s if r["cs"] else 0) + total(r["cd"]) + r["cz"] * z
        d = d[r["drop"]:]
    flat = [float(v) for r in rows for v in [r["push"], r["save"], r["drop"], r["clip"], r["clip_value"], r["quantile"], r["dx"], r["de"],
                                             r["ax"], r["as_"], *r["ad"], r["cx"], r["ce"], r["cs"], *r["cd"], r["cz"]]]
    cases[f"{label}.rows"] = torch.tensor(flat).reshape(len(rows), -1)
    image = {} if image is None else {"image": image}
    add("sched_step", x, label=label, N=N, H=H, W=Wd, C=C, rows=len(rows), copies=copies, guidance=guidance, rescale=rescale, pad=pad,
        tol16=BF16, **image, **logs)
    name = list(cases)[-1]
    cases[name.replace("sched_step", "sched_step.e")] = e.reshape(-1, C).float()


def schedules():
    ddim = row(push=False, de=1.0, cx=0.9, ce=-0.3)
    sched("ddim", [ddim, ddim])
    sched("unguided", [ddim], copies=1, pad=4)
    sched("three", [ddim, ddim], copies=3, image=1.5)
    sched("three-rescale", [ddim], N=3, copies=3, image=1.25, rescale=0.7, pad=4)
    sched("rescale", [ddim, ddim], rescale=0.7, pad=4)
    sched("noise", [row(push=False, dx=1.1, de=-0.4, clip=1, clip_value=1.0, cx=0.2, cd=[0.7, 0, 0, 0, 0], cz=0.1)] * 2)
    clipped = row(push=False, dx=1.1, de=-0.4, clip=1, clip_value=1.0, cx=0.2, cd=[0.7, 0, 0, 0, 0], cz=1.0)
    sched("learned", [clipped, clipped, {**clipped, "cz": 0.0}], copies=1, range_at=100)
    sched("learned-padded", [clipped], copies=1, pad=4, range_at=200)
    sched("quantile", [row(push=False, dx=1.1, de=-0.4, clip=2, clip_value=3.0, quantile=0.9, cx=0.2, cd=[0.7, 0, 0, 0, 0])], N=3)
    multistep = [row(cx=0.9, cd=[0.5, -0.2, 0.1, -0.05, 0.025][:i + 1] + [0.0] * (4 - i)) for i in range(5)]
    sched("multistep", multistep + [multistep[4]], guidance=1.5)
    sched("saved", [
        row(save=True, ax=1.0, cs=0.8, cd=[0.3, 0, 0, 0, 0]),
        row(save=True, as_=0.5, ad=[0.25, 0.125, 0, 0, 0], cs=1.0, ce=-0.1),
        row(push=False, save=True, ax=0.5, as_=0.5, cs=0.5, cd=[0.5, 0.25, 0, 0, 0], drop=1),
        row(cx=1.0, cd=[0.5, 0.25, 0, 0, 0], drop=2),
        row(cx=1.0, cd=[0.5, 0, 0, 0, 0]),
    ], guidance=1.5)


def main():
    common.deterministic()
    for make in (linears, geglus, norms, attentions, elementwise, windows, rgb, schedules):
        make()
    common.save_tensors(common.FIXTURES / "ops" / "ops.safetensors", cases)


if __name__ == "__main__":
    main()
