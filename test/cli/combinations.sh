#!/bin/sh
# Options that make no sense together, or without another: each is an error or a line, nothing is passed over.
root=$PWD
. "$(dirname "$0")/common"
[ -x "$BUILD/test_synthetic" ] || skip 'no test_synthetic'

# refused ARGUMENT... : a usage error whose first line is $line; $hint: the second, or ""
refused() {
    draw -o box/x.png "$@" x
    if [ -n "$hint" ]; then expect_error 2 "diffuse: $line" "hint: $hint"; else expect_error 2 "diffuse: $line"; fi
}
line='--refine-at: there is no refiner' hint='--refiner DIR' refused --refine-at 0.5
line='--lora-lenient: there is no LoRA' hint='--lora FILE' refused --lora-lenient
line="--sheet: 's.txt': expected a name ending in .png, .jpg or .webp" hint="pipe '-o -' into a converter" refused --sheet s.txt
line="--output: 's.pdf': expected a name ending in .png, .jpg or .webp" hint="pipe '-o -' into a converter" refused -o s.pdf
draw --lora-dir nowhere -o box/x.png x
expect_error 66 'diffuse: --lora-dir: nowhere: No such file or directory'
echo text >file
draw --lora-dir file -o box/x.png x
expect_error 66 'diffuse: --lora-dir: file: expected a directory'
printf '{"prompt":"x","refine-at":0.5}\n' >jobs
draw -b jobs -o box/
expect_error 2 'diffuse: jobs: line 1: --refine-at: there is no refiner' 'hint: --refiner DIR'
draw --sheet box/x.png -f -o box/x.png x
expect_error 2 'diffuse: box/x.png: --sheet has this name, too'
expect_box
# what the command line says wins over a file of options
echo '--on-exists skip --steps 3' >rc
DIFFUSE_OPTIONS_FILE=rc draw --size 16 -f -o box/x.png x
expect_code 0
printf '{"prompt":"x","on-exists":"overwrite","output":"box/x.png"}\n' >jobs
draw -b jobs --on-exists skip --size 16
expect_code 0

# --- pictures' own settings ---
for option in '-s 1' '-n bad' '--steps 5' '-c 2' '--sheet s.png' '-o y.png' '--bench 1' '--dry-run' '-f' '--save-every 1'; do
    for command in --verify --info; do
        # shellcheck disable=SC2086
        run -m "$MODEL" $command $option box/x.png
        expect_code 2
        grep -q "^diffuse: $command and --[a-z-]*: the pictures' own settings are what counts$" err || fail "$option: another message"
    done
done
DIFFUSE_OPTIONS_FILE=rc run -m "$MODEL" --verify --threads 1 box/x.png
expect_code 0
run -m "$MODEL" --verify --dump tensors -j -q box/x.png
expect_code 0
run -m "$MODEL" -n bad --size 32 --from box/x.png -f -o box/y.png
expect_code 0
grep -q '^diffuse: warning: --negative has no effect: --from, behind it, takes its place$' err || fail 'that --from replaces it is not said'
run -m "$MODEL" -c 1 --from box/x.png --negative bad -f -o box/y.png
expect_code 0
[ ! -s err ] || fail 'something is said of nothing'

# --- lines ---
said() { grep -qx "diffuse: warning: $1" err || fail "not said: $1"; }
draw --size 16 -f --on-exists skip -o box/x.png x
expect_code 0
said '--on-exists: given after --force, and holds'
draw --size 16 --on-exists skip -f -q -o box/x.png x
[ ! -s err ] || fail 'with -q, too'
draw --size 16 --no-safety-checker -f -o box/x.png x
expect_code 0
said "--no-safety-checker has no effect: $MODEL has none"
draw --size 16 --dump tensors2 -f -o box/x.png x
draw --size 16 --latents tensors2/noise.safetensors -c 3 -f -o 'box/l{n}.png' x
expect_code 0
said '--latents: all 3 pictures begin from the same noise'
expect_box l1.png l2.png l3.png x.png y.png

# the later of two holds: of prompts, and behind the prompt; an alias's are there to be changed
draw -p a -p b --dry-run
said '--prompt b: given after a, and holds'
draw x --steps 2 --steps 3 -x euler -x ddim --dry-run
said '--steps 3: given after 2, and holds; --scheduler ddim: given after euler, and holds'
draw --steps 2 x --steps 3 --sampling-method euler --scheduler karras --dry-run
grep -q holds err && fail 'what is there to be changed is said'
draw x -x euler,foo=1
expect_error 2 "diffuse: --scheduler: EulerDiscreteScheduler has no option 'foo'" 'hint: diffuse --list schedulers=euler'
draw x -x ''
expect_error 2 'diffuse: --scheduler: expected NAME[,K=V], found an empty string'
draw x --size 64x
expect_error 2 "diffuse: --size: height: expected a multiple of 8 from 8 to 8192, found ''"
draw x --control-preprocess canny:300,100
grep -q 'LOW not above HIGH' err || fail 'thresholds'
run -m box/x.png --inspect
expect_error 65 'diffuse: box/x.png: expected the directory of a checkpoint or a .safetensors file, found a PNG picture'
"$DIFFUSE" --device cpu -m "$MODEL" -i - x >out 2>err <&-
[ $? = 66 ] || fail 'closed standard input'
# a sheet that is there is refused before a directory is made
draw x -c 2 --size 16 --mkdirs -o new/ --sheet box/x.png
expect_code 73
[ ! -e new ] || fail 'a directory is left'

# --- an older dump ---
draw --size 16 --steps 3 --dump tensors2 -o box/z.png x
expect_error 73 'diffuse: --dump: tensors2: holds a dump' 'hint: -f replaces it'
draw --size 16 --steps 3 --dump tensors2 -f -o box/z.png x
expect_code 0
draw --size 16 --steps 1 --dump tensors2 -f -o box/z.png x
expect_code 0
[ "$(cd tensors2 && echo step-*)" = step-0000.safetensors ] || fail "steps of an older dump: $(ls tensors2)"

# --- masks that are black where it counts ---
cd "$work" || exit 1
(cd "$root" && "$BUILD/test_synthetic" --write "$work/masks" inpaint) || exit 1
for mask in black pixel soft; do
    run -m masks -i masks/odd.png --mask "masks/odd-$mask.png" -s 1 --steps 2 -f -o box/m.png x
    expect_code 0
    case $mask in
    soft) [ ! -s err ] || fail 'something is said of nothing' ;;
    *) said "masks/odd-$mask.png: the mask is black at every 4th pixel: nothing is painted anew" ;;
    esac
done
rm box/m.png

# --- an input that is another one now ---
cp masks/in.png in.png
run -m masks -i in.png -s 1 --steps 2 -f -o box/i.png x
expect_code 0
run -m masks --verify box/i.png
expect_code 0
draw --size 64x48 -f -o in.png x
run -m masks --verify box/i.png
expect_code 1
grep -q 'inputs\.image [0-9a-f]*, now [0-9a-f]*' out || fail "that the input differs is not said: $(cat out)"
run --info box/i.png
grep -q "^  inputs.image: $(sha256sum masks/in.png | cut -c1-64)$" out || fail "$(cat out)"

# --- a refiner is a second model: shown, and its weights' hashes kept ---
(cd "$root" && "$BUILD/test_synthetic" --write "$work/xl" xl-refined) || exit 1
run -m xl --refiner xl/refiner --inspect --steps 10
grep -q '^refiner        xl/refiner: StableDiffusionXLImg2ImgPipeline draws the last 2 of 10 rows$' out || fail "$(cat out)"
grep -q '^  unet           UNet2DConditionModel: 117356 parameters' out || fail "$(cat out)"
run -m xl --refiner xl/refiner --inspect -j
grep -q '"refiner":{"directory":"xl/refiner",.*"rows":10,"of_rows":50,"components":{"scheduler"' out || fail "$(cat out)"
run -m xl --refiner xl/refiner --show-schedule --steps 5 --tsv
[ "$(cut -f 1 out | tr '\n' ' ')" = 'row 1 2 3 4 5 ' ] || fail "$(cat out)"
run -m xl --refiner xl/refiner --show-schedule --steps 5
[ "$(grep -c 'EulerDiscreteScheduler, 5 steps, [41] model calls' out)" -eq 2 ] || fail "$(cat out)"
run -m xl --refiner xl/refiner --show-schedule --steps 5 -j
grep -q '"refiner":{"scheduler":"EulerDiscreteScheduler",' out || fail "$(cat out)"
run -m "$MODEL" --refiner "$MODEL" --show-schedule
expect_code 78
run -m xl --refiner xl/refiner --steps 5 -s 1 -f -o box/r.png x
run --info box/r.png
grep -q "^  components.refiner_unet: $(sha256sum xl/refiner/unet/diffusion_pytorch_model.safetensors | cut -c1-64)$" out || fail "$(cat out)"
rm box/r.png
# what it takes and the base does not has an effect, and all that is SDXL's comes back
refined() { run -m xl --refiner xl/refiner --refine-at 0.6 --steps 5 -s 1 -o box/r.png x "$@"; }
refined --metadata none
mv box/r.png plain.png
for alone in '--negative-original-size 20x30' '--negative-crop 3,4' '--aesthetic-score 8' '--negative-aesthetic-score 1.5'; do
    # shellcheck disable=SC2086
    refined $alone --metadata none
    expect_code 0
    [ ! -s err ] || fail 'that it has no effect is said'
    differ plain.png box/r.png
    rm box/r.png
done
refined -n dull --prompt2 'an old castle' --negative2 bad --original-size 70x30 --crop 2,3 --target-size 96x48 --negative-original-size 20x30 \
    --negative-crop 3,4 --negative-target-size 50x60 --aesthetic-score 8 --negative-aesthetic-score 1.5 --vae-tiling on
[ ! -s err ] || fail 'something is said of nothing'
run -m xl --verify box/r.png
expect_out 'box/r.png: bit-identical'
rm box/r.png

# --- what is no such file ---
: >empty.gguf
for file in empty.gguf box/i.png; do
    draw --latents $file -f -o box/x.png x
    expect_code 65
done
grep -qx 'diffuse: box/i.png: not a safetensors file but a PNG picture' err || fail 'that it is a PNG is not said'
run -m empty.gguf x
expect_error 65 'diffuse: empty.gguf: the file is empty (download cut short?)'
cp tensors2/noise.safetensors l.safetensors
draw --lora l.safetensors:nan -f -o box/x.png x
expect_error 2 "diffuse: --lora: expected a weight behind l.safetensors, found 'nan'"
draw x --lora F:
expect_error 2 "diffuse: --lora: 'F:': expected a weight behind the colon"
printf '{"prompt":"x","steps":[1]}\n' >jobs
draw -b jobs -o box/
expect_error 65 "diffuse: jobs: line 1 column 15: field 'steps': expected a number, found a list"

# --- --dry-run -j ---
draw --size 16 -c 2 --dry-run -j -o box/d.png x
expect_code 0
grep -q '^{"dry_run":true,.*"seed":1,.*"count":2,"files":\["box/d-1.png","box/d-2.png"\],"weight_bytes":[1-9].*"free_bytes":[0-9]*}$' out || fail "$(cat out)"
[ ! -e box/d-1.png ] || fail 'a picture was drawn'
run -m "$MODEL" --dry-run -j --steps 0 x
grep -q '"event":"error"' out || fail 'no error event'
run --man
grep -q 'crop.-to.-multiple' out && grep -q '{id}' out || fail 'not in the man page'
finish
