#!/usr/bin/env python3
"""Writes cuda/choices.h on standard output, from a sweep of products on a GPU (bench/gpu-visit.sh sweep): choices.py sweep.tsv…"""
import re
import sys

TILES = ('256x128', '256x64', '128x128', '128x64', '64x128', '64x64', '128x16', '128x160')  # gemm_tiles of cuda/gemm.cu
ENOUGH = 0.97  # of the first proposal's time: less is noise


def read(path):
    """{(multiprocessors, M, N, steps): {what: least us}}"""
    ways = {}
    for line in open(path):
        fields = line.rstrip('\n').split('\t')
        if line.startswith('#'):
            sm_count = int(re.search(r'(\d+) multiprocessors', line).group(1))
        elif len(fields) >= 6 and fields[0].isdigit():
            M, N, C, R = map(int, fields[:4])
            way = ways.setdefault((sm_count, M, N, R * R * -(-C // 32)), {})
            way[fields[4]] = min(way.get(fields[4], float('inf')), float(fields[5]))
    return ways


def main(paths):
    ways = {}
    for path in paths:
        for key, way in read(path).items():
            ways.setdefault(key, {}).update(way)
    print('/* The fastest way to each product on each GPU, by bench/choices.py from bench/gpu-visit.sh\'s sweep. */\n'
          '#ifndef CUDA_CHOICES_H\n#define CUDA_CHOICES_H\n\n#include "cuda/gemm.h"\n\n'
          '/* multiprocessors, M, N, steps, {tile, splits, meet}, cuBLASLt\'s proposal */\nstatic const struct gemm_measured choices[] = {')
    for key, way in sorted(ways.items()):
        own = min((us, what) for what, us in way.items() if 'x' in what)
        library = min(((us, what) for what, us in way.items() if what.startswith('library/')), default=(float('inf'), ''))
        first = way.get('library/0', float('inf'))
        if library[0] > ENOUGH * first:
            library = (first, 'library/0')
        tile, splits, meet = re.fullmatch(r'(\w+)/(\d+)(c?)', own[1]).groups()
        proposal = int(library[1].split('/')[1]) if library[0] < own[0] else -1
        print(f'    {{{", ".join(map(str, key))}, {{{TILES.index(tile)}, {splits}, {"true" if meet else "false"}}}, {proposal}}},')
    print('};\n\n#endif')


if __name__ == '__main__':
    main(sys.argv[1:])
