#!/bin/sh
# --control: what ControlNets are told, in a batch too; what a picture says of them, and what brings it back.
. "$(dirname "$0")/common"
root=$OLDPWD
mkdir m
(cd "$root" && "${BUILD:-build/release}/test_synthetic" --write "$work/m" control) || exit 1
fox() { run -m m -s 1 --steps 4 --threads 1 --metadata none "$@" "a fox"; }
led() { fox --control m/one --control-image m/a.png "$@"; }

fox -o plain.png -W 32 -H 32
led -o led.png
expect_code 0
differ plain.png led.png
# a repository in the hub's cache
cp -r m/one/. "$(cached org/net)"
HF_HUB_CACHE=hub fox -o b.png --control org/net --control-image m/a.png
expect_code 0
expect_same led.png b.png
HF_HUB_CACHE=hub fox -o b.png -f --control org/none --control-image m/a.png
expect_code 66
# other programs' names; numbers that are one for all; what leads nothing; the size asked for
fox -o b.png -f --controlnet m/one --control-image m/a.png --control-strength 1 --control-guidance-start 0 --control-guidance-end 1
expect_same led.png b.png
led -o b.png -f --control-scale 0
expect_same plain.png b.png
led -o b.png -f --control m/two --control-image m/a.png --control-scale 1 --control-scale 0
expect_same led.png b.png
led -o b.png -f --control-start 0.9 --control-end 0.95
expect_same plain.png b.png
grep -q '^diffuse: warning: --control m/one has no effect: it leads none of 4 steps (scale 1, from 0.9 to 0.95)$' err || fail 'not said'

# what is not said is as diffusers' pipelines for the task have it, and -v says so
led -o b.png -f -v -i m/in.png -W 32 -H 24
grep -q '^ControlNet m/one: scale 0.8, from 0 to 1 of the steps$' err || fail "no scale on stderr"
led -o c.png -f -i m/in.png -W 32 -H 24 --control-scale 0.8 --strength 0.8
expect_same b.png c.png
led -o b.png -f -v -i m/in.png --mask m/mask.png -W 32 -H 24
grep -q '^ControlNet m/one: scale 0.5, from 0 to 1 of the steps$' err || fail "no scale on stderr"

# edges
led -o edges.png --control-preprocess canny
differ led.png edges.png
led -o b.png -f --control-preprocess canny:100,200
expect_same edges.png b.png
led -o b.png -f --control-preprocess canny:1,2
differ edges.png b.png
led -o b.png -f --control-preprocess none
expect_same led.png b.png

# depth, by the checkpoint's own estimator, by another checkpoint's, or by one that lies by itself
(cd "$root" && "${BUILD:-build/release}/test_synthetic" --write "$work/d" control-depth) || exit 1
deep() { run -m d -s 1 --steps 4 --threads 1 --metadata none --control d/one --control-image d/a.png "$@" "a fox"; }
deep -o flat.png
deep -o depth.png --control-preprocess depth
expect_code 0
differ flat.png depth.png
cp -r d/depth_estimator dpt
cp d/feature_extractor/preprocessor_config.json dpt
cp -r dpt/. "$(cached org/dpt)"
for more in '--control-preprocess depth:d' '--control-preprocess depth:org/dpt' '--control-preprocess depth:dpt' '--control-preprocess depth --offload stage'; do
    HF_HUB_CACHE=hub deep -o b.png -f $more
    expect_code 0
    expect_same depth.png b.png
done
printf '{"id":"%s","prompt":"a fox","control":["d/one"],"control_image":["d/a.png"],"control_preprocess":["%s"]}\n' flat none depth depth >jobs
run -m d -s 1 --steps 4 --threads 1 --metadata none -b jobs -o 'box/{id}.png'
expect_code 0
expect_same flat.png box/flat.png
expect_same depth.png box/depth.png
rm box/flat.png box/depth.png
again() { deep -o again.png --metadata full --resume --control-preprocess depth:dpt; }
again
again
expect_code 0
printf '\1' | dd of=dpt/model.safetensors bs=1 seek=$(($(wc -c <dpt/model.safetensors) - 1)) conv=notrunc 2>dd
again
expect_code 73
led -o none.png --control-preprocess depth
expect_error 78 "diffuse: m: the checkpoint has no 'depth_estimator'" 'hint: --control-preprocess depth:DIR'
led -o none.png --control-preprocess depth:none
expect_code 66
led -o none.png --control-preprocess depth:m/one
expect_code 78
grep -q "m/one/config.json: no 'architectures': not a model of transformers" err || fail 'what it is not'
rm dpt/preprocessor_config.json
deep -o none.png --control-preprocess depth:dpt
expect_code 66
grep -q 'dpt/preprocessor_config.json' err || fail 'the file that is missing'

# what is said before any work
led -o none.png --dry-run
expect_code 0
[ ! -e none.png ] || fail "--dry-run drew"
led --dry-run -o x.png -j
grep -q '"control":\["m/one"\],"control_image":\["m/a.png"\]' out || fail "no control in the plan"
run -m m --inspect
plain=$(sed -n 's/^memory *\([0-9.]*\).*/\1/p' out)
run -m m --inspect --control m/one -j
grep -q '"controls":\[{"directory":"m/one".*"ControlNetModel"' out || fail "no net in --inspect -j"
run -m m --inspect --control m/one
grep -q '^control  *m/one' out || fail "no net in --inspect"
grep -q '^  controlnet  *ControlNetModel: [0-9]* parameters' out || fail "no parameters in --inspect"
[ -n "$plain" ] || fail "no memory in --inspect"

# a batch: the nets stay; a job has its own, or none
cat >jobs <<'J'
{"id":"led","prompt":"a fox","control":["m/one"],"control_image":["m/a.png"]}
{"id":"plain","prompt":"a fox","width":32,"height":32}
{"id":"two","prompt":"a fox","control":["m/one","m/two"],"control_image":["m/a.png","m/a.png"],"control_scale":[1,0]}
{"id":"half","prompt":"a fox","control":"m/one","control_image":"m/a.png","control_scale":0.5,"control_end":0.5,"guess_mode":true}
{"id":"again","prompt":"a fox","control":["m/one"],"control_image":["m/a.png"]}
J
run -m m -s 1 --steps 4 --threads 1 --metadata none -b jobs -o 'box/{id}.png'
expect_code 0
expect_same led.png box/led.png
expect_same plain.png box/plain.png
expect_same led.png box/two.png
expect_same led.png box/again.png
led -o b.png -f --control-scale 0.5 --control-end 0.5 --guess-mode
expect_same b.png box/half.png
printf '{"prompt":"x","control":["m/one"]}\n' >bad
run -m m -b bad -o 'box/{id}.png'
expect_code 2
grep -q 'bad: line 1: .*expected a picture for each of 1 ControlNet, found 0' err || fail "line and reason"

# pictures drawn at once, guided and in guess mode; one part in memory after the other
for more in '' --guess-mode; do
    led -o 'box/one-{n}.png' -c 3 --batch-size 1 $more
    led -o 'box/at-once-{n}.png' -c 3 --batch-size 3 $more
    expect_code 0
    for k in 1 2 3; do
        expect_same box/one-$k.png box/at-once-$k.png
    done
    rm box/one-*
    rm box/at-once-*
done
led -o b.png -f --offload stage
expect_same led.png b.png

# what a picture says, and what brings it back
run -m m -s 1 --steps 2 --threads 1 -o said.png --control m/one --control-image m/a.png --control-scale 0.7 --control-end 0.5 \
    --control-preprocess canny --guess-mode "a fox"
run --info said.png
for line in 'control: m/one' 'control-image: m/a.png' 'control-scale: 0.7' 'control-end: 0.5' 'control-preprocess: canny' 'guess-mode: yes'; do
    grep -q "$line" out || fail "no '$line' in --info"
done
grep -q 'components.control_1: [0-9a-f]\{64\}' out || fail "the net's hash"
grep -q "inputs.control_image_1: $(sha256sum m/a.png | cut -d ' ' -f 1)" out || fail "the picture's hash"
run -m m --verify said.png
expect_code 0
run -m m --from said.png --threads 1 -o from.png
expect_same said.png from.png
# --resume knows another picture and another net under the same name
draw_said() { run -m m -s 1 --steps 1 --threads 1 -o box/r.png --control net --control-image c.png --resume "a fox"; }
rm -f box/*
cp -r m/one net
cp m/a.png c.png
draw_said
expect_code 0
draw_said
expect_code 0
cp m/grey.png c.png # of the same size
draw_said
expect_code 73
cp m/a.png c.png
draw_said
expect_code 0
printf '\1' | dd of=net/diffusion_pytorch_model.safetensors bs=1 seek=$(($(wc -c <net/diffusion_pytorch_model.safetensors) - 1)) conv=notrunc 2>dd
draw_said
expect_code 73

# configurations and weights that are not a net's, or not one that is read
bad() { # CODE TEXT SED
    rm -rf bad
    cp -r m/one bad
    sed -i "$3" bad/config.json
    run -m m -o none.png --control bad --control-image m/a.png "a fox"
    expect_code "$1"
    grep -q "$2" err || fail "expected '$2' on stderr"
    [ "$(grep -c '' err)" -le 2 ] || fail 'more than a line and its hint'
    [ ! -e none.png ] || fail 'a picture'
}
key() { printf 's/"%s": *[^],}]*/"%s": %s/' "$1" "$1" "$2"; }
bad 78 "'conditioning_channels'" "$(key conditioning_channels 4)"
bad 78 "'controlnet_conditioning_channel_order'" "$(key controlnet_conditioning_channel_order '"grb"')"
bad 78 "'class_embed_type'" "$(key class_embed_type '"timestep"')"
bad 78 "'encoder_hid_dim'" "$(key encoder_hid_dim 4)"
bad 78 "expected class ControlNetModel, found 'ControlNetUnionModel'" "$(key _class_name '"ControlNetUnionModel"')"
bad 78 "no '_class_name'" 's/"_class_name"/"_class"/'
bad 65 "'conditioning_embedding_out_channels' is empty" 's/"conditioning_embedding_out_channels":[^]]*\]/"conditioning_embedding_out_channels": []/'
bad 65 "'conditioning_embedding_out_channels'" 's/"conditioning_embedding_out_channels":[^]]*\]/"conditioning_embedding_out_channels": [4,0,8]/'
bad 78 "expected \[5,3,3,3\], found \[4,3,3,3\]" 's/"conditioning_embedding_out_channels":[^]]*\]/"conditioning_embedding_out_channels": [5,6,8]/'
bad 78 "made for another model\|expected" "$(key layers_per_block 2)"
bad 65 "bad/config.json" 's/{/[/'
bad 78 "'auto_map' names custom code" 's/{/{"auto_map": {"x": "y"},/'
without() { # FILE TEXT
    rm -rf bad
    cp -r m/one bad
    rm "bad/$1"
    run -m m -o none.png --control bad --control-image m/a.png "a fox"
    expect_code 66
    grep -q "$2" err || fail "expected '$2' on stderr"
}
without config.json 'bad/config.json: '
without diffusion_pytorch_model.safetensors 'bad/diffusion_pytorch_model.safetensors: missing'
rm -rf bad
cp -r m/one bad
sed -i 's/controlnet_mid_block.weight/controlnet_mad_block.weight/' bad/diffusion_pytorch_model.safetensors
run -m m -o none.png --control bad --control-image m/a.png "a fox"
expect_code 78
grep -q 'controlnet_mid_block.weight' err || fail 'the missing tensor'
run -m "$root/test/fixtures/tiny-ddpm" -o none.png --control m/one --control-image m/a.png
expect_error 2 "diffuse: --control: $root/test/fixtures/tiny-ddpm draws no picture that a ControlNet could lead: it is a DDPMPipeline"

finish
