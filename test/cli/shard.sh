#!/bin/sh
# --shard: which jobs are this process's, told or read from the engine's variables.
. "$(dirname "$0")/common"
unset SLURM_ARRAY_TASK_ID SLURM_PROCID SLURM_STEP_ID JOB_COMPLETION_INDEX OMPI_COMM_WORLD_RANK PARALLEL_SEQ
seq 1 7 | sed 's/^/cat /' >jobs.txt

# shard ARGUMENT VARIABLE=VALUE...: what it would draw.
shard() {
    argument=$1
    shift
    what="--shard $argument $*"
    env "$@" "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -b jobs.txt -s 1 -o box/ --shard "$argument" -v >out 2>err </dev/null
    code=$?
}

# takes INDEX COUNT FROM: these lines, and it is said where that is known from.
takes() {
    expect_code 0
    for i in 1 2 3 4 5 6 7; do [ $(((i - 1) % $2)) -ne "$1" ] || echo box/0000000$i.png; done >expected
    expect_same expected out
    [ "$(head -n 1 err)" = "shard: $1 of $2$3" ] || fail "expected 'shard: $1 of $2$3'"
    rm -f box/*
}

refused() {
    expect_code 2
    printf '%s\n' "$@" >expected
    expect_same expected err
}

shard 0/1
takes 0 1 ''
shard 1/3
takes 1 3 ''
shard 2/3
takes 2 3 ''
shard auto SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=4 SLURM_PROCID=0 SLURM_NTASKS=1
takes 1 4 ', from SLURM_ARRAY_TASK_ID'
shard auto SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_STEP=4 SLURM_ARRAY_TASK_COUNT=3
takes 2 3 ', from SLURM_ARRAY_TASK_ID'
shard auto/5 SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=1 # resubmitted alone
takes 3 5 ', from SLURM_ARRAY_TASK_ID'
shard auto SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2
takes 1 2 ', from SLURM_PROCID'
shard auto SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1
takes 1 2 ', from SLURM_ARRAY_TASK_ID'
shard auto SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=0 SLURM_ARRAY_TASK_COUNT=1 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2
takes 1 2 ', from SLURM_PROCID'
shard auto/4 JOB_COMPLETION_INDEX=2
takes 2 4 ', from JOB_COMPLETION_INDEX'
shard auto OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2
takes 1 2 ', from OMPI_COMM_WORLD_RANK'
shard auto/2 PARALLEL_SEQ=2
takes 1 2 ', from PARALLEL_SEQ'

shard auto
refused 'diffuse: --shard auto: none of SLURM_ARRAY_TASK_ID, SLURM_PROCID, JOB_COMPLETION_INDEX, OMPI_COMM_WORLD_RANK and PARALLEL_SEQ is set'
shard auto SLURM_PROCID=0 SLURM_NTASKS=4 # a batch script, not one of srun's tasks
refused "diffuse: --shard auto: SLURM_PROCID is set and SLURM_STEP_ID is not: this is none of a step's tasks" \
    'hint: srun starts them; I/N says which is meant'
shard auto JOB_COMPLETION_INDEX=2
refused 'diffuse: --shard auto: JOB_COMPLETION_INDEX tells no number of shards' 'hint: auto/N'
shard auto/2 JOB_COMPLETION_INDEX=2
refused 'diffuse: --shard: expected a shard from 0 to 1, found 2, from JOB_COMPLETION_INDEX'
shard auto OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2
refused 'diffuse: --shard auto: SLURM_PROCID says 0 of 2 and OMPI_COMM_WORLD_RANK 1 of 2' 'hint: I/N says which is meant'
shard auto OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2 # mpirun's are srun's
takes 1 2 ', from SLURM_PROCID'
shard auto SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=3
refused 'diffuse: --shard auto: the array is a list of 3 tasks from 0 to 5: its places are not known' \
    'hint: auto/N takes the task'\''s number as it is'
shard auto OMPI_COMM_WORLD_RANK=x OMPI_COMM_WORLD_SIZE=2
refused "diffuse: OMPI_COMM_WORLD_RANK: expected a whole number, found 'x'"
for text in 3 a/3 1/ /3 1/0 -1/3 auto/ auto/0 ''; do
    shard "$text"
    refused "diffuse: --shard: expected I/N, auto or auto/N, found '$text'"
done
shard 3/3
refused 'diffuse: --shard: expected a shard from 0 to 2, found 3'
draw x --shard 0/1 -o box/a.png
expect_error 2 'diffuse: --shard: expected --batch with it, found none'
draw x --halt now -o box/a.png
expect_error 2 'diffuse: --halt: expected --batch with it, found none'

# A line that is wrong is found by every shard, wherever it belongs; what is another's files' trouble is not ours.
printf '%s\n' '{"prompt":"a"}' '{"prompt":"a","stpes":1}' >wrong.jsonl
run -m "$MODEL" -b wrong.jsonl -s 1 -o box/ --shard 0/2
expect_code 65
printf '%s\n' '{"prompt":"a"}' '{"prompt":"a","image":"nowhere.png"}' >wrong.jsonl
run -m "$MODEL" --steps 1 -b wrong.jsonl -s 1 -o box/ --shard 0/2
expect_code 0
run -m "$MODEL" --steps 1 -b wrong.jsonl -s 1 -o box/ --shard 1/2
expect_code 66
finish
