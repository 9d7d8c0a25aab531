#!/bin/sh
# Checkpoints of the true size: the names and shapes of SD 1.5, 2.1 and 2-depth, SDXL, its refiner and their kin are the published ones, and the program
# accepts all of them.
# The files are holes: nothing is written to the disk but their headers.
root=$PWD
. "$(dirname "$0")/common"
make_checkpoint=$(dirname "$DIFFUSE")/make_checkpoint

LC_ALL=C
export LC_ALL
for model in sd15 sd21 sd2-depth sdxl sdxl-refiner; do
    what="make_checkpoint $model --list"
    "$make_checkpoint" $model --list | sort >listed
    expected=$root/test/fixtures/expected_tensors/$model.txt
    if [ $model = sd2-depth ]; then # SD 2.1's, with depth beside the latents, and what estimates it
        lists=$root/test/fixtures/expected_tensors
        sed '/^unet conv_in.weight/s/320,4,/320,5,/' "$lists/sd21.txt" | cat - "$lists/dpt-hybrid-midas.txt" |
            sed 's/^\(dpt\|neck\|head\)\./depth_estimator &/' | sort
    elif [ -f "$expected" ]; then cat "$expected"; else gzip -dc "$expected.gz"; fi >expected
    cmp -s listed expected || fail "$(diff listed expected | head -5)"
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
run --inspect -m sd2-depth
expect_code 0
for line in 'text_encoder .* 340387840 parameters in 372' 'unet .* 865913604 parameters in 686' 'depth_estimator .* 122377985 parameters in 414' \
    'size .* 512x512' 'schedule .* PNDMScheduler, epsilon'; do
    grep -q "^$line" out || fail "no line '$line' in $(cat out)"
done
run --inspect -m sdxl
expect_code 0
for line in 'text_encoder .* 123060480 parameters in 196' 'text_encoder_2 .* 694659840 parameters in 517' 'unet .* 2567463684 parameters in 1680' \
    'vae .* 83653863 parameters in 248' 'size .* 1024x1024' 'defaults .* 50 steps, guidance 5' 'schedule .* EulerDiscreteScheduler, epsilon'; do
    grep -q "^$line" out || fail "no line '$line' in $(cat out)"
done
run --inspect -m sdxl-refiner
expect_code 0
for line in 'text_encoder_2 .* 694659840 parameters in 517' 'unet .* 2259526660 parameters in 1220' 'size .* 1024x1024'; do
    grep -q "^$line" out || fail "no line '$line' in $(cat out)"
done

# kin: the shapes of another one, or a UNet of their own
"$make_checkpoint" sdxl --list | grep -v '^unet ' | sort >others
for model in sd-turbo=sd21 sdxl-turbo=sdxl ssd-1b segmind-vega koala-700m koala-1b; do
    like=${model#*=} model=${model%=*}
    what="make_checkpoint $model --list"
    "$make_checkpoint" $model --list | sort >listed
    if [ "$like" != "$model" ]; then "$make_checkpoint" "$like" --list | sort >expected
    else gzip -dc "$root/test/fixtures/expected_tensors/$model.txt.gz" | sort - others >expected; fi
    cmp -s listed expected || fail "$(diff listed expected | head -5)"
    "$make_checkpoint" $model "$work/$model" "$root/test/fixtures/tokenizer/clip" --sparse --dtype F16 || fail "exit code $?"
done
# accepted MODEL PARAMETERS-OF-THE-UNET SIZE SCHEDULER: their makers' numbers
accepted() {
    run --inspect -m "$1"
    expect_code 0
    for line in "unet .* $2 parameters" "size .* $3x$3" "schedule .* $4, epsilon"; do
        grep -q "^$line" out || fail "$1: no line '$line' in $(cat out)"
    done
}
accepted sd-turbo 865910724 512 EulerDiscreteScheduler
accepted sdxl-turbo 2567463684 512 EulerAncestralDiscreteScheduler
accepted ssd-1b 1331334404 1024 EulerDiscreteScheduler
accepted segmind-vega 745225604 1024 EulerDiscreteScheduler
accepted koala-700m 782822724 1024 EulerDiscreteScheduler
accepted koala-1b 1161184324 1024 EulerDiscreteScheduler

# a part at a time SDXL takes 2 GB at most beside the weights that are there, in any of its stages
run -m sdxl --device cpu --dtype fp32 --offload stage --dry-run x
expect_code 0
sed -n 's/^memory: weights \([0-9.]*\) GB.*/\1/p; s/^stages: text \(.*\) GB, denoise \(.*\) GB, decode \(.*\) GB$/\1 \2 \3/p' err >figures
awk 'NR == 1 {weights = $1} NR == 2 && NF == 3 {wrong = weights < 10 || $1 > weights + 2 || $2 > weights + 2 || $3 > weights + 2} END {exit NR != 2 || wrong}' figures ||
    fail "$(cat err)"
finish
