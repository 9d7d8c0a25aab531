#!/bin/sh
# Checkpoints of the true size: the names and shapes of SD 1.5 and 2.1 are the published ones, and the program accepts all of them.
# The files are holes: nothing is written to the disk but their headers.
root=$PWD
. "$(dirname "$0")/common"
make_checkpoint=$(dirname "$DIFFUSE")/make_checkpoint

for model in sd15 sd21; do
    what="make_checkpoint $model --list"
    "$make_checkpoint" $model --list | sort >listed
    cmp -s listed "$root/test/fixtures/expected_tensors/$model.txt" || fail "$(diff listed "$root/test/fixtures/expected_tensors/$model.txt" | head -5)"
    "$make_checkpoint" $model "$work/$model" "$root/test/fixtures/tokenizer/clip" --sparse || fail "exit code $?"
done

# parameters published by their makers
run --inspect -m sd15
expect_code 0
for line in 'text_encoder .* 123060480 parameters in 196' 'unet .* 859520964 parameters in 686' 'vae .* 83653863 parameters in 248' \
    'size .* 512x512' 'schedule .* PNDMScheduler, epsilon'; do
    grep -q "^$line" out || fail "no line '$line' in $(cat out)"
done
run --inspect -m sd21
expect_code 0
for line in 'text_encoder .* 340387840 parameters in 372' 'unet .* 865910724 parameters in 686' 'size .* 768x768' \
    'schedule .* PNDMScheduler, v_prediction'; do
    grep -q "^$line" out || fail "no line '$line' in $(cat out)"
done
finish
