#!/bin/sh
# The settings that travel with a picture: --from draws it again, --verify compares, --info prints.
. "$(dirname "$0")/common"

# expect_drawn A B: the same bytes but for the request's hash, which is of what was asked for: defaults there, all that is recorded here.
expect_drawn() {
    [ "$(wc -c <"$1")" -eq "$(wc -c <"$2")" ] || fail "$1 and $2 are of different sizes"
    cmp -l "$1" "$2" >bytes || true
    [ "$(wc -l <bytes)" -le 136 ] || fail "$1 and $2 differ in $(wc -l <bytes) bytes"
}
others=${MODEL%/*}/recorded

# draw_as NAME ARGUMENT...: a picture with settings of its own.
draw_as() {
    name=$1
    shift
    run -m "$MODEL" -q -o "$name" "$@"
    expect_code 0
}

# Every setting comes back: the same bytes, metadata among them, from PNG, JPEG and WebP.
for name in a.png a.jpg a.webp; do
    draw_as $name 'a cat, é 灯台' -n 'ugly
on two lines' -s 18446744073709551615 --steps 3 -g 2.5 --guidance-rescale 0.5 --size 64x32 -x 'dpm++2m,karras,algorithm_type=sde-dpmsolver++' \
        --clip-skip 1 --rng cuda:40 --rng-dtype bf16 --vae-dtype fp32
    run -m "$MODEL" --from $name -q -o again-$name
    expect_code 0
    expect_drawn $name again-$name
done
draw_as ddim.png '' -s 3 --steps 2 -x ddim --eta 0.5
run -m "$MODEL" --from ddim.png -o again.png
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
expect_drawn ddim.png again.png

# One that began from another, too.
draw_as image.png 'a dog' -i a.png --strength 0.5 -s 2 --steps 4 --resize crop --mask a.jpg --invert-mask --mask-blur 2
run -m "$MODEL" --from image.png -q -o again-image.png
expect_drawn image.png again-image.png

# Later options win, an operand is the prompt, what stood before is the picture's.
draw_as wanted.png 'a fox' -s 3 --steps 4 -x ddim --eta 0.5
run -m "$MODEL" -x euler -n bad --from ddim.png --steps 4 -q -o won.png 'a fox'
expect_drawn wanted.png won.png
run -m "$MODEL" --from ddim.png -p 'a fox' --steps 4 -q -f -o won.png
expect_drawn wanted.png won.png

# They are the defaults of a batch, whose lines have prompts of their own.
echo 'a fox' >prompts.txt
run -m "$MODEL" --from ddim.png --steps 4 -q -b prompts.txt -o box/{id}.png
expect_code 0
expect_drawn wanted.png box/00000001.png

# The model it names, where it says which: a repository in the cache, at the same commit.
commit=0123456789abcdef0123456789abcdef01234567 repo=$PWD/hub/models--org--name
mkdir -p "$repo/snapshots" "$repo/refs"
cp -r "$MODEL" "$repo/snapshots/$commit"
printf %s $commit >"$repo/refs/main"
export HF_HUB_CACHE=$PWD/hub
run -m org/name -q x -s 1 --steps 1 -o hub.png
expect_code 0
run --from hub.png -o again-hub.png
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
expect_drawn hub.png again-hub.png
run --info again-hub.png
grep -qx '  model: org/name' out && grep -qx "  revision: $commit" out || fail 'no model'
# a directory's name does not say where it is
DIFFUSE_MODEL=${MODEL%/*}/tiny-sd2 "$DIFFUSE" --device cpu --from a.png --dry-run 2>err
what='--from, and another model'
grep -qx "diffuse: warning: a.png: drawn with the model 'tiny-sd1', now with 'tiny-sd2': -m DIR says which" err || fail 'nothing of the model'

# Other programs' pictures: what maps, and a line for each that does not.
run -m "$MODEL" --from "$others/comfy.png" --steps 1 --size 32 -o comfy.png
expect_code 0
printf '%s\n' "diffuse: warning: $others/comfy.png: ckpt_name: v1-5.safetensors: not taken: -m says which model" >expected
expect_same expected err
draw_as mine.png 'a galaxy bottle' -n 'text, watermark' -s 156680208700286000 --steps 1 -g 8 --size 32 -x dpm++2m,karras
run --info -j mine.png
sed 's/.*"settings"/"settings"/; s/"dpm++2m,karras"/"dpmpp_2m,karras"/' out | sed 's/"request":"[0-9a-f]*",*//' >mine
run --info -j comfy.png
sed 's/.*"settings"/"settings"/' out | sed 's/"request":"[0-9a-f]*",*//' >theirs
expect_same mine theirs
cmp -s mine.png comfy.png && fail 'the spelling of the scheduler is recorded as it was given'
# noise levels that the sampler has there and not here; of a WebP no sum is taken
LC_ALL=C sed 's/"dpmpp_2m"/"euler_a" /' "$others/comfy.webp" >ancestral.webp
run -m "$MODEL" --from ancestral.webp --steps 1 --size 32 -o ancestral.png
expect_code 0
printf 'diffuse: warning: ancestral.webp: %s\n' \
    "scheduler: karras: not taken: diffusers' scheduler of this sampler has no such noise levels" \
    'ckpt_name: v1-5.safetensors: not taken: -m says which model' >expected
expect_same expected err
run --info ancestral.webp
grep -qx '  scheduler: euler_a' out && grep -q '^  not taken: scheduler: karras (' out || fail "says $(cat out)"
run -m "$MODEL" --from "$others/none.png"
expect_error 65 "diffuse: $others/none.png: no settings in it: expected those of diffuse, AUTOMATIC1111, ComfyUI, InvokeAI, sd.cpp or mflux" \
    'hint: --metadata minimal and none leave them out'
run -m "$MODEL" --from nowhere.png
expect_error 66 'diffuse: nowhere.png: No such file or directory'
run -m "$MODEL" --from ''
expect_error 2 'diffuse: --from: expected a picture, found an empty string'

# --info: text, JSON a line each; one of several that has none is reported, the others go on.
run --info ddim.png
expect_code 0
[ "$(head -n 3 out)" = 'ddim.png: diffuse 0.1.0
  prompt: 
  negative: ' ] || fail 'not its settings'
grep -qx '  isa: .*' out && grep -qx '  device: cpu' out || fail 'no facts'
run --info -j ddim.png a.jpg
expect_code 0
[ "$(wc -l <out)" -eq 2 ] || fail 'expected a line for each'
head -n 1 out | grep -q '^{"file":"ddim.png","program":"diffuse 0.1.0","settings":{"prompt":"",.*"eta":0.5,.*"facts":{.*"not_taken":\[\]}$' || fail 'not its settings'
tail -n 1 out | grep -q '"quality":"90"' || fail 'no quality'
run --info "$others/none.png" ddim.png nowhere.png
expect_code 1
[ "$(head -n 1 out)" = 'ddim.png: diffuse 0.1.0' ] && [ "$(wc -l <err)" -eq 2 ] || fail 'not one and two'
run --info -
expect_error 65 'diffuse: standard input: expected a PNG, JPEG or WebP picture, found an empty file'
"$DIFFUSE" --info - <ddim.png >out 2>err
sed 's/^standard input:/ddim.png:/' out >piped
run --info ddim.png
expect_same out piped
run --from - x
expect_error 2 'diffuse: --from: expected a file, found -'
run --info
expect_error 2 'diffuse: --info: expected pictures, found none'
run --info --verify a.png
expect_error 2 'diffuse: --verify: another of --inspect, --info, --verify, --tokens, --show-schedule and --list is given too, expected one'

# --verify: the same; nearly; and what differs. Its codes: 0, 1, and those of what went wrong.
run -m "$MODEL" --verify a.png ddim.png a.jpg a.webp image.png
expect_code 0
expect_out 'a.png: bit-identical' 'ddim.png: bit-identical' 'a.jpg: bit-identical' 'a.webp: bit-identical' 'image.png: bit-identical'
run -m "$MODEL" --verify ddim.png -j
expect_out '{"file":"ddim.png","verdict":"identical","max":0,"values":0,"of":49152,"differs":{}}'
"$DIFFUSE" --device cpu -m "$MODEL" --verify - <ddim.png >out 2>err
expect_out 'standard input: bit-identical'
run -m "${MODEL%/*}/tiny-sd2" --verify ddim.png
expect_code 1
grep -q '^ddim.png: differs by up to [0-9]* levels in [0-9]* of 49152 values; .*model tiny-sd1, now tiny-sd2' out || fail "says $(cat out)"
# another version of the program; of a JPEG no sum is taken
sed 's/diffuse 0\.1\.0/diffuse 0.0.9/g; s/"version":"0\.1\.0"/"version":"0.0.9"/g' a.jpg >old.jpg
run -m "${MODEL%/*}/tiny-sd2" --verify old.jpg
expect_code 1
grep -q '^old.jpg: differs .*; version 0\.0\.9, now 0\.1\.0' out || fail "says $(cat out)"
run -m "$MODEL" --verify ddim.png nowhere.png
expect_code 1
[ "$(cat out)" = 'ddim.png: bit-identical' ] || fail "says $(cat out)"
# of several, the picture is named whose input is gone
draw_as begun.png x -i ddim.png --strength 0.5 --steps 2
mv ddim.png gone.png
run -m "$MODEL" --verify gone.png begun.png
mv gone.png ddim.png
expect_code 1
grep -q '^diffuse: begun\.png: .*ddim\.png: No such file or directory$' err || fail "says $(cat err)"
run -m "$MODEL" --verify nowhere.png
expect_error 66 'diffuse: nowhere.png: No such file or directory'
"$DIFFUSE" --device cpu -m "$MODEL" -q -i - x -s 1 --strength 0.5 --steps 2 -o piped.png <ddim.png >out 2>err
run -m "$MODEL" --verify piped.png
expect_error 65 'diffuse: piped.png: cannot be verified: it began from standard input'
run -m "$MODEL" --verify piped.png ddim.png
expect_code 1
[ "$(cat err)" = 'diffuse: piped.png: cannot be verified: it began from standard input' ] || fail "says $(cat err)"
expect_out 'ddim.png: bit-identical'
draw_as steps.png x -s 1 --steps 2 --save-every 1
run -m "$MODEL" --verify steps-step0001.png
expect_error 65 'diffuse: steps-step0001.png: saved on the way, after step 1: expected a finished picture'
if command -v python3 >/dev/null && python3 -c 'import zlib' 2>/dev/null; then
    # one level up in the first value: 'up' of a filtered row changes the rest of the row by as much, so the last value of the last row
    python3 - <<'P'
import struct, zlib
data, out, idat = open('ddim.png', 'rb').read(), b'\x89PNG\r\n\x1a\n', b''
chunks, at = [], 8
while at < len(data):
    n, kind = struct.unpack('>I4s', data[at:at + 8])
    chunks.append((kind, data[at + 8:at + 8 + n])); at += n + 12
raw = bytearray(zlib.decompress(b''.join(b for k, b in chunks if k == b'IDAT')))
raw[-1] = (raw[-1] + 1) % 256
done = False
for kind, body in chunks:
    if kind == b'IDAT':
        if done: continue
        body, done = zlib.compress(bytes(raw)), True
    out += struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
open('close.png', 'wb').write(out)
P
    run -m "$MODEL" --verify close.png
    expect_code 0
    expect_out 'close.png: within 1 level: 1 of 49152 values; nothing that is recorded differs'
fi
finish
