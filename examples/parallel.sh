#!/bin/sh
# A batch on one machine with several GPUs, a process for each, by GNU parallel:
#     parallel.sh GPUS -m MODEL -b jobs.jsonl -o out/
# Whatever ended it, the same command goes on. Exit code: how many of the processes failed.
gpus=${1:?how many GPUs}
shift
export DIFFUSE="${DIFFUSE:-diffuse}"
seq "$gpus" | parallel --jobs "$gpus" --line-buffer --quote sh -c \
    'export CUDA_VISIBLE_DEVICES=$(($1 - 1)); shift; exec "$DIFFUSE" "$@"' - {%} --mkdirs --resume --shard "auto/$gpus" "$@"
