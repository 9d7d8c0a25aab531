"""Which lane of a warp holds which element in the matrix instructions, as the vendor publishes it: CuTe's traits (cutlass,
include/cute/atom/mma_traits_sm80.hpp, SM80_16x8x16_F32F16F16F32_TN, and copy_traits_sm75.hpp, SM75_U32x4_LDSM_N and SM75_U16x8_LDSM_T),
checked below against the formulas of the PTX ISA ("Matrix fragments for mma.m16n8k16", "Warp-level matrix load instruction"). Nothing here
comes from the kernels or from their emulation."""
import numpy as np


def layout(shape, stride):
    """CuTe's layout (threads, values) -> offset: both modes run through their sub-modes, the first fastest."""

    def mode(sizes, steps):
        offsets = np.zeros(1, int)
        for size, step in zip(sizes, steps):
            offsets = (np.arange(size)[:, None] * step + offsets).ravel()
        return offsets

    return mode(shape[0], stride[0])[:, None] + mode(shape[1], stride[1])


# offset = m + 16 k, n + 8 k, m + 16 n
A = layout(((4, 8), (2, 2, 2)), ((32, 1), (16, 8, 128)))
B = layout(((4, 8), (2, 2)), ((16, 1), (8, 64)))
C = layout(((4, 8), (2, 2)), ((32, 1), (16, 8)))
# bits of matrices that lie one after the other, rows of 128 bits; per register the two values of 16 bits
LOADED = layout(((32,), (2, 4)), ((32,), (16, 1024))) // 16
LOADED_TRANS = layout(((4, 8), (2, 4)), ((256, 16), (128, 1024))) // 16


def check():
    """The two sources agree."""
    for lane in range(32):
        group, thread = lane // 4, lane % 4
        for i in range(8):
            row = group + (8 if i in (2, 3, 6, 7) else 0)
            column = thread * 2 + i % 2 + (8 if i >= 4 else 0)
            assert A[lane, i] == row + 16 * column
            assert LOADED[lane, i] == i // 2 * 64 + group * 8 + thread * 2 + i % 2
            assert LOADED_TRANS[lane, i] == i // 2 * 64 + (thread * 2 + i % 2) * 8 + group
        for i in range(4):
            assert B[lane, i] == group + 8 * (thread * 2 + i % 2 + (8 if i >= 2 else 0))
            assert C[lane, i] == group + (8 if i >= 2 else 0) + 16 * (thread * 2 + i % 2)


def inverse(lanes):
    """Where in [32 lanes, values] the element of each offset lies."""
    place = np.empty(lanes.size, int)
    place[lanes.ravel()] = np.arange(lanes.size)
    return place


A_PLACE, B_PLACE = inverse(A), inverse(B)
check()


def mma(a, b, c):
    """a [W,32,8], b [W,32,4], c [W,32,4], all f32: d of m16n8k16, as lanes hold it."""
    warps = len(a)
    left = a.reshape(warps, 256)[:, A_PLACE].reshape(warps, 16, 16)  # [k, m]
    right = b.reshape(warps, 128)[:, B_PLACE].reshape(warps, 16, 8)  # [k, n]
    product = np.einsum('wkm,wkn->wnm', left, right, optimize=True).reshape(warps, 128)
    return product[:, C] + c


def ldmatrix(rows, trans):
    """rows [W, matrices, 8, 8] of 16 bits: [W, 32, 2 matrices] values of 16 bits."""
    warps, matrices = rows.shape[:2]
    place = (LOADED_TRANS if trans else LOADED)[:, : 2 * matrices]
    return rows.reshape(warps, matrices * 64)[:, place]
