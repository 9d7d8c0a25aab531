#!/bin/sh
# What examples/ ask of the program: parallel.sh under GNU parallel, k8s-job.yaml's own command once for each index. slurm.sh has Slurm's.
. "$(dirname "$0")/common"
examples=${MODEL%/test/*}/examples
unset SLURM_ARRAY_TASK_ID SLURM_PROCID SLURM_STEP_ID PARALLEL_SEQ OMPI_COMM_WORLD_RANK
seq 1 12 | sed 's/.*/{"prompt":"a cat, number &","seed":&}/' >jobs.jsonl
ask="-m $MODEL --device cpu --threads 1 --steps 1 -q -b jobs.jsonl -o box/"
# shellcheck disable=SC2046
all() { expect_box $(seq -f '%08g.png' 12); }

what='examples/k8s-job.yaml'
sed -n '/^ *command:/,/^ *[a-z]*:$/s/^ *- //p' "$examples/k8s-job.yaml" >command
[ "$(head -n 1 command)" = diffuse ] || fail "the command is $(cat command)"
grep -q '^  completions: 8$' "$examples/k8s-job.yaml" || fail 'not eight'
sed '1d; s#/data/out/#box/#; s#/data/model#'"$MODEL"'#; s#/data/jobs.jsonl#jobs.jsonl#' command >arguments
# pod INDEX
pod() { JOB_COMPLETION_INDEX=$1 xargs -a arguments "$DIFFUSE" --device cpu --threads 1 --steps 1 -q >>out 2>err || fail "index $1: exit code $?"; }
: >out
for index in 0 1 2 3 4 5 6 7; do pod $index; done
all
[ "$(sort -u out | wc -l) $(wc -l <out)" = '12 12' ] || fail "told of: $(cat out)"
rm box/00000004.png
pod 3 # its index is tried again
all
rm box/*

if command -v parallel >/dev/null; then
    what='examples/parallel.sh'
    # shellcheck disable=SC2086
    "$examples/parallel.sh" 3 $ask -v 2>err >out || fail "exit code $?"
    all
    [ "$(sort -u out | wc -l) $(wc -l <out)" = '12 12' ] || fail "told of: $(cat out)"
    rm box/00000005.png
    # shellcheck disable=SC2086
    "$examples/parallel.sh" 3 $ask 2>err >out || fail "exit code $?"
    all
    echo '{"prompt":"a","clip_skip":99}' >>jobs.jsonl
    # shellcheck disable=SC2086
    "$examples/parallel.sh" 3 $ask 2>err >out
    code=$?
    expect_code 1
else
    echo 'parallel is not here: examples/parallel.sh did not run'
fi
finish
