#!/bin/sh
# A device that fails draws nothing more: a line for the job, one for the batch, exit code 69, and --resume draws the rest.
root=$PWD
. "$(dirname "$0")/common"
DIFFUSE=$(dirname "$DIFFUSE")/emu/diffuse
[ -x "$DIFFUSE" ] || skip "no $DIFFUSE"
unset EMU_DEVICES EMU_ARCH EMU_MEMORY EMU_LAZY EMU_SKIP EMU_REPORT
cat_picture() { run --device cuda -m "$root/test/fixtures/tiny-ddpm" -s 1 --steps 2 "$@"; }

printf '%s\n' '{"id":"a"}' '{"id":"b"}' '{"id":"c"}' >dies.jsonl
EMU_DIES=300 cat_picture -b dies.jsonl -o box/ --manifest dies.out # the first picture takes 270 launches
expect_code 69
expect_box a.png
printf '%s\n' 'diffuse: dies.jsonl: line 2: cuda: kernel launch: unspecified launch failure' \
    'stopped: dies.jsonl: line 2: the device failed: what follows is not drawn, and --resume goes on' >expected
expect_same expected err
[ "$(grep -c '"code":69' dies.out)" = 1 ] || fail "$(cat dies.out)"
cat_picture -b dies.jsonl --resume -o box/
expect_code 0
expect_box a.png b.png c.png
rm box/*
EMU_DIES=200 cat_picture -c 3 -o box/cat.png
expect_code 69
expect_box
[ "$(cat err)" = 'diffuse: image 1: cuda: kernel launch: unspecified launch failure' ] || fail 'not one line'
finish
