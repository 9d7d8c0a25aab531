#!/bin/sh
# Measures the CPU device on an SD 1.5 checkpoint of the true size with random weights (4.3 GB, made once in $WORK):
#   make bench                                       ours alone
#   make bench PYTHON=/path/to/venv/bin/python       interleaved with pinned diffusers (test/reference/requirements.txt)
# ROUNDS: how often each is run (3). THREADS: of both (2). DTYPES: "fp32 bf16".
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} ROUNDS=${ROUNDS:-3} THREADS=${THREADS:-2} DTYPES=${DTYPES:-fp32 bf16}
DIFFUSE=$BUILD/diffuse MODEL=$WORK/sd15 PROMPT='a photo of an astronaut riding a horse on mars'
mkdir -p "$WORK"
[ -f "$MODEL/text_encoder/model.safetensors" ] || "$BUILD/make_checkpoint" sd15 "$MODEL" test/fixtures/tokenizer/clip

median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# milliseconds of a command, the median of 21 runs
wall() {
    for _ in $(seq 21); do
        start=$(date +%s%N)
        "$@" >/dev/null 2>&1
        echo $(($(date +%s%N) - start))
    done | median | awk '{printf "%.1f", $1 / 1e6}'
}

ours() { # DTYPE: prints "step_ms load_gb_s vae_ms text_ms peak_mb"
    "$DIFFUSE" -m "$MODEL" --dtype "$1" --threads "$THREADS" -x ddim --steps 4 -s 42 -v -f -o "$WORK/out.png" "$PROMPT" \
        2>"$WORK/log" >/dev/null &
    pid=$! peak=0
    while now=$(awk '/^VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null) && [ -n "$now" ]; do peak=$now; sleep 0.2; done
    wait $pid
    awk -v peak="$peak" '/^load:/ {gsub(/\(/, ""); load = $7} /^text:/ {text = $2} /^steps:/ {step = $4} /^vae:/ {vae = $2}
        END {print step, load, vae, text, int(peak / 1024)}' "$WORK/log"
}

theirs() { # DTYPE: the median of three steps, in ms
    "$PYTHON" bench/diffusers_step.py -m "$MODEL" --dtype "$1" --threads "$THREADS" --repetitions 3 2>/dev/null |
        awk -F'"ms": ' '!/warmup/ && NF > 1 {sub(/[,}].*/, "", $2); print $2}' | median
}

echo "$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $THREADS threads, $("$DIFFUSE" --version | head -n 1)"
echo "--version: $(wall "$DIFFUSE" --version) ms"
echo "--inspect: $(wall "$DIFFUSE" --inspect -m "$MODEL") ms"
touch=$(for _ in 1 2 3 4 5; do "$BUILD/first_touch"; sleep 1; done | sort -n | tr '\n' ' ')
echo "first touch of memory: $touch GB/s"
for dtype in $DTYPES; do
    : >"$WORK/ours"
    : >"$WORK/theirs"
    for _ in $(seq "$ROUNDS"); do
        ours "$dtype" >>"$WORK/ours"
        [ -z "${PYTHON:-}" ] || theirs "$dtype" >>"$WORK/theirs"
    done
    column() { awk -v c="$1" '{print $c}' "$WORK/ours" | median; }
    step=$(column 1)
    echo "$dtype: step $step ms, load $(column 2) GB/s, text $(column 4) ms, vae $(column 3) ms, peak $(column 5) MiB (medians of $ROUNDS runs)"
    [ -z "${PYTHON:-}" ] || median <"$WORK/theirs" |
        awk -v step="$step" -v dtype="$dtype" '{printf "%s: diffusers step %.0f ms; ratio ours/theirs %.2f\n", dtype, $1, step / $1}'
done
