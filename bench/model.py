#!/usr/bin/env python3
"""What a step ought to take on an H100 or H200, layer by layer, from the constants below: a prediction, nothing of it measured. It is wrong
wherever a constant is; the visit's ceilings and sweep (bench/gpu-visit.sh) say which.

    bench/model.py [h100|h200]            a table of kinds of layers in ms
    bench/model.py [h100|h200] --layers   every distinct layer: how often, shape, us
    --sweep FILE                          measured products (sweep.tsv) in place of the model's
    --clusters CLOCKS                     as if the splits of a tile could meet in a cluster, the barrier and a first read of L2 in so many clocks
    --shapes                              every distinct layer as a row of test/gpu_shapes.h

Shapes are what the program launches: FLOP and nodes are checked against what bench/counts.sh counted."""
import math
import sys
from collections import defaultdict

# ---- constants -----------------------------------------------------------------------------------------------------------
CLOCK = 1.7e9          # Hz under load
SMS = 132
MMA_CLOCKS = 6.36      # between two mma.sync m16n8k16 of a tensor core; wgmma: 4
WGMMA_SHARE = 0.86     # of the peak, a good kernel of cuBLASLt
L2_BYTES = 24          # a clock and SM
DRAM = {'h100': 3.0e12, 'h200': 4.3e12}
NODE = 1.3e-6          # s between two dependent nodes of the graph
EARLY = 0.6e-6         # the same where the second begins while the first ends, as ours do and cuBLASLt's do not: a guess
STEP_CLOCKS, BLOCK_CLOCKS, REDUCE_CLOCKS = 220, 1500, 3500  # as in cuda/gemm.cu
GPCS = 18, 18, 18, 16, 16, 16, 16, 14  # SMs among which a cluster lies: 15 clusters of 8, as one H100 was seen to hold
MUFU_CLOCKS = 8        # a warp's exponentials, of one instruction
EXPONENTIALS = 64      # of a warp's 32 queries and 64 keys, a lane's scores; factors are left out where no score rises by 2^8
IN_TURN = 0.89         # of the rate at which products and then exponentials would go: FlashAttention-2, of mma.sync too, has 388 TFLOP/s at D = 128
STREAM = 2.6e12        # B/s of kernels that only pass over what L2 holds
L2 = 50e6

# rows, columns, blocks on an SM: gemm_tiles of cuda/gemm.cu
TILES = ((256, 128, 1), (256, 64, 2), (128, 128, 2), (128, 64, 4), (64, 128, 4), (64, 64, 4), (128, 16, 4), (128, 160, 2))

# FLOP, nodes and cuBLASLt's products that bench/counts.sh counts; None: not of a graph
COUNTED = {'sd15': (1.526e12, 405, 116), 'sd21': (4.123e12, 412, 126), 'ddpm-cat': (0.471e12, 263, 27)}
GOALS = {'sd15': 6.3, 'sd21': 14.4, 'ddpm-cat': 2.6, 'vae 512': 6.6}


def ceil(a, b):
    return -(-a // b)


# ---- layers: (kind, sizes…) ----------------------------------------------------------------------------------------------
class Net:
    """Collects what a call launches; n images at once."""

    def __init__(self, n):
        self.n, self.layers, self.enlargements = n, [], []

    def add(self, *layer):
        self.layers.append(layer)

    def conv(self, side, C, K, R=3):
        self.add('conv', self.n * side * side, K, C, R)

    def enlarged(self, side, C):
        self.conv(side, C, C, 2)  # by phases
        self.enlargements.append((self.n, side // 2, C))

    def linear(self, rows, C, K):
        self.add('linear', rows, K, C, 1)

    def norm(self, side, C):
        self.add('group norm', self.n, side * side, C)

    def resnet(self, side, C, K):
        self.norm(side, C)
        self.conv(side, C, K)
        self.norm(side, K)
        self.conv(side, K, K)
        if C != K:
            self.linear(self.n * side * side, C, K)

    def attention(self, side, keys, heads, D):
        self.add('attention', self.n * heads, side * side, keys, D)

    def transformer(self, side, C, heads, depth):
        rows = self.n * side * side
        self.norm(side, C)
        self.linear(rows, C, C)
        for _ in range(depth):
            self.add('layer norm', rows, C)
            self.linear(rows, C, 3 * C)
            self.attention(side, side * side, heads, C // heads)
            self.linear(rows, C, C)
            self.add('layer norm', rows, C)
            self.linear(rows, C, C)
            self.attention(side, 77, heads, C // heads)
            self.linear(rows, C, C)
            self.add('layer norm', rows, C)
            self.add('GEGLU', rows, 8 * C, C, 1)
            self.linear(rows, 4 * C, C)
        self.linear(rows, C, C)

    def simple_attention(self, side, C, heads):
        rows = self.n * side * side
        self.norm(side, C)
        self.linear(rows, C, 3 * C)
        self.attention(side, side * side, heads, C // heads)
        self.linear(rows, C, C)


def unet(n, side, channels, pixel, attend):
    """attend(net, side, level, middle) adds what follows a resnet."""
    net = Net(n)
    net.conv(side, pixel, channels[0])
    skips, C, last = [channels[0]], channels[0], len(channels) - 1
    for i, K in enumerate(channels):
        for _ in range(2):
            net.resnet(side, C, K)
            attend(net, side, i, False)
            C = K
            skips.append(C)
        if i < last:
            side //= 2
            net.conv(side, C, C)
            skips.append(C)
    net.resnet(side, C, C)
    attend(net, side, last, True)
    net.resnet(side, C, C)
    for i in range(last, -1, -1):
        for _ in range(3):
            net.resnet(side, C + skips.pop(), channels[i])
            C = channels[i]
            attend(net, side, i, False)
        if i:
            side *= 2
            net.enlarged(side, C)
    net.norm(side, C)
    net.conv(side, C, pixel)
    for _ in range(4):  # next row, the model's input, the time's activation, the scheduler's step
        net.add('rest')
    return net


def stable_diffusion(side, channels, depths, heads):
    def attend(net, side, level, middle):
        depth = depths[level] or (middle and max(depths[-1], depths[-2]))
        if depth:
            net.transformer(side, channels[level], heads(channels[level]), depth)

    return unet(2, side, channels, 4, attend)


def ddpm_cat():
    channels = (128, 128, 256, 256, 512, 512)
    return unet(1, 256, channels, 3, lambda net, side, level, middle: (level == 4 or middle) and net.simple_attention(side, channels[level], 1))


def vae(side):
    net, C = Net(1), 512
    net.conv(side, 4, C)
    net.resnet(side, C, C)
    net.simple_attention(side, C, 1)
    net.resnet(side, C, C)
    for i, K in enumerate((512, 512, 256, 128)):
        for _ in range(3):
            net.resnet(side, C, K)
            C = K
        if i < 3:
            side *= 2
            net.enlarged(side, C)
    net.norm(side, C)
    net.conv(side, C, 3)
    return net


def models():
    return {'sd15': stable_diffusion(64, (320, 640, 1280, 1280), (1, 1, 1, 0), lambda C: 8),
            'sd21': stable_diffusion(96, (320, 640, 1280, 1280), (1, 1, 1, 0), lambda C: C // 64),
            'sdxl': stable_diffusion(128, (320, 640, 1280), (0, 2, 10), lambda C: C // 64),
            'ddpm-cat': ddpm_cat(), 'vae 512': vae(64), 'vae 768': vae(96), 'vae 1024': vae(128)}


# ---- times ---------------------------------------------------------------------------------------------------------------
def flop(layer):
    kind, *sizes = layer
    if kind in ('conv', 'linear', 'GEGLU'):
        M, N, C, R = sizes
        return 2 * M * N * C * R * R
    if kind == 'attention':
        heads, queries, keys, D = sizes
        return 4 * heads * queries * keys * D
    return 0


def own_product(M, N, steps, meeting=0):
    """(clocks, nodes) as gemm_choose of cuda/gemm.cu reckons. Where meeting, the blocks of one tile may be a cluster, at most 8: each writes its
    sums, meets the others in so many clocks and reads its share of all of theirs."""
    best = (math.inf, 1)
    for m, n, at_once in TILES:
        step = max(m * n * 32 / (4 * 2048 / MMA_CLOCKS), (m + n) * 64 / L2_BYTES)
        for splits in range(1, 33):
            if splits * 4 > steps + 3:
                break
            for cluster in {False, meeting > 0 and 1 < splits <= 8}:
                sms = sum(gpc * at_once // splits * splits for gpc in GPCS) / at_once if cluster else SMS
                blocks = math.ceil(ceil(M, m) * ceil(N, n) * splits / sms)
                waves = ceil(blocks, at_once)
                clocks = ceil(steps, splits) * max(blocks * step, waves * STEP_CLOCKS) + waves * BLOCK_CLOCKS
                if cluster:
                    clocks += blocks * 8 * m * n / L2_BYTES + waves * meeting
                elif splits > 1:
                    clocks += REDUCE_CLOCKS + 8 * splits * M * N / (SMS * L2_BYTES)
                best = min(best, (clocks, 1 + (splits > 1 and not cluster)))
    return best


def narrow_convolution(M, C):
    """Clocks: cuda/conv2d_narrow.cu, 8x16 pixels a block, 180 of x and 72 rows of weights for every 32 channels."""
    blocks = ceil(ceil(M, 128), SMS)
    waves = ceil(blocks, 6)
    step = max((180 + 72) * 64 / L2_BYTES, 36 * MMA_CLOCKS)
    return ceil(C, 32) * max(blocks * step, waves * 2 * STEP_CLOCKS) + waves * BLOCK_CLOCKS


def first_convolution(M, N, C):
    """Clocks: cuda/conv2d_first.cu, 8x16 pixels and 64 columns a block: 180 pixels of x and 9 taps of weights come, 16 KB of y go."""
    blocks = ceil(M, 128) * ceil(N, 64)
    each = max((180 * C + 64 * 9 * C + 128 * min(N, 64)) * 2 / L2_BYTES, 8 * 8 * 3 * MMA_CLOCKS / 4)
    at_once = ceil(blocks, SMS)
    return at_once * each + ceil(at_once, 4) * BLOCK_CLOCKS


def library_product(M, N, C):
    best = math.inf
    for m, n in ((128, 256), (128, 128), (64, 256), (128, 64)):
        tile = max(m * n * C / 2048 / WGMMA_SHARE, (m + n) * 2 * C / (1.5 * L2_BYTES))  # multicast to two
        best = min(best, ceil(ceil(M, m) * ceil(N, n), SMS) * tile)
    return best + BLOCK_CLOCKS


def fused(n, pixels, C):
    """A block holds its span of an image: 512 threads, 16 pixels each of 16 bytes."""
    unit = math.lcm(C // 32, 8) // 8
    return pixels <= 16 * (512 // unit)


def on_library(layer):
    return layer[0] == 'linear' and layer[1] >= 256


def time(layer, dram, sweep, meeting=0):
    """(seconds, nodes)"""
    kind, *sizes = layer
    if kind in ('conv', 'linear', 'GEGLU'):
        M, N, C, R = sizes
        if (M, N, C, R) in sweep:
            return sweep[M, N, C, R] + (NODE if on_library(layer) else EARLY), 1
        weights = 2 * N * C * R * R
        moved = weights + (2 * M * (N // 2 if kind == 'GEGLU' else N) + 2 * M * C if 2 * M * (N + C) > L2 else 0)
        if on_library(layer):
            return max(library_product(M, N, C) / CLOCK, moved / dram) + NODE, 1
        if R == 3 and C <= 4:
            clocks, nodes = first_convolution(M, N, C), 1
        elif R == 3 and N <= 8:
            clocks, nodes = narrow_convolution(M, C), 1
        else:
            clocks, nodes = own_product(M, N, R * R * ceil(C, 32), meeting)
        return max(clocks / CLOCK, moved / dram) + EARLY, nodes
    if kind == 'attention':
        heads, queries, keys, D = sizes
        if keys <= 96:
            return 4 * heads * queries * D / STREAM + EARLY + 2e-6, 1
        tiles = heads * ceil(queries, 32) * ceil(keys, 64)
        width = ceil(D, 16) * 16
        mma = (4 * ceil(D, 16) * 4 + D // 8 * 8) * MMA_CLOCKS if D <= 256 else 4 * 2 * width / 16 * 8 * MMA_CLOCKS
        exponentials = EXPONENTIALS + (4 if D > 256 else 0)  # attention_wide rescales at every tile
        clocks = (mma + exponentials * MUFU_CLOCKS) / IN_TURN
        return ceil(tiles, 4 * SMS) * clocks / CLOCK + EARLY + 2e-6, 1
    if kind == 'group norm':
        n, pixels, C = sizes
        size, once = 2 * n * pixels * C, fused(n, pixels, C)
        rate = STREAM if 2 * size < L2 else dram
        return size * (2 if once else 3) / rate + (1 if once else 2) * (EARLY + 1e-6), 1 if once else 2
    if kind == 'layer norm':
        rows, C = sizes
        return 4 * rows * C / STREAM + EARLY + 0.5e-6, 1
    return EARLY + 1e-6, 1


def read_sweep(path):
    """The least us of each M, N, C, R: columns M N C R what us of bench/gpu-visit.sh sweep."""
    best = {}
    for line in open(path):
        fields = line.split()
        if len(fields) >= 6 and fields[0].isdigit():
            shape = tuple(map(int, fields[:4]))
            best[shape] = min(best.get(shape, math.inf), float(fields[5]) * 1e-6)
    return best


def check(name, net):
    """The layers are those that the program launches."""
    if name in COUNTED:
        wanted, nodes, products = COUNTED[name]
        counted = sum(map(flop, net.layers))
        if abs(counted / wanted - 1) > 0.01 or sum(map(on_library, net.layers)) != products:
            sys.exit(f'{name}: {counted / 1e12:.3f} TFLOP and {sum(map(on_library, net.layers))} products of cuBLASLt; '
                     f'bench/counts.sh counts {wanted / 1e12:.3f} and {products}')


def shapes():
    """Rows {kind, n, side, C, K, more} of test/test_cuda_shapes.c."""
    rows = {}
    for name, net in models().items():
        if name == 'vae 1024':
            continue
        for kind, *sizes in net.layers:
            if kind == 'conv':
                M, K, C, R = sizes
                if R == 2:
                    continue
                row = f'CONV, {net.n}, {math.isqrt(M // net.n)}, {C}, {K}, 1'
            elif kind in ('linear', 'GEGLU'):
                M, K, C, _ = sizes
                row = f'{kind.upper()}, {M}, 0, {C}, {K // 2 if kind == "GEGLU" else K}, 0'
            elif kind == 'attention':
                heads, queries, keys, D = sizes
                row = f'ATTENTION, {net.n}, {math.isqrt(queries)}, {heads // net.n}, {D}, {0 if keys == queries else keys}'
            elif kind == 'group norm':
                row = f'GROUP_NORM, {sizes[0]}, {math.isqrt(sizes[1])}, {sizes[2]}, 0, 0'
            elif kind == 'layer norm':
                row = f'LAYER_NORM, {sizes[0]}, 0, {sizes[1]}, 0, 0'
            else:
                continue
            rows.setdefault(row)
        for n, side, C in net.enlargements:
            rows.setdefault(f'CONV, {n}, {side}, {C}, {C}, 2')
    return [f'{{{row}}},' for row in sorted(rows)]


def main(arguments):
    if '--shapes' in arguments:
        print('/* The distinct layers of SD 1.5, 2.1, SDXL, ddpm-cat and the VAE at 512 and 768 pixels: bench/model.py --shapes. */')
        print('\n'.join(shapes()))
        return
    gpu = next((a for a in arguments if a in DRAM), 'h100')
    sweep = read_sweep(arguments[arguments.index('--sweep') + 1]) if '--sweep' in arguments else {}
    meeting = float(arguments[arguments.index('--clusters') + 1]) if '--clusters' in arguments else 0
    kinds = ('conv', 'linear', 'GEGLU', 'attention', 'group norm', 'layer norm', 'rest')
    print(f'{gpu}, predicted, {"products measured" if sweep else "not measured"}\n\n| ms | ' + ' | '.join(kinds) + ' | **sum** | goal | nodes | TFLOP |\n|' + '---|' * (len(kinds) + 5))
    for name, net in models().items():
        check(name, net)
        total, nodes, layers = defaultdict(float), 0, defaultdict(int)
        for layer in net.layers:
            seconds, n = time(layer, DRAM[gpu], sweep, meeting)
            total[layer[0]] += seconds * 1e3
            nodes += n
            layers[layer] += 1
        print(f'| {name} | ' + ' | '.join(f'{total[k]:.2f}' for k in kinds) + f' | **{sum(total.values()):.1f}** | {GOALS.get(name, "")} | '
              f'{nodes} | {sum(map(flop, net.layers)) / 1e12:.3f} |')
        if '--layers' in arguments:
            for layer, n in sorted(layers.items(), key=lambda item: -item[1] * time(item[0], DRAM[gpu], sweep, meeting)[0]):
                seconds, _ = time(layer, DRAM[gpu], sweep, meeting)
                print(f'    {n:3} x {layer[0]} {"x".join(map(str, layer[1:]))}: {seconds * 1e6:.1f} us'
                      f'{f", {flop(layer) / seconds / 1e12:.0f} TFLOP/s" if flop(layer) else ""}')


if __name__ == '__main__':
    main(sys.argv[1:])
