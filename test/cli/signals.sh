#!/bin/sh
# SIGINT, SIGTERM, SIGHUP at any moment: death by that signal before SIGKILL comes, nothing left.
. "$(dirname "$0")/common"

for signal in INT:130 TERM:143 HUP:129; do
    for delay in 0.02 0.1 0.3 0.8; do
        what="SIG${signal%:*} after $delay s"
        timeout --preserve-status -k 5 -s "${signal%:*}" $delay \
            "$DIFFUSE" --device cpu -m "$MODEL" --steps 900 -c 1000 --threads 1 --size 128x128 x -o box/a.png >out 2>err
        code=$?
        expect_code "${signal#*:}"
        [ ! -s out ] || fail 'stdout is not empty'
        expect_box
    done
done
finish
