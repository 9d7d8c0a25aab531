#!/bin/sh
# --offload: a part of the model in memory at a time; --vae-tiling: the VAE in tiles. What is said, recorded, and drawn beside other options.
. "$(dirname "$0")/common"
: "${BUILD:=$(dirname "$DIFFUSE")}"
synthetic=$(realpath "$BUILD")/test_synthetic

# --- the same pictures, beside other options too; parts come in once a picture, prompts once ---
draw --steps 4 --save-every 2 --dump whole -o box/whole.png fox
expect_code 0
draw --steps 4 --save-every 2 --dump parts --offload stage -v -o box/parts.png fox
expect_code 0
ls box/whole-*2.png >/dev/null || fail 'no picture on its way'
for file in box/whole*; do expect_same "$file" "box/parts${file#box/whole}"; done
for file in whole/*; do [ "$file" = whole/request.json ] || expect_same "$file" "parts/${file#*/}"; done
grep -Eq '^memory: .* free on cpu, a part at a time; the program [0-9.]+ GB$' err || fail 'parts are not spoken of'
grep -Eq '^stages: text 0\.[0-9]* GB, denoise 0\.[0-9]* GB$' err || fail 'with --save-every the decoder is there, too'
rm -r box/* whole parts

cat >jobs.jsonl <<'END'
{"id":"a","prompt":"a cat","seed":1,"steps":3}
{"id":"b","prompt":"a cat","seed":2,"steps":3,"count":2}
{"id":"c","prompt":"a dog","seed":1,"size":"64x32"}
END
mkdir one all
run -m "$MODEL" --steps 1 --threads 1 -b jobs.jsonl -o 'one/{id}-{seed}.png' -v --offload stage
expect_code 0
grep -Eq '^stages: text 0\.[0-9]* GB, denoise 0\.[0-9]* GB, decode 0\.[0-9]* GB$' err || fail 'no stages'
[ "$(sed -n 's/^\([abc]: anew:.*texts [12]\).*/\1/p' err | tr '\n' ',')" = 'a: anew: plan texts 2,c: anew: plan texts 1,' ] || fail 'texts'
run -m "$MODEL" --steps 1 --threads 1 -b jobs.jsonl --batch-size 1 -o 'all/{id}-{seed}.png' -v --offload none
expect_code 0
grep -Eq '^b: anew: nothing$' err || fail 'b is drawn with what is there'
for file in all/*; do expect_same "$file" "one/${file#*/}"; done
rm -r one all
draw -c 2 --batch-size 2 --offload stage -f -o 'box/{n}.png' fox
grep -q '^diffuse: warning: --batch-size 2: pictures drawn at once: 1: a part of the model is in memory at a time$' err || fail 'it is not said'
rm box/*

# pictures begun from, estimated depth, the safety checker and the refiner, against diffusers
what='test_synthetic, each part for itself'
(cd "$OLDPWD" && SYNTHETIC_ARGS='--device cpu --offload stage' "$synthetic" xl-image xl-nine xl-tiles xl-refined depth-to-image safety-checker) >log 2>&1 ||
    fail "$(tail -n 5 log)"

# a refiner's parts are told behind the base's, whose VAE is not wanted
mkdir xl
(cd "$OLDPWD" && "$synthetic" --write "$work/xl" xl-refined) || exit 1
refined() { run -m xl --refiner xl/refiner --refine-at 0.5 -s 1 --steps 2 --threads 1 -f -o box/refined.png "$@" fox; }
parts="text G, denoise G, refiner's text G, refiner's denoise G, refiner's decode G"
refined -v --offload stage
expect_code 0
grep '^stages: ' err | sed 's/[0-9.]* GB/G/g' >told
[ "$(cat told)" = "stages: $parts" ] || fail "not each part of both: $(cat told)"
refined --dry-run
grep '^with --offload stage: ' err | sed 's/[0-9.]* GB/G/g' >told
[ "$(cat told)" = "with --offload stage: $parts" ] || fail "not each part of both: $(cat told)"
rm box/*

# --- the forecast ---
draw --dry-run -o box/z.png fox
expect_code 0
grep -Eq '^with --offload stage: text 0\.[0-9]* GB, denoise 0\.[0-9]* GB, decode 0\.[0-9]* GB$' err || fail 'no stages'
run --inspect -m "$MODEL" -j
grep -q '"stage_bytes":{"text":[1-9][0-9]*,"denoise":[1-9][0-9]*,"decode":[1-9][0-9]*}' out || fail 'no stages'

# --- tiles: recorded where they change the picture, and drawn again from there ---
draw --size 192 --metadata none -o box/plain.png fox
draw --size 192 --metadata none --vae-tiling on -o box/tiles.png fox
expect_code 0
[ ! -s err ] || fail 'they were asked for: there is nothing to say'
differ box/plain.png box/tiles.png
draw --size 192 -f -o box/plain.png fox
draw --size 192 --vae-tiling on -f -v -o box/tiles.png fox
grep -q '^vae: [0-9]* tiles, which changes the picture a little$' err || fail 'the tiles are not said'
run --info box/tiles.png -j
grep -q '"vae_tiling":"on"' out || fail 'tiles are not recorded'
run --info box/plain.png -j
grep -q 'vae_tiling' out && fail 'tiles are recorded'
run --verify box/tiles.png -m "$MODEL"
expect_code 0
rm box/*

cp -r "$MODEL" odd
sed -i 's/"sample_size": [0-9]*/"sample_size": 40/' odd/vae/config.json
run -m odd --vae-tiling on -o box/z.png fox
expect_error 78 "diffuse: odd/vae/config.json: 'sample_size' 40: --vae-tiling needs a multiple of 32"
run -m "$OLDPWD/test/fixtures/tiny-ddpm" --vae-tiling on -o box/z.png
expect_error 2 "diffuse: --vae-tiling: $OLDPWD/test/fixtures/tiny-ddpm has no VAE: it is a DDPMPipeline"
run -m "$MODEL" --vae-tiling some -o box/z.png fox
expect_error 2 "diffuse: --vae-tiling: expected auto, on or off, found 'some'"
run -m "$MODEL" --lowvram -o box/z.png fox
expect_code 2
tail -n 1 err | grep -q -- '--offload stage' || fail 'no hint'
expect_box
finish
