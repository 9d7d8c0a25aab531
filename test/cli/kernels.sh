#!/bin/sh
# Tensor-core kernels keep everything in registers: nvcc spilled none of it and gave none of them a stack, for any
# architecture. Read from the build's own logs (bench/kernels.sh).
: "${DIFFUSE:=$PWD/diffuse}"
BUILD=$(dirname "$DIFFUSE")
export BUILD
table=$(bench/kernels.sh --tsv) || {
    code=$?
    echo "$table"
    exit $code
}
echo "$table" | awk -F'\t' '
    BEGIN {n = split("gemm_tile flash attend_short attend_wide", tensor, " ")}
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
    }'
