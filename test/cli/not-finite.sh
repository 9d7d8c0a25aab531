#!/bin/sh
# Latents that overflow: no picture, the stage is named, and the images after it are still tried, however many failed.
. "$(dirname "$0")/common"

header='{"latents":{"dtype":"F32","shape":[1,4,8,8],"data_offsets":[0,1024]}}'
{
    printf "\\$(printf %03o ${#header})\0\0\0\0\0\0\0%s" "$header"
    head -c 1024 /dev/zero | tr '\0' '\177' # 3.4e38 each
} >large.safetensors

draw --size 64x64 --latents large.safetensors -o box/a.png x
expect_error 70 'diffuse: latents: value 0 of 256 is not finite: no picture made'
draw --size 64x64 --latents large.safetensors -c 200 -o box/a.png x
expect_code 1
[ "$(tail -n 1 err)" = 'diffuse: image 200: latents: value 0 of 256 is not finite: no picture made' ] || fail 'not all were tried'
expect_box
finish
