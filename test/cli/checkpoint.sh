#!/bin/sh
# A checkpoint's folder: who names a class, what is looked at first, what is not there.
. "$(dirname "$0")/common"

# copy: the fixture anew at ./m, weights linked
copy() {
    rm -rf m
    cp -r "$MODEL" m
}
edit() { sed "$1" "$2" >edited && ! cmp -s edited "$2" && mv edited "$2" || fail "$2: nothing to edit by $1"; }
inspect() { run -m ./m --inspect "$@"; }

# the pipeline's class is looked at first, whatever else is there
mkdir m
cat >m/model_index.json <<'END'
{"_class_name": "StableDiffusion3Pipeline", "transformer": ["diffusers", "SD3Transformer2DModel"]}
END
inspect
expect_error 78 "diffuse: ./m: pipeline class 'StableDiffusion3Pipeline' is not supported" "$(tail -n 1 err)"
run -m ./m --show-schedule
expect_code 78
cat >m/model_index.json <<'END'
{"_class_name": "LDMTextToImagePipeline", "bert": ["latent_diffusion", "LDMBertModel"], "unet": ["diffusers", "UNet2DConditionModel"]}
END
inspect
expect_error 78 "diffuse: ./m: pipeline class 'LDMTextToImagePipeline' is not supported" "$(tail -n 1 err)"

# then each part's, with model_index.json alone
cp "$MODEL/model_index.json" m
edit 's/CLIPTextModel/T5EncoderModel/' m/model_index.json
inspect
expect_error 78 "diffuse: ./m/model_index.json: 'text_encoder': expected class CLIPTextModel, found 'T5EncoderModel'"
cp "$MODEL/model_index.json" m
edit 's/AutoencoderKL/VQModel/' m/model_index.json
inspect
expect_error 78 "diffuse: ./m/model_index.json: 'vae': expected class AutoencoderKL, found 'VQModel'"
cp "$MODEL/model_index.json" m
edit 's/PNDMScheduler/FlowMatchEulerDiscreteScheduler/' m/model_index.json
for what in --inspect --show-schedule; do
    run -m ./m $what
    expect_error 78 "diffuse: ./m/model_index.json: scheduler class 'FlowMatchEulerDiscreteScheduler' is not supported" \
        'hint: diffuse --list schedulers'
done

# then what it names
cp "$MODEL/model_index.json" m
inspect
expect_error 66 'diffuse: ./m/scheduler: model_index.json names it, and it is not there' 'hint: the download is incomplete'
copy
rm -r m/vae
mkdir -p m/.cache/huggingface/download/vae
: >m/.cache/huggingface/download/vae/x.incomplete
inspect
expect_error 66 'diffuse: ./m/vae: model_index.json names it, and it is not there: the download was interrupted' \
    'hint: the download is incomplete'
mkdir m/vae
inspect
expect_error 66 'diffuse: ./m/vae/config.json: missing: the download was interrupted' 'hint: the download is incomplete'

# an unused part may be missing, a second text encoder too
copy
edit 's/"_class_name"/"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "_class_name"/' m/model_index.json
inspect
expect_code 0

# the files' own words for their classes are not read
copy
run -m ./m -s 1 --steps 1 --metadata none -o box/plain.png x
expect_code 0
edit 's/CLIPTextModel/SomethingElse/' m/text_encoder/config.json
edit 's/UNet2DConditionModel/SomethingElse/' m/unet/config.json
edit 's/"_class_name": "PNDMScheduler",//' m/scheduler/scheduler_config.json
run -m ./m -s 1 --steps 1 --metadata none -o box/other.png x
expect_same box/plain.png box/other.png

# a whole CLIPModel's config
printf '{"model_type": "clip", "hidden_act": "relu", "text_config": ' >whole
cat m/text_encoder/config.json >>whole
printf '}' >>whole
mv whole m/text_encoder/config.json
run -m ./m -s 1 --steps 1 --metadata none -o box/whole.png x
expect_same box/plain.png box/whole.png

# UNets saved before 0.9 say sample_size 32 and mean 64; the pipeline's own version says nothing
size() { inspect --json && grep -q "\"width\": *$1\>" out || fail "expected width $1"; }
copy
size 128
edit 's/"_diffusers_version": *"[^"]*"/"_diffusers_version": "0.4.0"/' m/model_index.json
size 128
edit 's/"_diffusers_version": *"[^"]*"/"_diffusers_version": "0.8.1"/' m/unet/config.json
size 512
edit 's/"_diffusers_version": *"[^"]*"/"_diffusers_version": "0.9.0"/' m/unet/config.json
size 128

# without padding four levels need eight latents
copy
edit 's/"downsample_padding": 1/"downsample_padding": 0/' m/unet/config.json
inspect
grep -q '^size  *128x128, multiples of 8 from 64 on$' out || fail "no least size: $(grep '^size' out)"
inspect --json
tr -d ' \n' <out | grep -q '"size_multiple":8,"size_least":64,' || fail "no least size: $(grep -o 'size_least[^,]*' out)"

# a scheduler's config that names no class is of the one that model_index.json names
copy
edit '/"_class_name"/d' m/scheduler/scheduler_config.json
run -m ./m -s 1 --steps 2 -x ,beta_start=0.001 "a fox" --metadata none -o box/nameless.png
expect_code 0
run -m "$MODEL" -s 1 --steps 2 -x ,beta_start=0.001 "a fox" --metadata none -o box/named.png
expect_code 0
expect_same box/nameless.png box/named.png

# a UNet2DModel alone is drawn with a scheduler of its own folder, or with everybody's
rm -rf m
mkdir m
ln -s "$(dirname "$MODEL")"/tiny-ddpm-new/unet/* m
run -m ./m -s 1 --steps 2 -o box/alone.png
expect_code 0
grep -q '^diffuse: warning: ./m: no scheduler beside the model: DDPMScheduler as it is by default; -x NAME for another$' err ||
    fail 'the scheduler it takes is not said'
echo '{"_class_name": "DDIMScheduler"}' >m/scheduler_config.json
run -m ./m -s 1 --steps 2 -o box/own.png
expect_code 0
[ "$(cat err)" = '' ] || fail 'something is said'
run -m ./m --show-schedule
grep -q DDIMScheduler out || fail 'the scheduler of its folder is not taken'
differ box/alone.png box/own.png

finish
