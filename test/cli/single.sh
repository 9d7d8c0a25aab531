#!/bin/sh
# Single files in the original layout: what --inspect says of each kind, and who decides what is predicted.
root=$PWD
. "$(dirname "$0")/common"
synthetic=$(dirname "$DIFFUSE")/test_synthetic

# the tiny files that test_synthetic draws from: single-sd1 …
for name in sd1 sd2 xl inpaint xl-nine refiner; do
    case $name in
    sd1) kind='SD 1.x' class=StableDiffusionPipeline parts='text_encoder unet vae' ;;
    sd2) kind='SD 2.x base' class=StableDiffusionPipeline parts='text_encoder unet vae' ;;
    xl) kind=SDXL class=StableDiffusionXLPipeline parts='text_encoder text_encoder_2 unet vae' ;;
    inpaint) kind='SD 1.x inpainting' class=StableDiffusionInpaintPipeline parts='text_encoder unet vae' ;;
    xl-nine) kind='SDXL inpainting' class=StableDiffusionXLInpaintPipeline parts='text_encoder text_encoder_2 unet vae' ;;
    refiner) kind='SDXL refiner' class=StableDiffusionXLImg2ImgPipeline parts='text_encoder_2 unet vae' ;;
    esac
    mkdir "$name"
    (cd "$root" && "$synthetic" --write "$work/$name" "single-$name") || fail "exit code $?"
    run -m "$name/whole.safetensors" --config "$name" --inspect
    expect_code 0
    [ "$(sed -n 1,2p out)" = "$name/whole.safetensors: $class, diffusers 0.42.1
file           $kind: read by $name" ] || fail "not $kind: $(sed -n 1,2p out)"
    [ "$(sed -n 's/^\([a-z_0-9]*\) .* parameters in .*/\1/p' out | tr '\n' ' ')" = "$parts " ] || fail "parts of $kind: $(cat out)"
    run -m "$name/whole.safetensors" --config "$name" --inspect -j
    expect_code 0
    grep -q "\"kind\":\"$kind\",\"prediction_by\":\"its configuration\"" out || fail "$(cat out)"
done

# --vae: a directory, or a repository in the hub's cache
vae=$(cached org/vae)
cp -r "$MODEL/../tiny-sd2/vae/." "$vae"
draw --size 32 --metadata none -q -o own.png x
draw --size 32 --metadata none -q -o directory.png --vae "$vae" x
HF_HUB_CACHE=hub draw --size 32 --metadata none -q -o repository.png --vae org/vae x
expect_code 0
expect_same directory.png repository.png
differ own.png directory.png

# file NAME TENSOR…: one of SD 1.x's by its first filter, with these, which are empty
file() {
    name=$1 header='"model.diffusion_model.input_blocks.0.0.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}'
    shift
    for tensor; do header="$header,\"$tensor\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[32,32]}"; done
    header="{$header}"
    safetensors "$header" >"$name"
    head -c 32 /dev/zero >>"$name"
}
# rows NAME ARGUMENT…: of its schedule, into NAME.rows
rows() {
    name=$1
    shift
    run --show-schedule -j --steps 4 -x ddim "$@"
    expect_code 0
    mv out "$name.rows"
}
file plain.safetensors
file marked.safetensors v_pred ztsnr
rows epsilon -m plain.safetensors
rows marked -m marked.safetensors
rows v -m plain.safetensors -x ddim,prediction_type=v_prediction,rescale_betas_zero_snr=true
rows told -m marked.safetensors -x ddim,prediction_type=epsilon,rescale_betas_zero_snr=false
rows configured -m marked.safetensors --config sd1
cp sd1/model_index.json "$(cached org/config)"
cp -r sd1/*/ "$(cached org/config)"
HF_HUB_CACHE=hub rows cached -m marked.safetensors --config org/config
rows directory -m sd1
expect_same marked.rows v.rows
expect_same told.rows epsilon.rows
expect_same configured.rows directory.rows
expect_same cached.rows directory.rows
differ epsilon.rows marked.rows
finish
