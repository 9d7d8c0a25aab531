#!/bin/sh
# Many pictures: 100 prompts of the shipped checkpoint in one -b run against 100 commands and, with PYTHON, against pinned diffusers with
# the model resident; and what a job costs beside drawing.
#   bench/jobs.sh                                      ours alone
#   PYTHON=/path/to/venv/bin/python bench/jobs.sh      the same prompts by diffusers, too
# JOBS (100)   ROUNDS (3): each in turn, the least of each is told   THREADS (2)   STEPS (20)
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} JOBS=${JOBS:-100} ROUNDS=${ROUNDS:-3} THREADS=${THREADS:-2} STEPS=${STEPS:-20}
DIFFUSE=$BUILD/diffuse MODEL=models/doodle
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seq "$JOBS" | awk '{split("fox cat dog barn house tree boat fish", w, " "); print "a red " w[$1 % 8 + 1] " number " $1}' >"$work/prompts"
ask="--device cpu -m $MODEL --threads $THREADS --steps $STEPS -s 1 -q -f"

# seconds NAME COMMAND...: appended to a file of that name.
seconds() {
    name=$1 start=$(date +%s%N)
    shift
    "$@"
    echo $(($(date +%s%N) - start)) | awk '{print $1 / 1e9}' >>"$work/$name"
}

batch() { "$DIFFUSE" $ask -b "$work/prompts" -o "$work/" -v >/dev/null 2>"$work/log"; }
commands() {
    n=0
    while read -r prompt; do
        n=$((n + 1))
        "$DIFFUSE" $ask -o "$work/alone-$n.png" "$prompt" >/dev/null 2>&1
    done <"$work/prompts"
}
theirs() { "$PYTHON" bench/diffusers_jobs.py -m "$MODEL" --threads "$THREADS" --steps "$STEPS" -o "$work" <"$work/prompts" >>"$work/theirs"; }

for _ in $(seq "$ROUNDS"); do
    seconds batch batch
    # What is neither load, text, steps, VAE nor the file, by the number of jobs: the run's start and end are in it.
    awk -v jobs="$JOBS" '/^load:/ {drawing += $5} /^text:|^vae:|^png:/ {drawing += $2} /^steps:/ {drawing += $(NF - 1)}
        /since the start/ {total = $(NF - 4)} END {printf "%.3f\n", (total - drawing) / jobs}' "$work/log" >>"$work/beside"
    seconds commands commands
    [ -z "${PYTHON:-}" ] || theirs
done
# Ten thousand lines, all done: one picture under as many names.
draw_one="--device cpu -m $MODEL --steps 1 --threads 1 -s 1 -q"
mkdir "$work/done"
"$DIFFUSE" $draw_one -o "$work/one.png" 'a cat' >/dev/null
yes "$work/one.png" | head -n 10000 | xargs cat | split -b "$(wc -c <"$work/one.png")" -a 4 -d --additional-suffix=.png - "$work/done/p"
seq 0 9999 | awk '{printf "{\"id\":\"p%04d\",\"prompt\":\"a cat\"}\n", $1}' >"$work/many.jsonl"
for _ in $(seq "$ROUNDS"); do
    # shellcheck disable=SC2086
    seconds resumed "$DIFFUSE" $draw_one -b "$work/many.jsonl" -o "$work/done/" --resume >"$work/paths"
    [ "$(wc -l <"$work/paths")" = 10000 ]
done
for n in 1 "$JOBS"; do cmp "$work/alone-$n.png" "$work/$(printf %08d "$n").png"; done
least() { sort -n "$work/$1" | head -n 1; }
echo "$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $THREADS threads, $JOBS prompts, $STEPS steps, $(date +%F)"
echo "one batch: $(least batch) s; $JOBS commands: $(least commands) s: $(echo "$(least commands) $(least batch)" | awk '{printf "%.2f", $1 / $2}') times as long"
[ -z "${PYTHON:-}" ] || echo "diffusers, resident: $(least theirs) s without its start: $(echo "$(least theirs) $(least batch)" | awk '{printf "%.2f", $1 / $2}') times as long"
echo "a job beside drawing, the run's start and end in it: $(least beside) ms"
echo "ten thousand lines that are done: $(least resumed) s"
