"""check.py ARCHITECTURE=DIRECTORY…: runs the tensor-core kernels, the norms and the scheduler's step in the PTX that nvcc wrote for each
architecture (DIRECTORY/gemm.ptx, …) and compares with numpy's f64. Copies by cp.async come late, and at once where --early. --planted: with
mistakes in the PTX, each of which must be seen. --only=products|attentions|norms|steps."""
import re
import sys

import numpy as np

from launches import *
from memory import Fault, Global
from operations import of_bits, to_bits
from planted import PLANTED, plant
from ptx import Kernel, Launch, entries

ULP = {'f16': 2.0**-11, 'bf16': 2.0**-8}
failures = ran = 0


class Module:
    def __init__(self, architecture, directory, early):
        self.directory, self.early, self.texts, self.kernels = directory, early, {}, {}
        self.clusters = int(architecture[3:]) >= 90

    def find(self, file, pattern):
        if file not in self.texts:
            self.texts[file] = open(f'{self.directory}/{file}.ptx').read()
        if (file, pattern) not in self.kernels:
            found = [e for e in entries(self.texts[file]) if re.search(pattern, e[0])]
            if len(found) != 1:
                raise Fault(f'{len(found)} kernels of {file}.ptx match {pattern}')
            self.kernels[file, pattern] = Kernel(*found[0], self.texts[file][:self.texts[file].index('.entry')])
        return self.kernels[file, pattern]

    def launch(self, file, pattern, memory, grid, *arguments, dynamic=0, cluster=1):
        raw = b''
        for a in arguments:
            a = a if isinstance(a, ctypes.Structure) else {int: I, float: F}.get(type(a), type(a))(a if not hasattr(a, 'value') else a.value)
            align = ctypes.alignment(a)
            raw += b'\0' * (-len(raw) % align) + bytes(a)
        Launch(self.find(file, pattern), memory, grid, raw, dynamic, self.early, cluster).run()


def compare(what, got, wanted, rounding, terms=None):
    """One rounding of the value, and f32's of the sums; terms: what is added, rounded to 16 bits, in magnitude."""
    global failures, ran
    ran += 1
    bound = rounding * np.abs(wanted) + (2e-5 * np.sqrt(np.mean(wanted**2)) if terms is None else 1.01 * rounding * terms)
    error = (np.abs(got - wanted) / bound).max() if np.isfinite(got).all() else np.inf
    bad = not error <= 1
    failures += bad
    print(f'{"FAIL" if bad else "ok  "} {what}: {error:.2f} of what rounding explains', flush=True)


def poison(*shape, dtype=np.uint16):
    return np.full(shape, -1).astype(dtype)


# ---- products ----------------------------------------------------------------------------------------------------------

TILES = ((256, 128, 64, 64), (256, 64, 64, 64), (128, 128, 64, 64), (128, 64, 64, 32), (64, 128, 32, 64), (64, 64, 32, 32), (128, 16, 32, 16),
         (128, 160, 64, 80))


def gemm(module, half, tile, what, N=1, H=1, W=1, C=40, K=72, R=1, stride=1, upsample=1, splits=1, meet=False, geglu=False, temb=True,
         vectors=True, phases=1):
    rng = np.random.default_rng(1)
    BM, BN, WM, WN = tile
    pad = R // 2
    Ho, Wo = ((s * upsample + 2 * pad - R) // stride + 1 if phases == 1 else s for s in (H, W))
    x, w = Half(rng, half, N, H, W, C), Half(rng, half, phases, K, R, R, C, scale=(C * R * R)**-0.5)
    bias = rng.standard_normal(K).astype(np.float32)
    columns, M = (K // 2 if geglu else K), N * Ho * Wo
    added, residual = Half(rng, half, N, K), Half(rng, half, phases * M, columns)
    memory = Global()
    g = Gemm(M=M, N=K, C=C, x=memory.add(x.bits), ldx=C, H=H, W=W, Ho=Ho, Wo=Wo, phases=phases, R=R, stride=stride, top=pad, left=pad,
             upsample=upsample, seen_H=H * upsample, seen_W=W * upsample, w=memory.add(w.bits), w_phase=K * R * R * C, w_row=R * R * C, w_tap=C, bias=memory.add(bias),
             temb=memory.add(added.bits) if temb else 0, temb_ld=K, residual=memory.add(residual.bits), residual_ld=columns, y_ld=columns,
             interleave=8 if geglu else 0, dtype=1 if half == 'f16' else 2, vectors=vectors)
    y = poison(phases * M, columns)
    g.y = memory.add(y, write=True)
    steps = R * R * -(-C // 32)
    each = -(-steps // splits)
    splits = -(-steps // each)
    partial = memory.add(poison(splits, phases * M, -(-K // 8) * 8, dtype=np.uint32), write=True) if splits > 1 else 0
    blocks = -(-M // BM) * -(-K // BN)
    module.launch('gemm', f'gemm_tileI{HALF[half]}Li{BM}ELi{BN}E', memory, (blocks, splits, phases), g, steps, each, P(partial),
                  ctypes.c_bool(meet), dynamic=4 * (BM + BN) * 64 + BM * 8, cluster=splits if meet else 1)
    if partial and not meet:
        module.launch('gemm', f'gemm_reduceI{HALF[half]}E', memory, (2,), g, P(partial), splits)
    parts = [convolved(x.values, w.values[f], stride, pad - f // 2, pad - f % 2, upsample, Ho, Wo, (H * upsample, W * upsample))
             for f in range(phases)]
    sums = np.stack(parts, 3).reshape(N, Ho, Wo, 2, 2, K).transpose(0, 1, 3, 2, 4, 5) if phases == 4 else parts[0]
    sums = sums.reshape(N, -1, 1, K) + bias
    if temb:
        sums = sums + added.values[:, None, None]
    sums = sums.reshape(phases * M, K)
    if geglu:
        pairs = sums.reshape(M, -1, 2, 8)
        sums = (pairs[:, :, 0] * pairs[:, :, 1] * 0.5 * (1 + erf(pairs[:, :, 1] / np.sqrt(2)))).reshape(M, columns)
    compare(f'gemm {half} {BM}x{BN} {what}', of_bits(memory.read(g.y, y), half), sums + residual.values, ULP[half])


def convolution(module, half, kernel, N, H, W, C, K, columns, dynamic=0, vectors=False):
    rng = np.random.default_rng(6)
    x, w = Half(rng, half, N, H, W, C), Half(rng, half, K, 3, 3, C, scale=(C * 9)**-0.5)
    bias, residual = rng.standard_normal(K).astype(np.float32), Half(rng, half, N * H * W, K)
    memory, y = Global(), poison(N * H * W, K)
    g = Gemm(M=N * H * W, N=K, C=C, x=memory.add(x.bits), ldx=C, H=H, W=W, Ho=H, Wo=W, phases=1, R=3, stride=1, top=1, left=1, upsample=1,
             seen_H=H, seen_W=W, w=memory.add(w.bits), w_row=9 * C, w_tap=C, bias=memory.add(bias), residual=memory.add(residual.bits),
             residual_ld=K, y_ld=K, y=memory.add(y, write=True), dtype=1 if half == 'f16' else 2, vectors=vectors)
    module.launch(f'conv2d_{kernel}', f'{kernel}I{HALF[half]}E', memory, (-(-W // 16) * -(-K // columns), -(-H // 8), N), g, dynamic=dynamic)
    wanted = convolved(x.values, w.values, 1, 1, 1, 1, H, W, (H, W)).reshape(-1, K) + bias + residual.values
    compare(f'{kernel} convolution {half} of {C} to {K}', of_bits(memory.read(g.y, y), half), wanted, ULP[half])


def products(module):
    for half in HALF:
        convolution(module, half, 'narrow', 2, 9, 19, 72, 4, columns=8, dynamic=2 * (180 + 72) * 64)
        convolution(module, half, 'narrow', 1, 8, 5, 40, 8, columns=8, dynamic=2 * (180 + 72) * 64)
        convolution(module, half, 'first', 2, 9, 19, 4, 136, columns=64, vectors=True)
        convolution(module, half, 'first', 1, 8, 5, 3, 37, columns=64)
        for tile in TILES:
            gemm(module, half, tile, '3x3', N=2, H=7, W=9, C=40, K=tile[1] + 8, R=3)
        gemm(module, half, TILES[7], 'stride 2, three splits', H=12, W=11, C=72, K=40, R=3, stride=2, splits=3)
        gemm(module, half, TILES[5], 'enlarged, one value at a time', H=5, W=6, C=32, K=19, R=3, upsample=2, vectors=False)
        gemm(module, half, TILES[3], 'four phases', N=2, H=5, W=6, C=40, K=72, R=2, phases=4)
        gemm(module, half, TILES[5], 'four phases, three splits', H=7, W=6, C=72, K=72, R=2, phases=4, splits=3)
        gemm(module, half, TILES[2], 'GEGLU', N=70, C=136, K=144, geglu=True, temb=False)
        gemm(module, half, TILES[4], 'GEGLU, two splits', N=70, C=136, K=144, geglu=True, temb=False, splits=2)
        if module.clusters:
            gemm(module, half, TILES[7], 'stride 2, three splits that meet', H=12, W=11, C=72, K=168, R=3, stride=2, splits=3, meet=True)
            gemm(module, half, TILES[5], 'four phases, eight splits that meet', H=7, W=6, C=72, K=72, R=2, phases=4, splits=8, meet=True)
            gemm(module, half, TILES[4], 'GEGLU, two splits that meet', N=70, C=136, K=144, geglu=True, temb=False, splits=2, meet=True)


# ---- attention ---------------------------------------------------------------------------------------------------------


def attention(module, half, file, pattern, D, rows, Tq, Tk, shared, causal=False, blocks=None, peak=1):
    rng = np.random.default_rng(2)
    heads, width = 2, 2 * D + 8
    q, k, v = Half(rng, half, Tq, width, scale=peak), Half(rng, half, Tk, width), Half(rng, half, Tk, width)
    memory, y = Global(), poison(Tq, width)
    a = Attention(*(Rows(memory.add(m, write=m is y), width, 0) for m in (y, q.bits, k.bits, v.bits)), Tq, Tk, D, heads, causal,
                  1 if half == 'f16' else 2, np.log2(np.e) / np.sqrt(D))
    module.launch(file, pattern.replace('T', HALF[half]), memory, (blocks or -(-Tq // rows), heads), a, dynamic=shared)
    got = of_bits(memory.read(a.y.p, y), half)[:, :2 * D]
    wanted, terms = (np.concatenate(m, 1) for m in zip(*(softmax_of(*(m.values[:, h * D:(h + 1) * D] for m in (q, k, v)), causal)
                                                         for h in range(heads))))
    compare(f'{file} {half} D {D}, {rows} rows, {Tq} of {Tk}{", causal" if causal else ""}', got, wanted, ULP[half], terms)


def attentions(module):
    for half in HALF:
        for D, M, keys, keep in ((40, 2, 64, 1), (40, 1, 64, 1), (64, 2, 64, 1), (64, 1, 64, 1), (80, 2, 64, 1), (80, 1, 64, 1), (128, 1, 64, 1),
                                 (160, 1, 64, 1), (256, 1, 32, 0)):
            padded, rows = -(-D // 16) * 16, 64 * M
            attention(module, half, 'attention_flash', f'flashIT' f'Li{D}ELi{M}ELi{keys}E', D, rows, rows + 9, 3 * keys + 7,
                      padded * 2 * (4 * keys + (0 if keep else rows)), causal=D == 64, peak=6 if D == 80 else 1)
        attention(module, half, 'attention_flash_polynomial_5', 'flashIT' 'Li40ELi2E', 40, 128, 137, 199, 48 * 2 * 4 * 64, peak=6)
        for D in (40, 64, 80, 160):
            attention(module, half, 'attention_short', f'attend_shortIT' f'Li{D}E', D, 64, 150, 77, -(-D // 16) * 32 * (192 + 64), blocks=1)
        attention(module, half, 'attention_wide', 'attend_wideITE', 512, 32, 40, 130, (32 * 512 + 3 * 64 * 128 + 32 * 64) * 2)
        attention(module, half, 'attention_wide', 'attend_wideITE', 264, 32, 33, 66, (32 * 512 + 3 * 64 * 128 + 32 * 64) * 2)


# ---- norms -------------------------------------------------------------------------------------------------------------


def group_norm(module, half, path, pixels, C, groups, span, parts=1):
    rng = np.random.default_rng(3)
    x = Half(rng, half, 2, pixels, C)
    w, b = (rng.standard_normal(C).astype(np.float32) for _ in range(2))
    memory, y = Global(), poison(2, pixels, C)
    p = GroupNorm(x=memory.add(x.bits), y=memory.add(y, write=True), w=memory.add(w), b=memory.add(b), pixels=pixels, C=C, ldx=C, ldy=C,
                  per_group=C // groups, span=span, parts=parts, eps=1e-5, silu=True,
                  moments=memory.add(poison(2, groups, parts, 4, dtype=np.uint32), write=True))
    for kernel, grid in {'fused': ((f'fusedIT' 'Li4E', 1),), 'fused 16': ((f'fusedIT' 'Li16E', 1),),
                         'split': (('momentsITE', parts), ('applyITE', 3))}[path]:
        module.launch('group_norm', 'group_norm_' + kernel.replace('T', HALF[half]), memory, (C // span, grid, 2), p)
    grouped = x.values.reshape(2, pixels, groups, -1)
    mean, variance = (f(grouped, (1, 3), keepdims=True) for f in (np.mean, np.var))
    wanted = silu(((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(2, pixels, C) * w + b)
    compare(f'group norm {half} {path}', of_bits(memory.read(p.y, y), half), wanted, ULP[half])


def layer_norm(module, half, C, vectors):
    rng = np.random.default_rng(4)
    x = Half(rng, half, 6, C)
    w, b = (rng.standard_normal(C).astype(np.float32) for _ in range(2))
    memory, y = Global(), poison(6, C)
    p = LayerNorm(memory.add(x.bits), memory.add(y, write=True), memory.add(w), memory.add(b), 6, C, C, C, 1e-5)
    module.launch('layer_norm', f'layer_norm_rowsI{HALF[half]}Li{vectors}E', memory, (2,), p)
    wanted = (x.values - x.values.mean(1, keepdims=True)) / np.sqrt(x.values.var(1, keepdims=True) + 1e-5) * w + b
    compare(f'layer norm {half} {C}', of_bits(memory.read(p.y, y), half), wanted, ULP[half])


def norms(module):
    for half in HALF:
        group_norm(module, half, 'fused', 63, 320, 32, 40)
        group_norm(module, half, 'fused 16', 1000, 64, 32, 32)
        group_norm(module, half, 'split', 700, 128, 32, 64, parts=3)
        for C, vectors in ((320, 2), (768, 4), (1288, 8)):
            layer_norm(module, half, C, vectors)


# ---- the scheduler's step ----------------------------------------------------------------------------------------------


def steps(module):
    for half in HALF:
        step(module, half)


def step(module, half):
    rng = np.random.default_rng(5)
    N, H, W, C = 2, 5, 7, 4
    n = N * H * W * C
    out = Half(rng, half, 2 * N, H, W, C)
    x, z, d1 = (rng.standard_normal(n).astype(np.float32) for _ in range(3))
    memory = Global()
    row = SchedRow(push=True, clip=1, clip_value=1.5, dx=0.8, de=-0.4, cx=0.9, ce=-0.3, cz=0.25, head=1)
    row.cd[0], row.cd[1] = 0.5, -0.2
    new = [memory.add(d, write=True) for d in (d1, poison(n, dtype=np.uint32))]
    s = Step(N=N, H=H, W=W, C=C, x=memory.add(x, write=True), z=memory.add(z), e=memory.add(poison(n, dtype=np.uint32), write=True),
             rows=memory.add(np.frombuffer(bytes(SchedRow()) + bytes(row), np.uint8)), row_at=memory.add(np.array([1], np.int32)), depth=2,
             out=memory.add(out.bits), ld=C, copies=2, scale=7.5)
    s.d[0], s.d[1] = new
    module.launch('sched_step', f'sched_stepI{HALF[half]}E', memory, (2,), s)
    uncond, cond = out.values.reshape(2, n)
    e = uncond + 7.5 * (cond - uncond)
    v = np.clip(np.float32(0.8) * x.astype(float) - np.float32(0.4) * e, -1.5, 1.5)
    wanted = np.float32(0.9) * x.astype(float) - np.float32(0.3) * e + 0.25 * z + 0.5 * v - np.float32(0.2) * d1.astype(float)
    for name, at, value in (('x', s.x, wanted), ('e', s.e, e), ('d', new[1], v)):
        compare(f'scheduler step {half} {name}', memory.read(at, x), value, 2**-23)


def mistakes(architecture, directory):
    """Each planted one must be seen."""
    global failures
    missed = 0
    for name, file, entry, pattern, new in PLANTED:
        module = Module(architecture, directory, False)
        module.texts[file] = plant({file: open(f'{directory}/{file}.ptx').read()}, name, file, entry, pattern, new)
        failures, seen = 0, ''
        print(f'planted: {name}')
        try:
            if file == 'gemm':
                gemm(module, 'f16', (64, 64, 32, 32), '3x3', H=7, W=9, C=40, K=72, R=3)
                gemm(module, 'f16', (64, 64, 32, 32), 'three splits that meet', N=70, C=136, K=72, splits=3, meet=True)
            elif file == 'conv2d_first':
                convolution(module, 'f16', 'first', 1, 8, 5, 3, 37, columns=64)
            elif file == 'layer_norm':
                layer_norm(module, 'f16', 320, 2)
            else:
                attention(module, 'f16', file, 'flashITLi40ELi1E', 40, 64, 73, 199, 48 * 2 * 4 * 64)
            seen = 'wrong values' if failures else ''
        except Fault as fault:
            seen = str(fault).split(': ', 1)[-1]
        missed += not seen
        print(f'{"seen" if seen else "FAIL"}: {seen or "nothing"}', flush=True)
    return missed


def main(arguments):
    early = '--early' in arguments
    only = next((a[7:] for a in arguments if a.startswith('--only=')), '')
    architectures = [a.split('=') for a in arguments if not a.startswith('--')]
    if '--planted' in arguments:  # in the last, which has all there is to get wrong
        print(f'-- {architectures[-1][0]}')
        return mistakes(*architectures[-1]) > 0
    for architecture, directory in architectures:
        print(f'-- {architecture}, copies come {"at once" if early else "late"}')
        module = Module(architecture, directory, early)
        for part in (products, attentions, norms, steps):
            if only in part.__name__:
                part(module)
    print(f'{ran} comparisons, {failures} failed')
    return failures > 0 or ran == 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except Fault as fault:
        sys.exit(f'FAIL {fault}')
