#!/bin/sh
# One encode and one decode of a picture by SD's VAE in fp32, ours and pinned diffusers' in turn on the same cores:
#   PYTHON=/path/to/venv/bin/python bench/vae.sh
# ROUNDS: of both (5), THREADS (2), SIDE (512). Medians; processor time beside the clock's, for a machine that is shared.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} ROUNDS=${ROUNDS:-5} THREADS=${THREADS:-2} SIDE=${SIDE:-512}
mkdir -p "$WORK"
[ -f "$WORK/sd15-sparse/vae/config.json" ] || "$BUILD/make_checkpoint" sd15 "$WORK/sd15-sparse" test/fixtures/tokenizer/clip --sparse
: >"$WORK/vae.ours" >"$WORK/vae.theirs"
for _ in $(seq "$ROUNDS"); do
    "$BUILD/bench_vae" "$WORK/sd15-sparse" "$SIDE" "$THREADS" 1 >>"$WORK/vae.ours"
    [ -z "${PYTHON:-}" ] || "$PYTHON" bench/diffusers_vae.py "$SIDE" "$THREADS" 1 >>"$WORK/vae.theirs" 2>/dev/null
done
# median FILE DIRECTION COLUMN
median() { awk -v d="$2" -v c="$3" '$1 == d {print $c}' "$1" | sort -n | awk '{v[NR] = $1} END {if (NR) print v[int((NR + 1) / 2)]}'; }
for direction in encode decode; do
    ours=$(median "$WORK/vae.ours" $direction 2) cpu=$(median "$WORK/vae.ours" $direction 3)
    theirs=$(median "$WORK/vae.theirs" $direction 2) their_cpu=$(median "$WORK/vae.theirs" $direction 3)
    echo "$direction $SIDE: $ours ms, processor $cpu ms"
    [ -z "$theirs" ] || echo "$ours $cpu $theirs $their_cpu" |
        awk -v d=$direction '{printf "%s: diffusers %s ms, processor %s ms; ratio ours/theirs %.2f, processor %.2f\n", d, $3, $4, $1 / $3, $2 / $4}'
done
