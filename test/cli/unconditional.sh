#!/bin/sh
# Models that take no prompt, and --save-every: pictures on the way, for them and for text to image.
root=$PWD
. "$(dirname "$0")/common"
DDPM=$root/test/fixtures/tiny-ddpm

run -m "$DDPM" -s 1 --steps 6 --save-every 2 -o box/cat.png
grep -aq '"steps":6,.*"step":2[,}]' box/cat-step0002.png || fail 'the picture on the way does not say its step'
! grep -aq '"step":' box/cat.png || fail 'the finished picture says a step'
expect_code 0
expect_out box/cat-step0002.png box/cat-step0004.png box/cat.png
for f in box/*.png; do expect_png "$f"; done
cmp -s box/cat-step0002.png box/cat-step0004.png && fail 'two steps, one picture'

# the finished picture does not depend on what was saved on the way
run -m "$DDPM" -s 1 --steps 6 -o box/plain.png
expect_same box/plain.png box/cat.png

# pictures on the way are not overwritten either, and that is known before any work
rm box/cat.png box/cat-step0002.png
run -m "$DDPM" -s 1 --steps 6 --save-every 2 -o box/cat.png
expect_error 73 'diffuse: box/cat-step0004.png: the file exists' "$(tail -n 1 err)"
expect_box cat-step0004.png plain.png
rm box/*

run -m "$DDPM" -s 1 --steps 4 -c 2 --save-every 3 -o 'box/{n}-{step}.png'
expect_code 0
expect_box 1-0003.png 1-0004.png 2-0003.png 2-0004.png
rm box/*

draw --steps 3 --save-every 3 -o box/fox.png 'a fox'
expect_code 0
expect_box fox-step0003.png fox.png # PLMS calls the model once more than it takes steps
rm box/*

run -m "$DDPM" -o box/x.png 'a cat'
expect_error 2 "diffuse: a prompt, but $DDPM draws without one: it is a DDPMPipeline"
draw -o box/x.png
expect_error 2 'diffuse: expected a prompt, found none' "hint: try 'diffuse --help'"
draw --save-every 1 -o - x
expect_error 2 'diffuse: --output - and --save-every: expected one image on standard output'
expect_box

# learned variances: a model that predicts them and a scheduler that uses them, or neither
LEARNED=$root/test/fixtures/tiny-ddpm-learned
run -m "$LEARNED" -s 1 --steps 3 -o box/range.png
expect_code 0
run -m "$LEARNED" -s 1 --steps 3 -x ddpm,variance_type=learned -o box/learned.png
expect_code 0
cmp -s box/range.png box/learned.png && fail 'two kinds of variance, one picture'
run -m "$LEARNED" -x ddim -o box/x.png
expect_error 78 "diffuse: $LEARNED: 6 output channels for 3: the model predicts a variance, which DDIMScheduler with these options does not use" \
    'hint: -x ddpm,variance_type=learned_range'
run -m "$DDPM" -x ddpm,variance_type=learned -o box/x.png
expect_error 78 "diffuse: $DDPM: 3 output channels for 3: the model predicts no variance, which DDPMScheduler with these options needs" \
    'hint: -x ddpm,variance_type=fixed_small'
draw -x ddpm,variance_type=learned_range -o box/x.png x
expect_error 78 "diffuse: $MODEL: 4 output channels for 4: the model predicts no variance, which DDPMScheduler with these options needs" \
    'hint: -x ddpm,variance_type=fixed_small'
expect_box learned.png range.png
# what such a model may ask for and is not done is refused by name
cp -r "$root/test/fixtures/tiny-ddpm-new" classes
sed -i '0,/{/s//{"num_class_embeds": 10,/' classes/unet/config.json
run -m classes -o box/x.png
expect_error 78 "diffuse: classes/unet/config.json: 'num_class_embeds' is not supported"
# each level but the last halves the picture
run -m "$root/test/fixtures/tiny-ddpm-new" --inspect --json
tr -d ' \n' <out | grep -q '"size_multiple":8,"size_least":8,' || fail "four levels: $(grep -o 'size_multiple[^,]*' out)"
# steps nobody asked for are no more than the model was trained with
cp -rL "$root/test/fixtures/tiny-ddpm-new" short
sed -i 's/"num_train_timesteps": 1000/"num_train_timesteps": 7/' short/scheduler/scheduler_config.json
run -m short --show-schedule
expect_code 0
head -n 1 out | grep -q ', 7 steps' || fail "plans $(head -n 1 out)"
run -m short --show-schedule --steps 8
expect_code 2

finish
