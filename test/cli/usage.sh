#!/bin/sh
# Usage errors: exit code 2, one line that names the option, a hint where there is one, nothing on stdout.
. "$(dirname "$0")/common"
try="hint: try 'diffuse --help'"

built=$DIFFUSE
DIFFUSE=$work/diffuse # where no model lies near
cp "$built" "$DIFFUSE"
run
expect_error 2 'diffuse: expected a prompt, found none' "$try"
run "a cat"
expect_error 2 'diffuse: expected a model, found none' 'hint: -m DIR, or DIFFUSE_MODEL in the environment'
DIFFUSE_MODEL= run --inspect
expect_error 2 'diffuse: expected a model, found none' 'hint: -m DIR, or DIFFUSE_MODEL in the environment'
DIFFUSE=$built
run -m "$MODEL" a cat
expect_error 2 "diffuse: expected one prompt, found a second: 'cat'" 'hint: put a prompt of several words in quotes'
run -m "$MODEL" -rf
expect_error 2 "diffuse: unknown option '-r' in '-rf'" "$try"
run -m "$MODEL" --guidanse 4 x
expect_error 2 "diffuse: unknown option '--guidanse'" "hint: did you mean --guidance?"
run -m "$MODEL" "-- a cat"
expect_error 2 "diffuse: unknown option '-- a cat'" "hint: a prompt that starts with '-' goes after '--'"
run -m "$MODEL" -s -2 x
expect_error 2 "diffuse: --seed: expected a whole number from 0 to 18446744073709551615, found '-2'" \
    'hint: leave --seed out for a random one'
run -m "$MODEL" --steps 0 x
expect_error 2 "diffuse: --steps: expected a whole number from 1 to 1000000, found '0'"
run -m "$MODEL" -g nan x
expect_error 2 "diffuse: --guidance: expected a number from 0 to 100, found 'nan'"
run -m "$MODEL" -W 511 x
expect_error 2 "diffuse: --width: expected a multiple of 8 from 8 to 8192, found '511'; the nearest are 504 and 512"
run -m "$MODEL" --crop 5 x
expect_error 2 "diffuse: --crop: expected X,Y, each from 0 to 65536, found '5'"
run -m "$MODEL" --original-size 0x5 x
expect_error 2 "diffuse: --original-size: expected WxH, each from 1 to 65536, found '0x5'"
run -m "$MODEL" --refiner "$MODEL" x
expect_error 78 'diffuse: --refiner: a StableDiffusionPipeline is not refined by a StableDiffusionPipeline: only SDXL is, by its kin'
run -m "$MODEL" -x eulr x
expect_error 2 "diffuse: --scheduler: unknown scheduler 'eulr'" "hint: did you mean 'euler'?"
run -m "$MODEL" --on-exists overwite x
expect_error 2 "diffuse: --on-exists: expected error, skip, number or overwrite, found 'overwite'" "hint: did you mean 'overwrite'?"
run -m "$MODEL" -o '{foo}.png' x
expect_error 2 "diffuse: --output: unknown field '{foo}'" \
    "hint: fields are {seed} {n} {id} {slug} {model} {scheduler} {steps} {step} {w} {h}; '{{' stands for a brace"
run -m "$MODEL" -o x.avif x
expect_error 2 "diffuse: --output: 'x.avif': expected a name ending in .png, .jpg or .webp" \
    "hint: pipe '-o -' into a converter"
run -m "$MODEL" -o - -c 2 x
expect_error 2 'diffuse: --output - and --count: expected one image on standard output'
run -m "$MODEL" -o - -j x
expect_error 2 'diffuse: --output - and --json: both write to standard output'
run -m "$MODEL" -p x y
expect_error 2 'diffuse: --prompt and a prompt operand: expected one of them'
run -m "$MODEL" "$(printf 'ab\377')"
expect_error 2 'diffuse: prompt: expected UTF-8, found an invalid byte at offset 2'
run -m "$MODEL" -o "$(printf 'x\n\033[31m.gif')" x # nothing that moves the cursor reaches the terminal
expect_error 2 "diffuse: --output: 'x\\x0a\\x1b[31m.gif': expected a name ending in .png, .jpg or .webp" \
    "hint: pipe '-o -' into a converter"

# what has no meaning here is said, once, and drawn
note() {
    shift_text=$1
    shift
    draw --size 64x64 --dry-run -o box/n.png "$@"
    expect_code 0
    [ "$(grep -c 'warning: ' err)" -eq 1 ] || fail "expected one warning, found $(grep -c 'warning: ' err)"
    grep -q "^diffuse: warning: $shift_text" err || fail "expected '$shift_text'"
}
note 'prompt: <lora:…> is text here' 'a fox <lora:x:1>'
note 'prompt: <lyco:…> or <hypernet:…> is text here, with no meaning of its own$' 'a fox <lyco:x:1>'
note 'prompt: a weight such as (red:1.4) is text here, with no meaning of its own: --prompt-syntax a1111 reads it' 'a (red:1.4) fox'
note 'prompt: an edit such as \[red:blue:0.5\] is text here, with no meaning of its own$' 'a [red:blue:0.5] fox'
note 'prompt: a weight such as ((red)) is text here, with no meaning of its own: --prompt-syntax a1111 reads it' 'a ((red)) fox'
note 'prompt: a weight such as ((red)) is text here' 'a [[red]] fox'
note 'prompt: a weight such as red++ is text here, with no meaning of its own: --prompt-syntax compel reads it' 'a red++ fox'
note 'prompt: a weight such as red++ is text here' 'a (red fox)--, snow'
note 'prompt: embedding:NAME is text here, with no meaning of its own: --embedding FILE=NAME reads it' 'a fox, embedding:snow'
note 'prompt: a choice such as {red|blue} is text here, with no meaning of its own$' 'a {red|blue} fox'
note 'prompt: a wildcard such as __colour__ is text here, with no meaning of its own$' 'a __colour__ fox'
note '--negative: a weight such as (red:1.4) is text here, with no meaning of its own: --prompt-syntax a1111 reads it' -n '(bad:1.4)' x
note '--negative: <lora:…> is text here, with no meaning of its own: --lora-dir DIR reads it' -n '<lora:a:1>' x
note 'prompt: BREAK is text here, with no meaning of its own: --prompt-syntax a1111 reads it' 'a fox BREAK a cat'
note "prompt: \"help\" is drawn; 'diffuse --help' is the option" help
note "prompt: \"Version\" is drawn; 'diffuse --version' is the option" Version
echo 'a fox' >p.txt
note 'prompt: the name of a file, p.txt, is drawn as text' p.txt
note 'prompt: the name of a file, p.txt, is drawn as text' @p.txt
note '--eta has no effect: EulerDiscreteScheduler has none' --eta 0.5 -x euler x
note '--guidance-rescale has no effect: --guidance is 1 or less' -g 1 --guidance-rescale 0.5 x
note '--negative has no effect: --guidance is 1 or less' -g 1 -n y x
note '--prompt2 has no effect: the model has no second text encoder' --prompt2 y x
note '--original-size has no effect: this is no SDXL model' --original-size 9x9 x
note '--negative-crop has no effect: this is no SDXL model' --negative-crop 1,2 x
note '--aesthetic-score has no effect: this is no refiner' --aesthetic-score 5 x
note '--batch-size 4 has no effect on one picture: --count draws more' --batch-size 4 x
note '--save-every 2 has no effect: the picture is done after 2 model calls' --save-every 2 --steps 2 -x ddim x
note '--long-prompts has no effect: --prompt-syntax a1111 has long prompts go on anyway' --long-prompts --prompt-syntax a1111 x
note '--lora-dir has no effect: no prompt has <lora:NAME:X>' --lora-dir box x
cp "$MODEL/../recorded/a1111.png" a.png && cp a.png b.png
note '--image b.png: given after a.png, and holds' -i a.png -i b.png --strength 1 x
echo x >a.txt && cp a.txt b.txt
note '--batch b.txt: given after a.txt, and holds' -b a.txt -b b.txt
draw --dry-run -o box/n.png --from a.png --from b.png x
grep -q '^diffuse: warning: --from b.png: given after a.png, and holds$' err || fail 'not said'
for unused in --long-prompts '--prompt-syntax a1111'; do
    # shellcheck disable=SC2086
    run -m "$MODEL/../tiny-ddpm" -s 1 --dry-run -o box/n.png $unused
    grep -q "^diffuse: warning: ${unused%% *} has no effect on a model without a prompt$" err || fail "$unused is not told of"
done
for beside in '--list schedulers:steps' '--list models:seed' '--show-schedule:guidance' '--inspect:seed'; do
    # shellcheck disable=SC2086
    run -m "$MODEL" ${beside%:*} --${beside#*:} 3
    expect_code 0
    [ "$(grep -v '^no models in ' err)" = "diffuse: warning: --${beside#*:} has no effect on $(echo "${beside%:*}" | cut -d ' ' -f 1)" ] || fail 'not said'
done
draw --save-every 1 --steps 2 -x ddim --batch-size 2 -c 2 --dry-run -o box/n.png x
grep -q 'has no effect' err && fail 'it has'
draw --dry-run -o box/n.png 'a fox (in the snow, no 2), 3:4 [b]'
grep -q warning err && fail 'a warning about nothing'
what='a prompt of several lines on standard input'
printf 'a\nb\n' | "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --size 64x64 --dry-run -o box/n.png - >out 2>err
code=$?
expect_code 0
grep -q '^diffuse: warning: prompt: all lines of standard input are one prompt$' err || fail 'not said'
draw -W 16 --steps 1 -o box/wide.png x
expect_code 0
grep -q "^diffuse: warning: width alone was given: height is the model's own, [0-9]*$" err || fail 'not said'
pngcheck box/wide.png | grep -q '16x' || fail "$(pngcheck box/wide.png)"
rm box/wide.png
run -m nonesuch x
expect_error 66 'diffuse: nonesuch: no such directory, and not in the Hugging Face cache' 'hint: -m DIR, or ORG/NAME as Hugging Face has it'
for option in '--lora FILE' '--embedding FILE' '--control DIR' '--vae DIR' '--refiner DIR'; do
    draw -o box/a.png ${option% *} nonesuch --control-image "$MODEL/model_index.json" x
    expect_error 66 'diffuse: nonesuch: no such directory, and not in the Hugging Face cache' \
        "hint: $option, or ORG/NAME as Hugging Face has it"
done
run -m "$MODEL" --taesd x y
expect_error 2 "diffuse: option '--taesd' is not supported" "hint: the checkpoint's own VAE is used"
run -m "$MODEL" --vae x y
expect_error 66 'diffuse: x: no such directory, and not in the Hugging Face cache' 'hint: --vae DIR, or ORG/NAME as Hugging Face has it'
for option in --vae --refiner --control --lora --embedding; do
    draw -o box/a.png $option x:y --control-image "$MODEL/model_index.json" x
    expect_error 2 "diffuse: $option 'x:y': no such directory, and not the name of a repository (ORG/NAME)"
done
run -m x:1 y
expect_error 2 "diffuse: model 'x:1': no such directory, and not the name of a repository (ORG/NAME)"
for option in --lora --embedding; do
    draw -o box/a.png $option org/name@v1 x
    expect_error 66 'diffuse: org/name@v1: no such directory, and not in the Hugging Face cache' \
        "hint: hf download org/name --revision v1 --include '*.safetensors'"
done
run -m "$MODEL" --config x y
expect_error 2 "diffuse: --config: $MODEL is no .safetensors file: it has a configuration of its own"
printf '\200\002}q' >v1.ckpt
run -m v1.ckpt x
expect_code 65
grep -q '^hint: convert it where you trust it' err || fail 'how to convert it is not said'
run -m "$MODEL" -b 4 x
expect_error 2 "diffuse: --batch: expected a file of jobs or -, found '4'" 'hint: -c 4 draws so many images; ./4 is the file'
what='DIFFUSE_DEVICE=abacus'
DIFFUSE_DEVICE=abacus "$DIFFUSE" -m "$MODEL" x >out 2>err
code=$?
expect_error 2 "diffuse: DIFFUSE_DEVICE: expected auto, cpu or cuda, found 'abacus'"

what='a prompt on standard input that is too long'
head -c 70000 /dev/zero | tr '\0' a | "$DIFFUSE" -m "$MODEL" - >out 2>err
code=$?
expect_error 2 'diffuse: prompt: expected at most 65536 bytes, found more'
what='a prompt on standard input with a NUL'
printf 'a\0b' | "$DIFFUSE" -m "$MODEL" - >out 2>err
code=$?
expect_error 2 'diffuse: prompt: standard input: expected text, found a NUL byte at offset 1'
what='an endless prompt on standard input'
timeout 20 "$DIFFUSE" -m "$MODEL" - </dev/zero >out 2>err
code=$?
expect_error 2 'diffuse: prompt: standard input: expected text, found a NUL byte at offset 0'
finish
