#!/bin/bash
# Measures the CPU device on checkpoints of the true size with random weights (sd15: 4.3 GB, sd21 5.2, sdxl 13.9, made once in $WORK):
#   make bench                                       ours alone
#   make bench PYTHON=/path/to/venv/bin/python       in turn with pinned diffusers (test/reference/requirements.txt), channels_last, too
#   make bench PYTHON=… OPENVINO=/path/to/bin/python …and with OpenVINO 2026.4.1 (both may be one; converted once, some minutes and 10 GB)
# ROUNDS: how often each is run (3). THREADS: of all (2). DTYPES: "fp32 bf16". NEIGHBOURS: so many busy loops run beside them (0).
# MODELS: "sd15", of sd15, sd21 and sdxl, each at its own size or at SIZE; OpenVINO's rows are of the first two.
# A step and a decode of each, medians. Cold: processes from start to end, ours from prompt to PNG with one step; theirs a step and a
# decode alone, a process each, so without text encoder, tokenizer and PNG.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} ROUNDS=${ROUNDS:-3} THREADS=${THREADS:-2} DTYPES=${DTYPES:-fp32 bf16} NEIGHBOURS=${NEIGHBOURS:-0}
MODELS=${MODELS:-sd15} DIFFUSE=$BUILD/diffuse PROMPT='a photo of an astronaut riding a horse on mars'
mkdir -p "$WORK"
for model in $MODELS; do
    [ -f "$WORK/$model/text_encoder/model.safetensors" ] || "$BUILD/make_checkpoint" "$model" "$WORK/$model" test/fixtures/tokenizer/clip
done
rm -f "$WORK"/*.rows
for _ in $(seq "$NEIGHBOURS"); do while :; do :; done & done
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

median() { sort -n | awk '{v[NR] = $1} END {if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# milliseconds of a command, the median of 21 runs
wall() {
    for _ in $(seq 21); do
        start=$(date +%s%N)
        "$@" >/dev/null 2>&1
        echo $(($(date +%s%N) - start))
    done | median | awk '{printf "%.1f", $1 / 1e6}'
}

# clock NAME WHAT COMMAND…: a row "WHAT MS" of a whole process into NAME.rows
clock() {
    local name=$1 what=$2 start
    shift 2
    start=$(date +%s%N)
    "$@" >/dev/null 2>&1
    echo "$what $((($(date +%s%N) - start) / 1000000))" >>"$WORK/$name.rows"
}

# ours DTYPE: rows "step MS", "vae MS", "text MS", "load GB_S", "peak MIB" into ours.rows
ours() {
    local command=("$DIFFUSE" --device cpu -m "$MODEL" --dtype "$1" --threads "$THREADS" -x ddim -s 42 --size "$size" -f)
    clock ours cold "${command[@]}" --steps 1 -o "$WORK/out.png" "$PROMPT"
    "${command[@]}" --steps 4 -v -o "$WORK/out.png" "$PROMPT" 2>"$WORK/log" >/dev/null &
    local pid=$! peak=0 now
    while now=$(awk '/^VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null) && [ -n "$now" ]; do peak=$now; sleep 0.2; done
    wait $pid
    awk -v peak="$peak" '/^load:/ {gsub(/\(/, ""); print "load", $7} /^text:/ {print "text", $2} /^steps:/ {print "step", $4 + 0} /^vae:/ {print "vae", $2}
        END {print "peak", int(peak / 1024)}' "$WORK/log" >>"$WORK/ours.rows"
}

# theirs NAME COMMAND…: the median of its repetitions, in ms, into NAME.rows; WHAT says of what
theirs() {
    local name=$1
    shift
    "$@" --threads "$THREADS" --repetitions 3 2>/dev/null >"$WORK/lines"
    sed -n '/warmup/!s/.*"ms": \([0-9.]*\).*/\1/p' "$WORK/lines" | median | sed "s/^/$WHAT /" >>"$WORK/$name.rows"
    sed -n 's/.*"peak_mib": \([0-9]*\).*/\1/p' "$WORK/lines" | sort -n | tail -n 1 | sed "s/^/peak /" >>"$WORK/$name.rows"
}

# the largest of what a peer's processes took, a step's or a decode's
most() { awk -v what="$2" '$1 == what && $2 + 0 > most {most = $2 + 0} END {if (most) print most}' "$WORK/$1.rows" 2>/dev/null; }

of() { awk -v what="$2" '$1 == what {print $2}' "$WORK/$1.rows" 2>/dev/null | median; }

echo "$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $THREADS threads, $NEIGHBOURS neighbours, load $(cut -d ' ' -f 1 /proc/loadavg), $("$DIFFUSE" --version | head -n 1)"
echo "--version: $(wall "$DIFFUSE" --version) ms"
touch=$(for _ in 1 2 3 4 5; do "$BUILD/first_touch"; sleep 1; done | sort -n | tr '\n' ' ')
echo "first touch of memory: $touch GB/s"

# peer NAME DTYPE: a step and a decode, and a process of each
peer() {
    local step=("${PYTHON:-}" bench/diffusers_step.py) more=(-m "$MODEL" --dtype "$2" -W "$size" -H "$size")
    local vae=("${step[@]}" --vae)
    [ "$1" != channels_last ] || more+=(--channels-last)
    [ "$1" != openvino ] || step=("$OPENVINO" bench/openvino_step.py) vae=("$OPENVINO" bench/openvino_step.py --part vae)
    [ "$model" != sdxl ] || step+=(--xl)
    WHAT=step theirs "$1" "${step[@]}" "${more[@]}"
    WHAT=vae theirs "$1" "${vae[@]}" "${more[@]}"
    clock "$1" cold_step "${step[@]}" "${more[@]}" --threads "$THREADS" --repetitions 0
    clock "$1" cold_vae "${vae[@]}" "${more[@]}" --threads "$THREADS" --repetitions 0
}

measure() {
    local dtype=$1 peers="${PYTHON:+diffusers channels_last}"
    [ "$model" = sdxl ] || peers+=" ${OPENVINO:+openvino}"
    for _ in $(seq "$ROUNDS"); do
        ours "$dtype"
        for name in $peers; do peer "$name" "$dtype"; done
    done
    echo "$model $size, $dtype: step $(of ours step) ms, load $(of ours load) GB/s, text $(of ours text) ms, vae $(of ours vae) ms, cold $(of ours cold) ms," \
        "peak $(of ours peak) MiB (medians of $ROUNDS runs)"
    for name in $peers; do
        echo "$(of ours step) $(of "$name" step) $(of ours vae) $(of "$name" vae) $(of ours cold) $(of "$name" cold_step) $(of "$name" cold_vae) $(of ours peak) $(most "$name" peak)" |
            awk -v d="$model, $dtype" -v p="$name" 'NF == 9 {printf "%s: %s step %.0f ms: ratio ours/theirs %.2f; vae %.0f ms: %.2f; cold %.0f ms: %.2f; peak %.0f MiB: %.2f\n",
                d, p, $2, $1 / $2, $4, $3 / $4, $6 + $7, $5 / ($6 + $7), $9, $8 / $9}'
    done
    rm -f "$WORK"/*.rows
}

for model in $MODELS; do
    MODEL=$WORK/$model
    case $model in sd21) size=${SIZE:-768} ;; sdxl) size=${SIZE:-1024} ;; *) size=${SIZE:-512} ;; esac
    echo "$model: --inspect $(wall "$DIFFUSE" --inspect -m "$MODEL") ms"
    for dtype in $DTYPES; do measure "$dtype"; done
done
