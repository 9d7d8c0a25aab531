#!/bin/sh
# What each option that changes the picture or the files does, from the command line to the disk.
root=$PWD
. "$(dirname "$0")/common"
SD2=$root/test/fixtures/tiny-sd2

# --dump, and its noise given back by --latents: the same picture, whatever the seed
draw --size 64x64 -s 5 --dump tensors -o box/a.png x
expect_code 0
[ "$(ls tensors | tr '\n' ' ')" = 'image.safetensors noise.safetensors request.json step-0000.safetensors text.safetensors ' ] ||
    fail "dumped: $(ls tensors)"
grep -q '"seed":5,' tensors/request.json || fail "request.json: $(cat tensors/request.json)"
draw --size 64x64 -s 6 --latents tensors/noise.safetensors --metadata none -o box/b.png x
draw --size 64x64 -s 5 --metadata none -o box/c.png x
draw --size 64x64 -s 6 --metadata none -o box/d.png x
expect_same box/b.png box/c.png
differ box/b.png box/d.png
draw --size 128x64 --latents tensors/noise.safetensors -o box/e.png x
expect_error 78 "diffuse: tensors/noise.safetensors: tensor 'noise': expected shape [1,4,8,16]"
draw --latents nowhere.safetensors -o box/e.png x
expect_code 66
# of two that contradict each other the later holds, and that is said
draw -W 64 --size 128 --dry-run -q x
! grep -q holds err || fail '-q says which size holds'
draw -H 64 -W 64 --size 128x64 -o box/later.png x
expect_code 0
grep -q '^diffuse: warning: --size 128x64: given after 64x64, and holds$' err || fail 'which size holds is not said'
[ "$(wc -l <err)" -eq 1 ] || fail 'more is said'
pngcheck box/later.png | grep -q 128x64 || fail 'the later size does not hold'
rm -f box/later.png
draw -c 2 --size 64x64 --dump several -o box/f.png x
[ "$(ls several | tr '\n' ' ')" = 'seed-1 seed-2 ' ] || fail "dumped: $(ls several)"

# the generator, its type, guidance and its rescaling each make another picture
draw --size 64x64 -s 5 --metadata none --rng cuda -o box/cuda.png x
differ box/c.png box/cuda.png
draw --size 64x64 -s 5 --metadata none --rng cuda:40 -o box/cuda40.png x # one multiprocessor or a hundred: only large draws differ
expect_same box/cuda.png box/cuda40.png
draw --size 64x64 -s 5 --metadata none --rng-dtype fp16 -o box/half.png x
differ box/c.png box/half.png
draw --size 64x64 -s 5 --metadata none -g 1 -o box/g1.png x
differ box/c.png box/g1.png
draw --size 64x64 -s 5 --metadata none -g 3 -n y -o box/g3.png x
draw --size 64x64 -s 5 --metadata none -g 3 -n y --guidance-rescale 1 -o box/rescaled.png x
differ box/g3.png box/rescaled.png
draw --size 64x64 -s 5 --metadata none -g 3 -o box/plain.png x
differ box/g3.png box/plain.png
draw --size 64x64 -s 5 --metadata none --clip-skip 2 -o box/skip.png x
differ box/c.png box/skip.png
draw --clip-skip 4 -o box/z.png x
expect_error 2 'diffuse: --clip-skip 4: the text encoder has 3 layers'

# --variant: this checkpoint has it for the UNet alone, the other components fall back in silence
run -m "$SD2" -s 1 --steps 1 --size 64x64 --metadata none -o box/v32.png x
run -m "$SD2" --variant fp16 -s 1 --steps 1 --size 64x64 --metadata none -o box/v16.png x
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
differ box/v32.png box/v16.png
run -m "$SD2" --variant fp16 --inspect --json
grep -q '"unet":{"class":"UNet2DConditionModel",[^}]*"variant":"fp16","dtypes":\["F16"\]}' out || fail "$(cat out)"
grep -q '"vae":{"class":"AutoencoderKL",[^}]*"variant":null,"dtypes":\["F32"\]}' out || fail "$(cat out)"
grep -q '"scheduler":"DDIMScheduler","prediction_type":"v_prediction"' out || fail "$(cat out)"
run -m "$SD2" --variant nope --inspect
expect_code 66

# a name in the Hugging Face cache
snapshot=cache/models--someone--tiny/snapshots/0123456789abcdef0123456789abcdef01234567
mkdir -p cache/models--someone--tiny/refs "$(dirname $snapshot)"
ln -s "$MODEL" $snapshot
printf 0123456789abcdef0123456789abcdef01234567 >cache/models--someone--tiny/refs/main
export HF_HUB_CACHE="$work/cache"
run -m someone/tiny -s 5 --steps 1 --size 64x64 --metadata none -o box/hub.png x
expect_code 0
expect_same box/c.png box/hub.png
run -m someone/else -o box/z.png x
expect_code 66
grep -q "^hint: .*hf download someone/else --include '\*.json' .*--include '\*/model.safetensors'" err || fail 'no hf download line, or one of 40 GB'

# types there are none of
draw --dtype fp16 -o box/z.png x
expect_error 69 'diffuse: --dtype fp16: the CPU device computes in fp32 or bf16' 'hint: --dtype fp32 or bf16'
draw --vae-dtype fp16 -o box/z.png x
expect_error 69 'diffuse: --vae-dtype fp16: the CPU device computes in fp32 or bf16' 'hint: --vae-dtype fp32 or bf16'

# --vae-dtype: another picture from the same latents, and said in the metadata only where it was given
draw --size 64x64 -s 5 --dump dumped -o box/in32.png x
grep -q vae_dtype dumped/request.json && fail 'a VAE type nobody gave'
draw --size 64x64 -s 5 --metadata none --vae-dtype fp32 -o box/vae32.png x
expect_same box/c.png box/vae32.png
draw --size 64x64 -s 5 --dump dumped16 --metadata none --vae-dtype bf16 -o box/vae16.png x
if grep -q avx512_bf16 /proc/cpuinfo; then
    expect_code 0
    differ box/c.png box/vae16.png
    expect_same dumped/step-0000.safetensors dumped16/step-0000.safetensors
    grep -q '"vae_dtype":"bf16",.*"dtype":"fp32"' dumped16/request.json || fail "request.json: $(cat dumped16/request.json)"
else
    expect_error 69 'diffuse: --vae-dtype bf16: this CPU has no bf16 arithmetic (avx512_bf16)' 'hint: --vae-dtype fp32'
fi

grep -q amx_bf16 /proc/cpuinfo || {
    draw --dtype bf16x3 -o box/z.png x
    expect_error 69 'diffuse: --dtype bf16x3: this CPU has no AMX' 'hint: --dtype fp32'
}

# f32 by three products of bf16, as by AMX: said, drawn again as such or, without, in fp32; a VAE in fp32 there is none of
export DIFFUSE_ISA=amx_twin
draw --size 64x64 -s 5 --dtype bf16x3 --dump dumped-x3 -o box/x3.png x
expect_code 0
grep -q '"dtype":"bf16x3"' dumped-x3/request.json || fail "request.json: $(cat dumped-x3/request.json)"
run -m "$MODEL" --verify box/x3.png
expect_code 0
grep -q identical out || fail "$(cat out)"
differ dumped/step-0000.safetensors dumped-x3/step-0000.safetensors
draw --size 64x64 --dtype bf16x3 --vae-dtype fp32 -o box/z.png x
expect_error 2 'diffuse: --vae-dtype fp32: with --dtype bf16x3 the VAE computes in bf16x3 as well' 'hint: --vae-dtype auto'
export DIFFUSE_ISA=avx2
run -m "$MODEL" --verify box/x3.png
expect_code 0
grep -q '^diffuse: warning: the picture was drawn in bf16x3, which the CPU has not: fp32$' err || fail "$(cat err)"
unset DIFFUSE_ISA

# where the options of the scheduler come from
draw --size 64x64 -x euler:karras -v -o box/karras.png x
grep -q '^EulerDiscreteScheduler: option: use_karras_sigmas$' err || fail 'no origin'
grep -q '^EulerDiscreteScheduler: inherited: .*beta_schedule' err || fail 'no origin'

# --inspect shows a checkpoint's own words escaped, as text and as JSON: a version, the class of a part that is not used, a folder's name
evil='\\u001b[31m\\u001b]0;title\\u0007\\u202e\\nunet: all is well\\u009b'
folder=$work/$(printf 'hos\033]tile\nx')
cp -rL "$MODEL" "$folder"
sed "s/\"_diffusers_version\": \"[^\"]*\"/\"_diffusers_version\": \"$evil\", \"other\": [\"diffusers\", \"$evil\"]/" "$MODEL/model_index.json" >"$folder/model_index.json"
run -m "$folder" --inspect
expect_code 0
lines=$(wc -l <out)
shown='\x1b[31m\x1b]0;title\x07\xe2\x80\xae\x0aunet: all is well\xc2\x9b'
head -n 1 out | grep -qF "$(printf 'hos\\x1b]tile\\x0ax'): StableDiffusionPipeline, diffusers $shown" || fail "not escaped: $(head -n 1 out)"
grep -qF "other          $shown" out || fail 'the class of a part is not escaped'
run -m "$MODEL" --inspect
[ "$lines" -eq $(($(wc -l <out) + 1)) ] || fail "a line too many: $lines"
run -m "$folder" --inspect -j
expect_code 0
grep -qF 'title' out || fail 'no version'
[ "$(wc -l <out)" -eq 1 ] && ! LC_ALL=C grep -q "$(printf '[\033\007]')" out || fail 'a control character in JSON'
sed -i "s/StableDiffusionPipeline/$evil/" "$folder/model_index.json"
run -m "$folder" --inspect
expect_code 78
grep -qF "pipeline class '$shown' is not supported" err && [ "$(wc -l <err)" -eq 2 ] || fail 'not escaped'

# what the PNG says of the sampler is what ran: read back from the file
infotext() { strings -n 4 "$1" | sed -n "s/^Steps: [0-9]*, \\(Sampler: .*\\), CFG scale.*/\\1/p"; }
sampler() {
    draw --size 64x64 -x "$1" -f -o box/sampler.png x
    [ "$(infotext box/sampler.png)" = "$2" ] || fail "$1: $(infotext box/sampler.png), expected $2"
}
sampler dpm++2m,karras 'Sampler: DPM++ 2M, Schedule type: Karras'
sampler kdpm2_a 'Sampler: DPM2 a'
sampler dpm++2m,algorithm_type=sde-dpmsolver++,use_exponential_sigmas=true 'Sampler: DPM++ 2M SDE, Schedule type: Exponential'
strings -n 4 box/sampler.png | grep -q '"scheduler_class":"DPMSolverMultistepScheduler","sampler":"DPM++ 2M SDE","schedule_type":"Exponential"' ||
    fail 'the JSON lacks the sampler'
finish
