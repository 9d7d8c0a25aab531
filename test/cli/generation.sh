#!/bin/sh
# generation_config.json: the checkpoint's own defaults under the flags, its words, its sizes.
. "$(dirname "$0")/common"

mkdir model
for f in "$MODEL"/*; do ln -s "$f" model/; done
config() { printf '%s\n' "$1" >model/generation_config.json; }
ask() { run -m model -s 1 --size 16x16 --threads 1 --dry-run "$@"; }
steps() { grep -c . out; }

# defaults, and flags above them
config '{"num_inference_steps": 3, "guidance_scale": 2.5, "width": 32, "height": 16}'
run -m model --show-schedule --tsv
with_defaults=$(steps)
run -m "$MODEL" --show-schedule --tsv --steps 3
[ "$with_defaults" -eq "$(steps)" ] || fail "the schedule has $with_defaults lines, --steps 3 has $(steps)"
run -m model --show-schedule --tsv --steps 7
[ "$with_defaults" -ne "$(steps)" ] || fail "--steps does not override"
run -m model --inspect --json
expect_code 0
for want in '"steps":3' '"guidance":2.5' '"width":32' '"height":16'; do tr -d ' \n' <out | grep -qF "$want" || fail "--inspect: no $want"; done
# who says so: the file, where no flag says otherwise
for flags in '' '--steps 7' '--guidance 3'; do
    # shellcheck disable=SC2086
    run -m model --inspect $flags
    case "$flags,$(grep '^defaults ' out)" in ,*' 3 steps, guidance 2.5 (generation_config.json)' | --*' 7 steps, guidance 2.5' | --*' 3 steps, guidance 3') ;; *) fail "$(grep '^defaults ' out)" ;; esac
done
run -m model "x" -s 1 --threads 1 -v -o box/a.png
expect_code 0
grep -q 'generation_config.json: num_inference_steps 3 guidance_scale 2.5 width 32 height 16$' err || fail "-v does not tell the defaults"
run -m model "x" -s 1 --threads 1 -g 4 --metadata full --steps 1 -o box/b.png
expect_code 0
grep -aq '"guidance":4,' box/b.png || fail "-g does not override"

# words it never saw, each once; none where nothing is said of words
config '{"known_words": ["a", "red", "cat", "in", "8", "bit"]}'
ask "A red Cat, in 8-bit"
! grep -q 'never learned' err || fail "known words are called unknown"
ask "a RED cat and a fluffy dog and a Dög" -n ""
grep -qx 'diffuse: warning: prompt: words model never learned: and, fluffy, dog, dög' err || fail "unknown words are not told"
[ "$(grep -c 'never learned' err)" -eq 1 ] || fail "told more than once"
config '{}'
ask "a fluffy dog"
! grep -q 'never learned' err || fail "words told of a checkpoint that has no list"

# sizes outside the training's
config '{"trained_sizes": [24, 32]}'
run -m model x -s 1 --size 16x32 --dry-run
grep -qx 'diffuse: warning: 16x32: model was trained on sides of 24 to 32: expect less' err || fail "an untrained size is not told"
run -m model x -s 1 --size 24x32 --dry-run
! grep -q 'was trained' err || fail "a trained size is told"

# what is malformed
config '{"num_inference_steps": 0}'
ask x
expect_code 65
config '{"known_words": "cat"}'
ask x
expect_code 65
config '{"trained_sizes": [32, 24]}'
ask x
expect_error 65 "diffuse: model/generation_config.json: field 'trained_sizes': expected [smallest, largest]"
config '{"strength": 0.3}'
ask x
expect_code 0
grep -qx "diffuse: warning: model/generation_config.json: 'strength' is not read" err || fail "an unread key is not told"
rm -f box/*
finish
