#!/bin/sh
# SIGINT, SIGTERM, SIGHUP at any moment: death by that signal within a second, nothing left.
. "$(dirname "$0")/common"

for signal in INT:130 TERM:143 HUP:129; do
    for delay in 0.02 0.1 0.3 0.8; do
        what="SIG${signal%:*} after $delay s"
        start=$(date +%s%N)
        timeout --preserve-status -k 5 -s "${signal%:*}" $delay \
            "$DIFFUSE" --device cpu -m "$MODEL" --steps 900 -c 1000 --threads 1 --size 128x128 x -o box/a.png >out 2>err
        code=$?
        took=$((($(date +%s%N) - start) / 1000000))
        expect_code "${signal#*:}"
        [ $took -lt 2500 ] || fail "took $took ms"
        [ ! -s out ] || fail 'stdout is not empty'
        expect_box
    done
done
finish
