#!/bin/sh
# The program on the emulated CUDA device: which device is taken, what each type draws, where memory ends, what is said of the time.
root=$PWD
. "$(dirname "$0")/common"
DIFFUSE=$(dirname "$DIFFUSE")/emu/diffuse
[ -x "$DIFFUSE" ] || skip "no $DIFFUSE"
DDPM=$root/test/fixtures/tiny-ddpm
unset EMU_DEVICES EMU_ARCH EMU_MEMORY EMU_LAZY EMU_SKIP EMU_REPORT

# fox and cat ARGUMENT...: the smallest pictures, on the GPU.
fox() { draw --device cuda --size 64x64 --metadata none "$@" 'a fox'; }
cat_picture() { run --device cuda -m "$DDPM" -s 1 --steps 2 --metadata none "$@"; }

# --- types: fp16 is the default ---
fox --steps 2 -o box/auto.png
expect_code 0
expect_out box/auto.png
[ ! -s err ] || fail 'stderr is not empty'
expect_png box/auto.png
for type in fp32 bf16 fp16; do
    fox --steps 2 --dtype $type -o box/$type.png
    expect_code 0
done
expect_same box/auto.png box/fp16.png
differ box/fp16.png box/bf16.png
differ box/fp16.png box/fp32.png
fox --steps 2 --vae-dtype fp32 --dump dump32 -o box/vae32.png
expect_code 0
differ box/fp16.png box/vae32.png
fox --steps 2 --dump dump16 -o box/again.png # launch by launch, not as a graph
expect_same box/fp16.png box/again.png
expect_same dump16/step-0002.safetensors dump32/step-0002.safetensors
grep -q '"dtype":"fp16","device":"cuda:0","product":"emulated"}' dump16/request.json || fail "$(cat dump16/request.json)"
grep -q '"vae_dtype":"fp32",.*"dtype":"fp16","device":"cuda:0","product":"emulated"}' dump32/request.json || fail "$(cat dump32/request.json)"

# --- kernels that wait for each other from their beginning ---
DIFFUSE_PDL=0 EMU_ARCH=90 fox --steps 2 -o box/turns.png
EMU_ARCH=90 fox --steps 2 -o box/early.png
expect_same box/turns.png box/early.png
DIFFUSE_PDL=maybe fox --steps 1 -o box/z.png
expect_code 2
grep -qx "diffuse: DIFFUSE_PDL: expected 0 or 1, found 'maybe'" err || fail "$(cat err)"

# --- noise of the GPU in use, and it is recorded so that another machine can draw it ---
for n in 8 3; do
    EMU_SM=$n fox --steps 1 --rng cuda --dump noise -f -o box/noise.png
    grep -q "\"rng\":\"cuda:$n\"" noise/request.json || fail "$(cat noise/request.json)"
done
run --device cpu -m "$MODEL" -s 1 --steps 1 --size 64x64 --rng cuda --dump noise -f -o box/noise.png x
grep -q '"rng":"cuda:132"' noise/request.json || fail "$(cat noise/request.json)"
unset EMU_SM
rm -r noise box/noise.png

# --- fp16 ends at 65504: said, and the picture drawn with more range ---
header='{"latents":{"dtype":"F32","shape":[1,4,8,8],"data_offsets":[0,1024]}}'
{
    safetensors "$header"
    head -c 1024 /dev/zero | tr '\0' F # 12690 each
} >large.safetensors
fox --latents large.safetensors -o box/z.png
expect_error 70 'diffuse: decoded image: 12288 of 12288 values are not finite: no picture made' 'hint: --vae-dtype fp32, or bf16'
fox --latents large.safetensors --vae-dtype fp32 -o box/large.png
expect_code 0
rm box/*

# --- pictures on the way, several pictures, and the same bytes each time ---
cat_picture --steps 4 -o box/plain.png
expect_code 0
cat_picture --steps 4 --save-every 2 -o box/cat.png
expect_out box/cat-step0002.png box/cat.png
expect_same box/plain.png box/cat.png
differ box/cat-step0002.png box/cat.png
cat_picture -c 2 --batch-size 2 -o box/two.png
expect_code 0
why='here an image'\''s last bits depend on what is computed with it'
printf '%s\n' "diffuse: warning: --batch-size 2: pictures are drawn one by one on cuda:0: $why" >expected
expect_same expected err
run --device cuda -m "$DDPM" -s 2 --steps 2 --metadata none -o box/second.png
expect_same box/two-2.png box/second.png
# what another device and type would draw is told of
run --device cuda -m "$DDPM" -s 1 --steps 2 --size 32 -o box/recorded.png
run --device cpu -m "$DDPM" --dtype fp32 --verify box/recorded.png
grep -q '; dtype fp16, now fp32; device cuda:0, now cpu; isa none, now [a-z0-9]*$' out || fail "$(cat out)"
rm box/recorded.png
cat_picture -c 2 -j -o box/json.png # the weights arrive behind the first picture
sed 's/.*"event":"\([a-z]*\)".*/\1/' out | tr '\n' ' ' >order
[ "$(cat order)" = 'start step step load image step step image end ' ] || fail "events: $(cat order)"
rm box/*

# --- which device ---
cat_picture --device cuda:0 -o box/a.png
expect_code 0
cat_picture --device cuda:3 -o box/z.png
expect_error 69 'diffuse: --device cuda: GPU 3: there is only 1' 'hint: --device cpu works everywhere'
run --device auto -m "$DDPM" -s 1 --steps 2 --metadata none -o box/auto.png
expect_same box/a.png box/auto.png
run -m "$DDPM" -s 1 --steps 2 --metadata none -o box/cpu.png
export EMU_DEVICES=0
run --device auto -m "$DDPM" -s 1 --steps 2 --metadata none -f -o box/auto.png
expect_code 0
printf 'diffuse: no NVIDIA GPU was found: using the CPU\n' >expected
expect_same expected err
expect_same box/cpu.png box/auto.png
run --device auto -q -m "$DDPM" -s 1 --steps 2 -f -o box/auto.png
expect_code 0
[ ! -s err ] || fail 'stderr is not empty, with -q'
cat_picture -o box/z.png
expect_error 69 'diffuse: --device cuda: no NVIDIA GPU was found' 'hint: --device cpu works everywhere'
# of several, one is chosen, or the one that is named
export EMU_DEVICES=3
run --device auto -m "$DDPM" -s 1 --steps 2 --metadata none -f -v -o box/one.png
expect_code 0
grep -q 'cuda:1' err || fail "not the one with most free memory: $(cat err)"
cat_picture --device cuda:2 -f -v -o box/two.png
expect_code 0
grep -q 'cuda:2' err || fail "cuda:2 was not used"
expect_same box/one.png box/two.png
rm box/one.png box/two.png
unset EMU_DEVICES
# a driver that is too old says which, and what is needed
EMU_DRIVER=12040 cat_picture -o box/z.png
expect_error 69 'diffuse: --device cuda: the NVIDIA driver is for CUDA 12.4, this program needs one for 13.0 or later' 'hint: --device cpu works everywhere'
EMU_DRIVER=0 cat_picture -o box/z.png
expect_error 69 'diffuse: --device cuda: no NVIDIA driver was found' 'hint: --device cpu works everywhere'
# code that the driver made of an older GPU's has no tensor cores
EMU_ARCH=90 EMU_CODE=75 cat_picture -f -o box/old.png
expect_code 0
rm box/old.png

# --- a stream that does nothing before it must: what it reads of the host's memory is still there ---
EMU_LAZY=1 "${DIFFUSE%/*}/test_cuda_sched_step" test_rows >lazy 2>&1 || fail "$(tail -n 5 lazy)"
rm -f lazy

# --- memory: known before the first step ---
export EMU_MEMORY=10000000
for option in --verbose --dry-run --json; do
    cat_picture $option -o box/z.png
    expect_code 71
    grep -q '^diffuse: cuda:0: out of memory: 0\.[0-9]* GB needed, 0.010 GB free$' err || fail 'need and free are not named'
    [ "$(tail -n 1 err)" = 'hint: a smaller --size, or --device cpu' ] || fail 'no hint'
    grep -q '"event":"step"' out && fail 'a step was taken'
done
cat_picture --dtype fp32 -o box/z.png
[ "$(tail -n 1 err)" = 'hint: a smaller --size, --dtype fp16, or --device cpu' ] || fail 'no hint'
unset EMU_MEMORY

# --- SDXL at 1024x1024 in 8 GiB: part by part; larger ones in tiles ---
make_checkpoint=${DIFFUSE%/emu/*}/make_checkpoint
"$make_checkpoint" sdxl sdxl "$root/test/fixtures/tokenizer/clip" --sparse --dtype F16 || fail "make_checkpoint: exit code $?"
sdxl() { EMU_MEMORY=$((8 << 30)) run --device cuda -m sdxl --dry-run "$@" 'a cat'; }
sdxl
expect_code 0
grep -Eq '^memory: .*: 5\.[0-9]* GB of 8\.590 GB free on cuda:0, a part at a time$' err || fail 'not in 8 GiB'
grep -Eq '^stages: text 1\.[0-9]* GB, denoise 5\.[0-9]* GB, decode 3\.[0-9]* GB$' err || fail 'stages'
sdxl --offload none
expect_code 71
[ "$(tail -n 1 err)" = 'hint: --offload auto has a part of the model in memory at a time' ] || fail 'no hint'
sdxl --size 2048
expect_code 0
[ "$(grep -c 'the VAE works in tiles' err)" = 1 ] || fail 'tiles are not told once'
sdxl --size 2048 --vae-tiling off
expect_code 71
rm -r sdxl
# a small model, drawn: in memory for its largest part and no more
doodle() { run --device cuda -m "$root/models/doodle" -s 1 --steps 1 -g 1 "$@" 'a cat'; }
doodle --dry-run
parts=$(sed -n 's/^with --offload stage: //p' err | grep -o '[0-9.]* GB' | sort -n | tail -n 1 | awk '{print $1 * 1e9 + 1e6}')
doodle -o box/whole.png
EMU_MEMORY=$parts doodle -v -o box/parts.png
expect_code 0
grep -q ', a part at a time$' err || fail 'it fits as a whole'
expect_same box/whole.png box/parts.png
EMU_MEMORY=$parts doodle --offload none -o box/z.png
expect_code 71
rm box/whole.png box/parts.png

cat_picture --dry-run -o box/z.png
expect_code 0
grep -Eq '^memory: .*: 0\.[0-9]+ GB of [0-9.]+ GB free on cuda:0$' err || fail 'no forecast'
expect_box a.png auto.png cpu.png

# --- time ---
fox -v -o box/v.png
[ "$(lines)" = 'memory,start,load,text,steps,vae,png,products,peak memory,' ] || fail "lines: $(lines)"
grep -q '^products: cuBLASLt 13\.[0-9.]* and own kernels$' err || fail 'who computes products is not said'
grep -Eq '^start: .* ms \(files .* ms, cuda:0 .* ms, plan .* ms\)$' err || fail 'no start'
# what was planned is what is taken, to 5 %
awk '/^peak memory/ {gsub(/[(]/, ""); exit !($3 >= 0.95 * $6 && $3 <= 1.05 * $6)}' err || fail 'the forecast is off'
cat_picture --bench 2 -j
expect_code 0
for part in '"bench":2,' '"model_calls":2,' '"ms":{"step":{"median":[0-9.]*,"p95":[0-9.]*,"min":[0-9.]*},"image":{' '"load_ms":[0-9.]*,' \
    '"peak_bytes":[1-9][0-9]*,' '"dtype":"fp16","device":"cuda:0"[,}]'; do
    grep -q "$part" out || fail "no $part in $(cat out)"
done
finish
