"""The kernels' arguments (cuda/gemm.h, cuda/attention.h, …) and numpy's answers in f64."""
import ctypes

import numpy as np

from operations import of_bits, to_bits

HALF = {'f16': '6__half', 'bf16': '13__nv_bfloat16'}
P, I, F, L = ctypes.c_uint64, ctypes.c_int32, ctypes.c_float, ctypes.c_int64


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {'_fields_': [(n, t) for names, t in fields for n in names.split()]})


Gemm = structure('Gemm', ('M N C', I), ('x', P), ('ldx H W Ho Wo phases R stride top left upsample seen_H seen_W', I), ('w', P),
                 ('w_phase w_row w_tap', L), ('bias temb residual', P), ('temb_ld residual_ld y_ld', L), ('y', P), ('act interleave dtype', I),
                 ('vectors', ctypes.c_bool))
Rows = structure('Rows', ('p ld image', P))
Attention = structure('Attention', ('y q k v', Rows), ('Tq Tk D n_heads', I), ('causal', ctypes.c_bool), ('dtype', I), ('scale', F))
GroupNorm = structure('GroupNorm', ('x y w b', P), ('pixels C ldx ldy per_group span parts', I), ('eps', F), ('silu', ctypes.c_bool),
                      ('moments', P))
LayerNorm = structure('LayerNorm', ('x y w b T', P), ('C ldx ldy', I), ('eps', F))
SchedRow = structure('SchedRow', ('t sigma in_scale', F), ('noise push save', ctypes.c_bool), ('drop clip', I), ('clip_value clip_quantile', F),
                     ('variance', I), ('min_log max_log dx de ax as_', F), ('ad', F * 5), ('cx ce cs', F), ('cd', F * 5),
                     ('cz add_x add_z keep_x keep_z', F), ('head', I))
Step = structure('Step', ('N H W C', I), ('x saved', P), ('d', P * 5), ('z e mask clean noise', P), ('rows row_at', P), ('depth', I), ('out', P),
                 ('ld copies', I), ('scale image rescale', F), ('factors limits magnitudes', P))


class Half:
    """Random values of a 16-bit type: their bits, and what they are in f64."""

    def __init__(self, rng, half, *shape, scale=1.0):
        self.bits = to_bits(rng.standard_normal(shape).astype(np.float32) * np.float32(scale), half)
        self.values = of_bits(self.bits, half).astype(np.float64)


def erf(x):
    """Abramowitz & Stegun 7.1.5, 7.1.14: the series, to f64's last digits for |x| < 6."""
    x = np.clip(x, -5.9, 5.9)
    term, total = x.copy(), x.copy()
    for n in range(1, 150):
        term = term * (-x * x) / n
        total += term / (2 * n + 1)
    return total * 2 / np.sqrt(np.pi)


def silu(x):
    return x / (1 + np.exp(-x))


def softmax_of(q, k, v, causal):
    """The values, and the sum of their terms' magnitudes."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    if causal:
        scores = np.where(np.tri(len(q), len(k), dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p @ v, p @ np.abs(v)


def convolved(x, w, stride, top, left, upsample, Ho, Wo, seen):
    """x [N,H,W,C], w [K,R,R,C]: [N,Ho,Wo,K], zero outside what is seen of the enlarged x."""
    x = x.repeat(upsample, 1).repeat(upsample, 2)[:, :seen[0], :seen[1]]
    R = w.shape[1]
    padded = np.pad(x, ((0, 0), (top, R + stride), (left, R + stride), (0, 0)))
    y = 0
    for r in range(R):
        for s in range(R):
            part = padded[:, r:r + (Ho - 1) * stride + 1:stride, s:s + (Wo - 1) * stride + 1:stride]
            y = y + part @ w[:, r, s].T
    return y
