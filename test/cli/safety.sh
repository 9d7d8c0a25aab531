#!/bin/sh
# The safety checker as the user meets it: a flagged picture is black and said to be flagged; what is wrong with the checker can be left out.
BUILD=$(dirname "$DIFFUSE")
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
ROOT=$PWD
. "$(dirname "$0")/common"
[ -x "$BUILD/test_synthetic" ] || skip 'no test_synthetic'
mkdir checked
(cd "$ROOT" && "$BUILD/test_synthetic" --write "$work/checked" safety-checker) || exit 1
house() { run -m "${model:-checked}" 'a red house' --steps 3 "$@"; } # of seed 2 it is harmless, of 3 and 4 flagged

house -s 2 -c 2 -j -o box/a.png
expect_code 0
[ "$(grep -c '^diffuse: warning: the safety checker flagged box/a-3.png: the picture is black (another seed or prompt, or --no-safety-checker)$' err)" -eq 1 ] || fail 'it is not said'
[ "$(wc -l <err)" -eq 1 ] || fail 'more than one line'
grep -q '"n":1,.*"nsfw":false,' out || fail 'no verdict on the first'
grep -q '"n":2,.*"nsfw":true,' out || fail 'no verdict on the second'
strings -n 4 box/a-2.png | grep -q '"nsfw":false' || fail 'the metadata of the first do not say it'
strings -n 4 box/a-3.png | grep -q '"nsfw":true' || fail 'the metadata of the second do not say it'
house -s 3 -q -o - # the pixels, as standard output has them
cp out box/black.png
[ ! -s err ] || fail 'not quiet'
house -s 3 --no-safety-checker --metadata none -o box/off.png
expect_code 0
[ "$(wc -c <box/off.png)" -gt 1000 ] && [ "$(wc -c <box/black.png)" -lt "$(wc -c <box/off.png)" ] || fail 'the one is not black or the other is'
house -s 3 --no-safety-checker -j -o box/said.png
strings -n 4 box/said.png | grep -q '"no_safety_checker":true' || fail 'the metadata do not say that it was off'
! grep -q nsfw out || fail 'a verdict without a checker'
strings -n 4 box/a-2.png | grep -q 'no_safety_checker' && fail 'said to be off where it was on'
# pictures on their way are checked too
house -s 4 --save-every 1 --metadata none -o box/way.png
[ "$(wc -c <box/way.png)" -eq "$(wc -c <box/way-step0002.png)" ] || fail 'the picture on the way is not black'

# drawn again: flagged again
run --verify box/a-3.png -m checked
expect_out 'box/a-3.png: bit-identical'
[ "$(wc -l <err)" -eq 0 ] || fail 'something to say'

run -m checked --inspect
grep -q '^safety checker runs on every picture$' out || fail 'not inspected'
run -m checked --inspect --json
grep -q '"safety_checker":true' out || fail 'not inspected as JSON'
with=$(sed 's/.*"weight_bytes":\([0-9]*\).*/\1/' out)
run -m checked --inspect --no-safety-checker --json
grep -q '"safety_checker":false' out || fail 'inspected as if it ran'
without=$(sed 's/.*"weight_bytes":\([0-9]*\).*/\1/' out)
[ "$with" -gt "$without" ] || fail 'its weights are not in the forecast'
run -m "$MODEL" --inspect
grep -q '^safety checker none$' out || fail 'one where there is none'

# --- what is wrong with it ---
spoil() { rm -rf spoilt && cp -r checked spoilt && model=spoilt; }
left_out() { # CODE PATTERN: that error, and with the option a picture
    house -s 2 -o box/x.png
    expect_code "$1"
    grep -q "$2" err || fail "expected '$2'"
    tail -n 1 err | grep -q '^hint: .*--no-safety-checker$' || fail 'no hint'
    house -s 2 --no-safety-checker -f -o box/x.png
    expect_code 0
    rm -f box/x.png
}
spoil
mv spoilt/safety_checker/model.safetensors spoilt/safety_checker/pytorch_model.bin
left_out 78 'safety_checker: only pickle weights (pytorch_model.bin)'
spoil
rm -r spoilt/safety_checker
left_out 66 'spoilt/safety_checker: model_index.json names it, and it is not there'
spoil
tr -d '\n\t' <spoilt/model_index.json | sed 's/"feature_extractor": *\[[^]]*\],//' >index && mv index spoilt/model_index.json
left_out 78 "the checkpoint has no 'feature_extractor'"
spoil
sed -i 's/"height":[^,}]*/"height": 28/' spoilt/feature_extractor/preprocessor_config.json
left_out 78 "makes 42x28 of a picture, but safety_checker/config.json: 'image_size' 42"
spoil
sed -i 's/"patch_size":[^,}]*/"patch_size": 32/' spoilt/safety_checker/config.json
left_out 78 "'patch_size' 32: only up to 16"
spoil
tr -d '\n\t' <spoilt/model_index.json | sed 's/"safety_checker": *\[[^]]*\]/"safety_checker": [null, null]/' >index && mv index spoilt/model_index.json
house -s 3 -j -o box/null.png
expect_code 0
! grep -q nsfw out || fail 'a checker that is null has run'
unset model

# --- a batch ---
printf '%s\n' '{"prompt": "a red house", "seed": 3, "no_safety_checker": true}' >jobs
run -m checked -b jobs -o box/
expect_code 2
grep -q "line 1: \"no_safety_checker\" is the whole run's" err || fail 'a job leaves it out alone'
finish
