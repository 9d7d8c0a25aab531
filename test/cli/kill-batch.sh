#!/bin/sh
# SIGKILL at random moments of a batch, which the same command with --resume then goes on with: complete at the end, nothing twice, nothing
# torn. KILLS=200 for the full number.
. "$(dirname "$0")/common"
kills=${KILLS:-20} n_killed=0 rounds=0
mkdir expected_box
for i in 1 2 3 4 5 6 7 8; do printf '{"id":"p%d","prompt":"a cat","seed":%d,"steps":%d,"count":%d}\n' $i $i $((i % 3 + 1)) $((i % 2 + 1)); done >jobs.jsonl
run -m "$MODEL" --threads 1 -q -b jobs.jsonl -o expected_box/
expect_code 0
all=$(ls expected_box | wc -l)
start=$(date +%s%N)
run -m "$MODEL" --threads 1 -q -b jobs.jsonl -o expected_box/ -f
ms=$((($(date +%s%N) - start) / 1000000))

# Whatever is there, whenever it is looked at, is whole and right.
look() {
    for file in $(ls -A box); do
        case $file in *.png) expect_same "expected_box/$file" "box/$file" ;; *) fail "box holds $file" ;; esac
    done
}

while [ $n_killed -lt "$kills" ]; do
    rm -f box/* manifest
    rounds=$((rounds + 1))
    [ $rounds -le $((4 * kills)) ] || break
    while :; do
        delay=$(od -An -N4 -tu4 /dev/urandom | awk -v ms=$ms '{printf "%.4f", $1 / 4294967296 * 1.1 * ms / 1000}')
        what="kill $n_killed after $delay s"
        timeout -s KILL "$delay" "$DIFFUSE" --device cpu -m "$MODEL" --threads 1 -q -b jobs.jsonl -o box/ --resume --manifest manifest >out 2>err
        code=$?
        [ $code -ne 0 ] || break
        [ $code -eq 137 ] || { fail "exit code $code"; finish; } # the same would come again, for ever
        n_killed=$((n_killed + 1))
        look
    done
    [ "$(ls box | wc -l)" = "$all" ] || fail "$(ls box | wc -l) of $all pictures"
    look
    [ "$(wc -l <out)" = "$all" ] || fail 'the last run tells of fewer'
    sort manifest | sed 's/.*"file":"\([^"]*\)".*/\1/' | uniq -d >twice
    [ ! -s twice ] || fail "drawn twice: $(cat twice)"
    [ "$(wc -l <manifest)" = "$all" ] || fail "the manifest has $(wc -l <manifest) of $all"
    grep -v '^{"v":1,.*"code":0}$' manifest >torn && fail "torn: $(cat torn)"
done
what="$kills kills"
[ $n_killed -ge "$kills" ] || fail "only $n_killed came in time"
echo "$n_killed kills in $rounds batches of $all pictures"
finish
