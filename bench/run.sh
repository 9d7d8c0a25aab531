#!/bin/bash
# Measures the CPU device on an SD 1.5 checkpoint of the true size with random weights (4.3 GB, made once in $WORK):
#   make bench                                       ours alone
#   make bench PYTHON=/path/to/venv/bin/python       in turn with pinned diffusers (test/reference/requirements.txt), channels_last, too
#   make bench PYTHON=… OPENVINO=/path/to/bin/python …and with OpenVINO 2026.4.1 (both may be one; converted once, some minutes and 10 GB)
# ROUNDS: how often each is run (3). THREADS: of all (2). DTYPES: "fp32 bf16". NEIGHBOURS: so many busy loops run beside them (0).
# A step and a decode of each, medians.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} ROUNDS=${ROUNDS:-3} THREADS=${THREADS:-2} DTYPES=${DTYPES:-fp32 bf16} NEIGHBOURS=${NEIGHBOURS:-0}
DIFFUSE=$BUILD/diffuse MODEL=$WORK/sd15 PROMPT='a photo of an astronaut riding a horse on mars'
mkdir -p "$WORK"
[ -f "$MODEL/text_encoder/model.safetensors" ] || "$BUILD/make_checkpoint" sd15 "$MODEL" test/fixtures/tokenizer/clip
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

# ours DTYPE: rows "step MS", "vae MS", "text MS", "load GB_S", "peak MIB" into ours.rows
ours() {
    "$DIFFUSE" --device cpu -m "$MODEL" --dtype "$1" --threads "$THREADS" -x ddim --steps 4 -s 42 -v -f -o "$WORK/out.png" "$PROMPT" 2>"$WORK/log" >/dev/null &
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

of() { awk -v what="$2" '$1 == what {print $2}' "$WORK/$1.rows" 2>/dev/null | median; }

echo "$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $THREADS threads, $NEIGHBOURS neighbours, load $(cut -d ' ' -f 1 /proc/loadavg), $("$DIFFUSE" --version | head -n 1)"
echo "--version: $(wall "$DIFFUSE" --version) ms"
echo "--inspect: $(wall "$DIFFUSE" --inspect -m "$MODEL") ms"
touch=$(for _ in 1 2 3 4 5; do "$BUILD/first_touch"; sleep 1; done | sort -n | tr '\n' ' ')
echo "first touch of memory: $touch GB/s"
for dtype in $DTYPES; do
    for _ in $(seq "$ROUNDS"); do
        ours "$dtype"
        for peer in ${PYTHON:+diffusers channels_last} ${OPENVINO:+openvino}; do
            step=("${PYTHON:-}" bench/diffusers_step.py) vae=("${PYTHON:-}" bench/diffusers_step.py --vae) more=()
            [ $peer != channels_last ] || more=(--channels-last)
            [ $peer != openvino ] || step=("$OPENVINO" bench/openvino_step.py) vae=("$OPENVINO" bench/openvino_step.py --part vae)
            WHAT=step theirs $peer "${step[@]}" -m "$MODEL" --dtype "$dtype" "${more[@]}"
            WHAT=vae theirs $peer "${vae[@]}" -m "$MODEL" --dtype "$dtype" "${more[@]}"
        done
    done
    echo "$dtype: step $(of ours step) ms, load $(of ours load) GB/s, text $(of ours text) ms, vae $(of ours vae) ms, peak $(of ours peak) MiB (medians of $ROUNDS runs)"
    for peer in ${PYTHON:+diffusers channels_last} ${OPENVINO:+openvino}; do
        echo "$(of ours step) $(of $peer step) $(of ours vae) $(of $peer vae) $(of $peer peak)" |
            awk -v d="$dtype" -v p=$peer '{printf "%s: %s step %.0f ms: ratio ours/theirs %.2f; vae %.0f ms: %.2f; peak %.0f MiB\n", d, p, $2, $1 / $2, $4, $3 / $4, $5}'
    done
    rm -f "$WORK"/*.rows
done
