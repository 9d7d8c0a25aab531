#!/bin/sh
# Latents that overflow: no picture, the stage is named, and the images after it are still tried, however many failed.
. "$(dirname "$0")/common"

header='{"latents":{"dtype":"F32","shape":[1,4,8,8],"data_offsets":[0,1024]}}'
{
    safetensors "$header"
    head -c 1024 /dev/zero | tr '\0' '\177' # 3.4e38 each
} >large.safetensors

draw --size 64x64 --latents large.safetensors -o box/a.png x
expect_error 70 'diffuse: latents: value 0 of 256 is not finite after step 1: no picture made'
draw --size 64x64 --latents large.safetensors -c 200 -o box/a.png x
expect_code 1
[ "$(tail -n 1 err)" = 'diffuse: image 200: latents: value 0 of 256 is not finite after step 1: no picture made' ] || fail 'not all were tried'
expect_box

# The same of a file that is not finite itself, and of a weight: --save-every publishes nothing either.
{ head -c $((8 + ${#header})) large.safetensors; head -c 40 /dev/zero; printf '\000\000\300\177'; head -c 980 /dev/zero; } >nan.safetensors
draw --size 64x64 --latents nan.safetensors -o box/a.png x
expect_error 65 "diffuse: nan.safetensors: tensor 'latents': value 10 of 256 is not finite"
cp -r "$MODEL" flawed
chmod -R u+w flawed
for tensor in unet:conv_out.bias vae:decoder.conv_out.bias; do
    file=flawed/${tensor%:*}/diffusion_pytorch_model.safetensors
    cp $file whole
    begin=$(head -c 1000000 $file | grep -aom1 "\"${tensor#*:}\":{[^}]*" | sed 's/.*data_offsets":\[\([0-9]*\).*/\1/')
    printf '\000\000\300\177' | dd of=$file conv=notrunc bs=1 seek=$((begin + 8 + $(od -An -N8 -tu8 $file))) 2>dd
    draw -m flawed --size 64x64 --steps 4 --save-every 1 -o box/a.png x
    case $tensor in
    unet*) expect_error 70 "diffuse: $file: tensor '${tensor#*:}': value 0 of 4 is not finite, nor are the latents after step 1: no picture made" ;;
    vae*) expect_error 70 "diffuse: $file: tensor '${tensor#*:}': value 0 of 3 is not finite, nor is the decoded image: no picture made" ;;
    esac
    expect_box
    cp whole $file
done

# A LoRA's is the LoRA's.
m=lora_unet_mid_block_attentions_0_proj_in
header="{\"$m.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[8,24],\"data_offsets\":[0,768]},\"$m.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[768,1536]}}"
{
    safetensors "$header"
    head -c 1532 /dev/zero
    printf '\000\000\300\177'
} >lora.safetensors
draw --size 64x64 --lora lora.safetensors -o box/a.png x
expect_error 70 "diffuse: lora.safetensors: tensor '$m.lora_up.weight': value 191 of 192 is not finite, nor are the latents after step 1: no picture made"
expect_box
finish
