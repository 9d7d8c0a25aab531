#!/bin/bash
# A step of SDXL's UNet on random weights of the true size, with guidance, ours (part by part) and pinned diffusers' one after the other:
#   PYTHON=/path/to/venv/bin/python bench/xl.sh
# SIDE (1024), DTYPE (fp32), THREADS (2). Processor time beside the clock's, for a machine that is shared; peak memory. 6.9 GB in $WORK.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} SIDE=${SIDE:-1024} DTYPE=${DTYPE:-fp32} THREADS=${THREADS:-2}
mkdir -p "$WORK"
[ -f "$WORK/sdxl/text_encoder_2/model.safetensors" ] || "$BUILD/make_checkpoint" sdxl "$WORK/sdxl" test/fixtures/tokenizer/clip --dtype F16

# Of the process: milliseconds of its threads.
processor() { awk -v hz="$(getconf CLK_TCK)" '{sub(/.*[)] /, ""); print int(($12 + $13) * 1000 / hz)}' "/proc/$1/stat"; }
now() { date +%s%3N; }

# Ours is the second step, from the line that the first one is done to its own; the program is ended then. Theirs is the first, or with REPEAT=1 the second.
echo "load $(cut -d ' ' -f 1-3 /proc/loadavg)"
rm -f "$WORK/events" && mkfifo "$WORK/events"
"$BUILD/diffuse" -m "$WORK/sdxl" --dtype "$DTYPE" --threads "$THREADS" --offload stage --size "$SIDE" -x euler --steps 3 -s 1 -j -o "$WORK/xl.png" -f cat \
    >"$WORK/events" 2>"$WORK/log" &
pid=$! began='' cpu=0
while read -r line; do
    case $line in
    *'"event":"step"'*'"step":1,'*) began=$(now) cpu=$(processor $pid) ;;
    *'"event":"step"'*) break ;;
    esac
done <"$WORK/events"
ours=$(($(now) - began)) ours_cpu=$(($(processor $pid) - cpu)) peak=$(awk '/^VmHWM/ {print int($2 / 1024)}' /proc/$pid/status)
kill $pid && wait $pid || true
echo "step $SIDE $DTYPE: $ours ms, processor $ours_cpu ms, peak $peak MiB"
[ -n "${PYTHON:-}" ] || exit 0
echo "load $(cut -d ' ' -f 1-3 /proc/loadavg)"
"$PYTHON" bench/diffusers_step.py --xl --dtype "$DTYPE" --threads "$THREADS" --repetitions "${REPEAT:-0}" -W "$SIDE" -H "$SIDE" 2>/dev/null | tee "$WORK/theirs" |
    sed -n 's/.*"ms": \([0-9.]*\), "cpu_ms": \([0-9.]*\), "peak_mib": \([0-9]*\).*/diffusers: \1 ms, processor \2 ms, peak \3 MiB/p'
awk -F'"cpu_ms": ' -v ours="$ours_cpu" 'NF > 1 {printf "ratio ours/theirs, processor: %.2f\n", ours / ($2 + 0)}' "$WORK/theirs"
