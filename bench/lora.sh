#!/bin/sh
# What a LoRA of rank 32 for all modules of SD 1.5 adds to loading, and what another weight of it costs between two jobs, in processor time
# beside the clock's, for a machine that is shared; the runs in turn:
#   bench/lora.sh
# ROUNDS: of all (3), THREADS (2). Medians. It takes 4.3 GB of disk under WORK (build/bench), which stay.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} ROUNDS=${ROUNDS:-3} THREADS=${THREADS:-2}
model=$WORK/sd15-lora
mkdir -p "$WORK"
[ -f "$model/lora.safetensors" ] || "$BUILD/make_checkpoint" sd15 "$model" test/fixtures/tokenizer/clip --lora 32
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT
plain='{"prompt":"x"}' half='{"prompt":"x","lora":"'$model'/lora.safetensors:0.5"}' other='{"prompt":"x","lora":"'$model'/lora.safetensors:0.7"}'

# measure NAME JOB…: seconds of processor time and of the clock, appended to the name's file
measure() {
    name=$1
    shift
    printf '%s\n' "$@" >"$log.jobs"
    start=$(date +%s%N)
    sh -c '"$0" --device cpu "$@" >/dev/null && times' "$BUILD/diffuse" -q -f -m "$model" --threads "$THREADS" -s 1 --steps 1 --size 64x64 \
        --metadata none -b "$log.jobs" -o "$log.{id}.png" >"$log.times"
    end=$(date +%s%N)
    sed -n 's/m/ /g; s/s//g; 2p' "$log.times" | awk -v wall=$((end - start)) '{print $1 * 60 + $2 + $3 * 60 + $4, wall / 1e9}' >>"$log.$name"
}
for _ in $(seq "$ROUNDS"); do
    measure plain "$plain"
    measure lora "$half"
    measure twice "$half" "$half"
    measure switched "$half" "$other"
done
# median NAME COLUMN
median() { sort -n -k "$2" "$log.$1" | awk -v c="$2" '{v[NR] = $c} END {print v[int((NR + 1) / 2)]}'; }
for column in 1 2; do
    echo "$(median plain $column) $(median lora $column) $(median twice $column) $(median switched $column)" |
        awk -v what="$([ $column = 1 ] && echo 'processor time' || echo 'clock')" '{
            printf "%s: loading and one picture %.2f s, with the LoRA %.2f s: %.0f %% more; another weight %.2f s\n", what, $1, $2,
                ($2 / $1 - 1) * 100, $4 - $3}'
done
