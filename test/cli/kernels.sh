#!/bin/sh
# Tensor-core kernels keep everything in registers: nvcc spilled none of it and gave none of them a stack, for any
# architecture. Read from the build's own logs (bench/kernels.sh). And the norms store 16 bytes at a time.
: "${DIFFUSE:=$PWD/diffuse}"
BUILD=$(dirname "$DIFFUSE")
export BUILD
table=$(bench/kernels.sh --tsv) || {
    code=$?
    echo "$table"
    exit $code
}
echo "$table" | awk -F'\t' '
    BEGIN {n = split("gemm_tile conv2d_narrow conv2d_first flash attend_short attend_wide", tensor, " ")}
    {
        for (i = 1; i <= n; i++) {
            if (index($1, tensor[i] "<") != 1) continue
            seen[i]++
            if ($4 + $5 > 0) {
                printf "%s for %s: %d bytes spilled, %d bytes of stack\n", $1, $2, $4, $5
                failed = 1
            }
        }
    }
    END {
        for (i = 1; i <= n; i++)
            if (!seen[i]) {
                print "no kernel " tensor[i] " in the logs"
                failed = 1
            }
        exit failed
    }' || exit 1

# The norms write 16 bytes at a time. nvcc takes an assignment of a struct apart; what it stores is said in PTX.
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
for kernels in group_norm layer_norm; do
    "$nvcc" -std=c++20 -O3 -I. -arch=compute_80 -ptx -o - cuda/$kernels.cu | awk '
        /\.entry/ {name = $0}
        name ~ /group_norm_(apply|fused)|layer_norm_rows/ {
            seen += /st\.global[a-z.]*\.v4/
            if (/st\.global[a-z.]*\.[ub]16/) narrow++
        }
        END {
            if (!seen) print "no store of 16 bytes was found"
            if (narrow) print narrow " stores of 2 bytes"
            exit !seen || narrow > 0
        }' || exit 1
done
